"""Describe where a run took place: versions, machine, and the state of the sources it was started from."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata

import psutil

_PACKAGES = ("aether-load", "locust", "gevent", "msgspec", "pyarrow")


def versions(more: Iterable[str] = ()) -> dict[str, str]:
    """Return the versions of Python, of what the sending path stands on, and of `more` packages."""
    found = {"python": platform.python_version()}
    for package in (*_PACKAGES, *more):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, str | int | float | None]:
    """Return what the sending machine is; the host's name is left out, because reports are shared."""
    return {
        "os": platform.platform(),
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
    }


def _cpu_name() -> str | None:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123 -- a device, not a path of ours
            return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), None)
    except OSError:
        return platform.processor() or None


def git_state() -> dict[str, str | bool | None]:
    """Return the commit of the folder that the run was started in, and whether it had changes; None if no git."""
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return {"commit": None, "dirty": None, "reason": "the run was not started in a git checkout"}
    changes = _git("status", "--porcelain")
    return {"commit": commit, "dirty": None if changes is None else bool(changes)}


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=5, check=False)  # noqa: S607
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def child_environment() -> dict[str, str]:
    """Return the environment of a Python child process that is to import what this one can."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
