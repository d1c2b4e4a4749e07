"""Execute DAGs as the runtime does, with a simulated provider."""
