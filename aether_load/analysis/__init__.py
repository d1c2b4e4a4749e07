"""Compute a run's figures from its folder: pure functions over values."""
