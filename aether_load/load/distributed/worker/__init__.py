"""Carry out what a master says, and hand in the records."""
