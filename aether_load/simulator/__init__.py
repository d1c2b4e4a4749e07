"""A simulated Aether runtime of its own process; it shares no code with the rest of the package."""
