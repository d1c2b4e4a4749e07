"""Drive the workers of a run from their master, and keep its folder."""
