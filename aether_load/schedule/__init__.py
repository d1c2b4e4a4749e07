"""Decide which request is sent when."""
