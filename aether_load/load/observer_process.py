"""Start the observer as a process that has one end of a socket, and end it."""

from __future__ import annotations

import subprocess
import sys

import psutil
from gevent import socket
from gevent import subprocess as gsubprocess

from aether_load.environment import child_environment

_END_LIMIT_S = 5.0


class ObserverProcess:
    """One observer process, and this side's end of its `socket`."""

    def __init__(self) -> None:
        """Start it; it takes a while until it listens."""
        self.socket, theirs = socket.socketpair()
        self._process = gsubprocess.Popen(
            [sys.executable, "-m", "aether_load.observer"],
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            # The sender decides when it ends: a Ctrl-C at the terminal is for the load.
            start_new_session=True,
            env=child_environment(),
        )
        theirs.close()

    def cpu_s(self) -> float | None:
        """Return what it and its children have taken of the processor by now, None where that cannot be read."""
        try:
            return float(sum(psutil.Process(self._process.pid).cpu_times()[:4]))
        except psutil.Error:
            return None

    def kill(self) -> None:
        """End it at once, if it has not ended."""
        if self._process.poll() is None:
            self._process.kill()

    def end(self) -> None:
        """Wait until it has ended, as it was told to; kill it where that takes long."""
        try:
            self._process.wait(timeout=_END_LIMIT_S)
        except gsubprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
