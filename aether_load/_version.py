"""Hold the version of aether-load."""

__version__ = "0.1.0"
