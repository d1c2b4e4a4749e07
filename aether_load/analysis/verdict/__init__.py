"""Decide thresholds, warnings and the exit code."""
