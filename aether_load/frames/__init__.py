"""Read runs as pandas DataFrames: the part of the public API for notebooks and scripts."""
