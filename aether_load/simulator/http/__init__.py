"""Serve HTTP/1.1 as the runtime does."""
