"""Read for how long a process could have run and had no core."""

from __future__ import annotations

from pathlib import Path


def waited_ns(pid: int) -> int | None:
    """Return how long a process's main thread has waited for a core so far; None where the kernel does not say."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError):
        return None
