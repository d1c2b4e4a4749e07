"""Read for how long a process, or the whole machine, could have run and had no core."""

from __future__ import annotations

import os
from pathlib import Path

_STEAL = 8
"""The place of stolen time in the first line of /proc/stat."""


def waited_ns(pid: int) -> int | None:
    """Return how long a process's main thread has waited for a core so far; None where the kernel does not say."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError):
        return None


def stolen_s() -> float | None:
    """Return how much CPU time the hypervisor has kept from this machine so far; None where the kernel does not say."""
    try:
        line = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0]
        return int(line.split()[_STEAL]) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError):
        return None
