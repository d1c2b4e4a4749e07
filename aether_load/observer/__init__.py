"""Watch a run that goes on: its live figures, thresholds and probes."""
