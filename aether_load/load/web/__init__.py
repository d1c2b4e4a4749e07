"""Show a run in Locust's own page."""
