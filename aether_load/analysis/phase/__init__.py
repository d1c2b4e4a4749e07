"""Compute the figures of one phase."""
