"""Compare two builds, and say whether the candidate is slower."""
