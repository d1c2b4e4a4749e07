"""Prepare what the runs of one process need: targets, requests, the observer, and each run's folder."""
