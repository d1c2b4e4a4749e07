"""Define the command `aether-load`, one file a command."""
