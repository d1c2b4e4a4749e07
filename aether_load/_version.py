"""Hold the version of aether-load, which the build takes from the tag."""

try:
    from aether_load._scm_version import __version__
except ImportError:  # a tree that nobody has installed
    __version__ = "0.0.0+uninstalled"

__all__ = ["__version__"]
