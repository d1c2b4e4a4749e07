"""Watch a sending process from outside: memory, waiting for a core, and the CPU time of its observer."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import psutil
from support.core_waiting import waited_ns

from aether_load.rundata.process_usage import SenderReading

_READ_WITHIN_NS = 50_000_000
"""A reading is taken a little after the instant that it is meant for."""


def cpu_s_between(readings: Sequence[SenderReading], began_ns: int, ended_ns: int) -> float | None:
    """Return the CPU time that a process took between two instants, or None without two readings there.

    What the readings say is scaled to the whole time.
    """
    inside = [
        reading for reading in readings if began_ns - _READ_WITHIN_NS <= reading.at_ns <= ended_ns + _READ_WITHIN_NS
    ]
    if len(inside) < 2:
        return None
    covered_ns = inside[-1].at_ns - inside[0].at_ns
    return (inside[-1].cpu_s - inside[0].cpu_s) * (ended_ns - began_ns) / covered_ns


class ProcessWatch:
    """Reads a process and the observer that it may start, five times a second by default, until it is closed.

    `waited` has pairs of an instant and how long the process had waited for a core by then, both in ns.
    """

    def __init__(self, pid: int, interval_s: float = 0.2) -> None:
        """Begin to watch the process."""
        self.resident_max_bytes = 0
        self.waited: list[tuple[int, int]] = []
        self._interval_s = interval_s
        self.observer: list[SenderReading] = []
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, args=(pid,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Watch no longer."""
        self._closed.set()
        self._thread.join()

    def _watch(self, pid: int) -> None:
        observer: psutil.Process | None = None
        try:
            process = psutil.Process(pid)
            while not self._closed.wait(self._interval_s):
                if (waited := waited_ns(pid)) is not None:
                    self.waited.append((time.monotonic_ns(), waited))
                self.resident_max_bytes = max(self.resident_max_bytes, process.memory_info().rss)
                observer = observer or observer_of(process)
                if observer is not None:
                    self.observer.append(_read(observer))
        except psutil.Error:
            return


def observer_of(process: psutil.Process) -> psutil.Process | None:
    """Return the observer that a sender has started, or None."""
    for child in process.children():
        if "aether_load.observer" in child.cmdline():
            return child
    return None


def _read(process: psutil.Process) -> SenderReading:
    with process.oneshot():
        times = process.cpu_times()
        return SenderReading(0, time.monotonic_ns(), times.user + times.system, process.memory_info().rss)
