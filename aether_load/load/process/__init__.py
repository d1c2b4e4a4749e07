"""Start and end a sending process in order: its signals, its limits, and what no handler of ours expects."""
