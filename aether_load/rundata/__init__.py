"""Own the layout of a run's folder: write it while the load runs, and read it again."""
