"""Read what a TOML scenario says, and refuse what it cannot mean."""
