"""Record what the simulator did; tests compare a client's own counts with it."""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from aether_load.errors import AetherLoadError, explained
from aether_load.simulator.engine.outcomes import NodeTrace
from aether_load.simulator.wire import encode


class Entry(Struct):
    """One `/execute` request: ns of CLOCK_MONOTONIC, and of UTC since 1970; `sent` is `whole` or how it broke off."""

    sequence: int
    arrival_ns: int
    start_ns: int
    start_utc_ns: int
    end_ns: int = 0
    execution_id: str | None = None
    nodes: list[NodeTrace] = field(default_factory=list)
    total_ms: int | None = None
    status: int | None = None
    sent: str = "client_gone"
    fault: str | None = None


class Record:
    """Entries of requests that ended: the last `limit` in memory, all of them in the file if there is one.

    `on_failure` is called with an error when the file cannot be written.
    """

    def __init__(self, limit: int, path: Path | None, on_failure: Callable[[AetherLoadError], None]) -> None:
        self._lines: deque[bytes] = deque(maxlen=limit)
        self._totals = Counter(requests=0, ended=0, cached_nodes=0, tokens=0)
        self._counts: dict[str, Counter[str]] = {what: Counter() for what in ("status", "sent", "faults", "nodes")}
        self._path = path
        self._file: int | None = None
        self._on_failure = on_failure
        if path is not None:
            with explained(f"--record {path}: ", end="; name a file that can be written"):
                self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)

    def begin(self, arrival_ns: int) -> Entry:
        """Begin an entry for a request that starts now."""
        self._totals["requests"] += 1
        return Entry(self._totals["requests"], arrival_ns, time.monotonic_ns(), time.time_ns())

    def end(self, entry: Entry, end_ns: int) -> None:
        """Keep an entry whose request ended."""
        entry.end_ns = end_ns
        line = encode(entry) + b"\n"
        self._lines.append(line)
        if self._file is not None:
            self._write(self._file, line)
        totals, counts = self._totals, self._counts
        totals["ended"] += 1
        counts["status"][str(entry.status)] += 1
        counts["sent"][entry.sent] += 1
        if entry.fault is not None:
            counts["faults"][entry.fault] += 1
        for node in entry.nodes:
            counts["nodes"][node.state] += 1
            totals["cached_nodes"] += node.cached
            totals["tokens"] += node.tokens

    def _write(self, file: int, line: bytes) -> None:
        """Write a line at once, so that it is there even after kill -9."""
        try:
            while line:
                line = line[os.write(file, line) :]
        except OSError as error:
            sentence = f"--record {self._path}: {error.strerror}; the record is not complete"
            self._on_failure(AetherLoadError(sentence))

    def lines(self) -> bytes:
        """Return the entries in memory as JSON lines, in order of their ends."""
        return b"".join(self._lines)

    @property
    def dropped(self) -> int:
        """Return how many entries are no longer in memory."""
        return self._totals["ended"] - len(self._lines)

    def summary(self) -> dict[str, Any]:
        """Return totals since the start of the process; a restart does not change them."""
        in_flight = self._totals["requests"] - self._totals["ended"]
        return {**self._totals, "in_flight": in_flight, "dropped": self.dropped, **self._counts}
