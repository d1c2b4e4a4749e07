"""Define the lines of sender.jsonl and server.jsonl: what processes took of their machine."""

from __future__ import annotations

import msgspec

MASTER = -1
"""Stands for the worker's number in readings of a master, which sends nothing itself."""


class SenderReading(msgspec.Struct, frozen=True):
    """A line of sender.jsonl: a process's CPU time so far and its resident memory, at a monotonic instant of the run.

    `worker` is its number, 0 where there is one process alone, `MASTER` that of a master.
    """

    worker: int
    at_ns: int
    cpu_s: float
    resident_bytes: int


class SelfCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What the client showed of itself before the run, against a null server on its own machine.

    The latencies are those of one user alone, the least that any exchange of this client takes here; `most_rps` is
    what many users reach together, in one process. The null server's own part is in all of them.
    """

    latency_p50_ms: float
    latency_p99_ms: float
    latency_samples_total: int
    most_rps: float
    cpu_us_per_request: float


class ServerReading(msgspec.Struct, frozen=True):
    """A line of server.jsonl: CPU time so far and resident memory of the target's processes, at a monotonic instant.

    `cpu_s` and `resident_bytes` are added up over `processes`, whose programs are `names`; the three are None, with
    a `reason`, where they could not be read, and then the file has no further line until that changes.
    """

    at_ns: int
    cpu_s: float | None = None
    resident_bytes: int | None = None
    processes: int | None = None
    names: tuple[str, ...] = ()
    reason: str | None = None
