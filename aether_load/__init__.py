"""aether-load: the load-testing harness of the Aether runtime."""

from __future__ import annotations

from aether_load._version import __version__
from aether_load.errors import AetherLoadError, ExitCode, TargetError, UsageError

__all__ = ["AetherLoadError", "ExitCode", "TargetError", "UsageError", "__version__"]
