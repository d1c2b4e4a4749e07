"""Define the command `aether-load`."""
