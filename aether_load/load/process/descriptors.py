"""See before a load whether this process may open as many files as the load needs connections."""

from __future__ import annotations

import contextlib
import resource

from aether_load.errors import UsageError

_OWN = 64
"""What a process needs beside its users' connections: its files, pipes and sockets, and room for a library's own."""


def check_descriptors(users: int, connections: int = 1) -> None:
    """Raise this process's limit where it is too low for so many users, each with `connections`; or UsageError."""
    needed = users * connections + _OWN
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _is_enough(soft, needed):
        return
    if _is_enough(hard, needed):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
            return
    raise UsageError(
        f"{users} users need {needed} open files, and this process may have {soft}: raise the limit "
        f"(ulimit -n {needed}), or take {max(1, (soft - _OWN) // connections)} users at most."
    )


def _is_enough(limit: int, needed: int) -> bool:
    return limit == resource.RLIM_INFINITY or limit >= needed
