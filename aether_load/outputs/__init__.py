"""Render a report: one format a file."""
