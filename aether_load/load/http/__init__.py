"""Speak HTTP/1.1 over one keep-alive connection a user."""
