"""Read what the sending process has taken of CPU and memory."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from time import monotonic_ns, process_time

import psutil

from aether_load.rundata.process_usage import SenderReading


class SenderWatch:
    """Reads one process: its CPU time in nanoseconds on Linux, in hundredths of a second elsewhere.

    From outside only threads that live are read; of this process those that have ended count too.
    """

    def __init__(self, pid: int, worker: int = 0) -> None:
        self._pid = pid
        self._worker = worker
        self._process: psutil.Process | None = None
        with suppress(psutil.Error):
            self._process = psutil.Process(pid)

    def read(self) -> SenderReading | None:
        """Return what it has taken so far, None when it is gone."""
        if self._process is None:
            return None
        try:
            return SenderReading(
                worker=self._worker,
                at_ns=monotonic_ns(),
                cpu_s=self._cpu_s(self._process),
                resident_bytes=self._process.memory_info().rss,
            )
        except psutil.Error:
            return None

    def _cpu_s(self, process: psutil.Process) -> float:
        """Return user and system time of all threads."""
        if self._pid == os.getpid():
            return process_time()
        try:
            tasks = Path(f"/proc/{self._pid}/task").iterdir()
            return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9
        except (OSError, ValueError, IndexError):
            times = process.cpu_times()
            return float(times.user + times.system)
