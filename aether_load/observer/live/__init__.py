"""Compute the figures of a run that goes on, second by second."""
