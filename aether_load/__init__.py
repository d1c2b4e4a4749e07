"""aether-load: the load-testing harness of the Aether runtime.

The names of this module are the public API; they do not change without a line in CHANGELOG.md. What reads results needs
pandas, which is imported when you use it first: a process that sends imports none of it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from aether_load._version import __version__
from aether_load.errors import AetherLoadError, ExitCode, ResultsError, TargetError, UsageError

if TYPE_CHECKING:
    from aether_load.frames.notes import RunDataWarning
    from aether_load.frames.results import open_results
    from aether_load.frames.run import Run, open_run
    from aether_load.load.users.aether_user import AetherUser
    from aether_load.load.users.execution import Execution

__all__ = [
    "AetherLoadError",
    "AetherUser",
    "Execution",
    "ExitCode",
    "ResultsError",
    "Run",
    "RunDataWarning",
    "TargetError",
    "UsageError",
    "__version__",
    "open_results",
    "open_run",
]

_LAZY = {
    "AetherUser": "aether_load.load.users.aether_user",
    "Execution": "aether_load.load.users.execution",
    "Run": "aether_load.frames.run",
    "RunDataWarning": "aether_load.frames.notes",
    "open_results": "aether_load.frames.results",
    "open_run": "aether_load.frames.run",
}
"""Names that are imported on first use, by the module that has them."""


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "AetherUser":
        # A locustfile that imports it becomes a run of this package.
        import_module("aether_load.load.listener").install()
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
