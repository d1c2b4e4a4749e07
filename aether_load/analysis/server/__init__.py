"""Compute what the runtime's own metrics say, and reconcile them with the client's counts."""
