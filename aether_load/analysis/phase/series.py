"""Compute a phase's time series: requests, latency, the server's rate, cache hits, errors, CPU and memory."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, TextIO

import msgspec
import numpy as np
from numpy.typing import NDArray

from aether_load.analysis.phase.sender_usage import by_worker
from aether_load.analysis.server.readings import Reading, Readings
from aether_load.analysis.server.scrape import fell
from aether_load.analysis.server.server_process import SHORTEST_NS
from aether_load.protocol import Outcome
from aether_load.rundata.manifest import PhaseRecord
from aether_load.rundata.process_usage import MASTER, SenderReading, ServerReading
from aether_load.rundata.records.table import PhaseSamples
from aether_load.text import csv_cell

MOST_POINTS = 300
"""Points a phase that the JSON has at most; the run's folder has every second."""
MOST_SECONDS = 100_000
"""Points a phase that the folder has at most: each second of a day."""
RESOLUTIONS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 28_800, 86_400)
_EDGE_NS = 1_000_000_000

Floats = tuple[float | None, ...]
Counts = tuple[int, ...]


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """One phase in steps of `resolution_s`, a column a figure, all of one length.

    The first step begins with the phase, `began_s` after the run; step i covers the `covered_s[i]` seconds from
    `second[i]` (counted from the phase's beginning), the last one what is left. The window is open from
    `window_began_s` to `window_ended_s`. Requests are counted where they were sent, answers and their latencies
    (due to answered; nearest rank) where they came in, and what was due and never sent where it was due. The percentile
    lies between its column and the one `at_least`, which differ where the sender may have read answers late. In flight
    is a mean over the step: as counted from the samples, and by Little's law from the step's answers alone, as
    their rate times their mean time from sent to answered. The server's rate and mean node time are of the time
    between the last readings of /metrics of this step and of an earlier one; the processes' CPU likewise, 1 being a
    core in full. What was not read, or did not happen, is None.
    """

    resolution_s: int
    began_s: float
    window_began_s: float | None
    window_ended_s: float | None
    second: Floats
    covered_s: Floats
    requests_sent_total: Counts
    answers_total: Counts
    errors_total: Counts
    rejected_total: Counts
    dropped_total: Counts
    response_latency_p50_ms: Floats
    response_latency_p99_ms: Floats
    response_latency_p50_at_least_ms: Floats
    response_latency_p99_at_least_ms: Floats
    in_flight_mean: Floats
    in_flight_by_littles_law: Floats
    cached_nodes_total: Counts
    server_nodes_per_s: Floats
    server_node_mean_ms: Floats
    sender_cpu_share: Floats
    sender_resident_bytes: Floats
    server_cpu_share: Floats
    server_resident_bytes: Floats


COLUMNS = tuple(Series.__struct_fields__[Series.__struct_fields__.index("second") :])


def resolution_for(seconds: float, most_points: int = MOST_POINTS) -> int:
    """Return the finest step in seconds that divides a phase into at most `most_points` steps."""
    return next((step for step in RESOLUTIONS_S if seconds <= step * most_points), RESOLUTIONS_S[-1])


def phase_series(
    samples: PhaseSamples,
    record: PhaseRecord,
    readings: Readings,
    sender: Sequence[SenderReading],
    server: Sequence[ServerReading],
    *,
    run_began_ns: int,
    resolution_s: int | None = None,
) -> Series:
    """Return a phase step by step; without `resolution_s` in the finest steps that keep it bounded."""
    began_ns = record.began.monotonic_ns
    ended_ns = _end(samples, record, readings)
    length_s = max((ended_ns - began_ns) / 1e9, 0.0)
    resolution_s = resolution_s or resolution_for(length_s)
    steps = _Steps(began_ns, resolution_s, max(1, math.ceil(length_s / resolution_s)), length_s)
    sent, outcome = samples.was_sent, samples.outcome
    came_in = sent & (outcome != Outcome.CANCELLED)
    failed = came_in & (outcome != Outcome.OK) & (outcome != Outcome.REJECTED)
    dropped = outcome == Outcome.DROPPED
    p50, p99 = steps.percentiles(samples, came_in, (0.50, 0.99))
    least_p50, least_p99 = p50, p99
    if samples.late_ns.any():
        least_p50, least_p99 = steps.percentiles(samples, came_in, (0.50, 0.99), at_least=True)
    rates, means = steps.of_server(readings.readable)
    hits = (samples.node_cached[came_in] == 1).sum(axis=1)
    sender_cpu, sender_memory = steps.of_busiest(sender)
    server_cpu, server_memory = steps.of_process(
        [(at.at_ns, at.cpu_s, at.resident_bytes) for at in server if at.cpu_s is not None and at.resident_bytes]
    )
    return Series(
        resolution_s=resolution_s,
        began_s=round((began_ns - run_began_ns) / 1e9, 3),
        window_began_s=_since(samples.window_began_ns, began_ns),
        window_ended_s=_since(samples.window_ended_ns, began_ns),
        second=tuple(float(step * resolution_s) for step in range(steps.count)),
        covered_s=steps.covered_s,
        requests_sent_total=steps.count_of(samples.sent_ns[sent]),
        answers_total=steps.count_of(samples.ended_ns[came_in]),
        errors_total=steps.count_of(samples.ended_ns[failed]),
        rejected_total=steps.count_of(samples.ended_ns[came_in & (outcome == Outcome.REJECTED)]),
        dropped_total=steps.count_of(samples.due_ns[dropped]),
        response_latency_p50_ms=p50,
        response_latency_p99_ms=p99,
        response_latency_p50_at_least_ms=least_p50,
        response_latency_p99_at_least_ms=least_p99,
        in_flight_mean=steps.in_flight(samples.sent_ns[sent], samples.ended_ns[sent]),
        in_flight_by_littles_law=steps.per_second(samples.ended_ns[came_in], _seconds(samples, came_in)),
        cached_nodes_total=tuple(int(count) for count in steps.sum_of(samples.ended_ns[came_in], hits)),
        server_nodes_per_s=rates,
        server_node_mean_ms=means,
        sender_cpu_share=sender_cpu,
        sender_resident_bytes=sender_memory,
        server_cpu_share=server_cpu,
        server_resident_bytes=server_memory,
    )


def _largest(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _end(samples: PhaseSamples, record: PhaseRecord, readings: Readings) -> int:
    if record.ended is not None:
        return record.ended.monotonic_ns
    last = int(samples.ended_ns.max()) if len(samples) else record.began.monotonic_ns
    return max([last, *(reading.ended_ns for reading in readings.readable)])


def _since(instant_ns: int | None, began_ns: int) -> float | None:
    return None if instant_ns is None else round((instant_ns - began_ns) / 1e9, 3)


def _seconds(samples: PhaseSamples, which: NDArray[np.bool_]) -> NDArray[np.float64]:
    return (samples.ended_ns[which] - samples.sent_ns[which]) / 1e9


class _Steps:
    """Steps of one length from an instant on; what lies before counts to the first, what lies after to the last."""

    def __init__(self, began_ns: int, resolution_s: int, count: int, length_s: float) -> None:
        self._began_ns = began_ns
        self._step_ns = resolution_s * _EDGE_NS
        self.count = count
        last_s = max(length_s - (count - 1) * resolution_s, 0.0)
        self.covered_s: tuple[float, ...] = (*(float(resolution_s),) * (count - 1), round(last_s, 3))
        self._lengths = (*self.covered_s[:-1], last_s)

    def place(self, at_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the step of each instant."""
        return np.clip((at_ns - self._began_ns) // self._step_ns, 0, self.count - 1)

    def sum_of(self, at_ns: NDArray[np.int64], values: NDArray[Any] | None = None) -> NDArray[Any]:
        """Return the sum of values by step, or how many there are."""
        return np.bincount(self.place(at_ns), values, minlength=self.count)

    def count_of(self, at_ns: NDArray[np.int64]) -> Counts:
        """Return how many instants each step has."""
        return tuple(int(count) for count in self.sum_of(at_ns))

    def per_second(self, at_ns: NDArray[np.int64], values: NDArray[np.float64]) -> Floats:
        """Return the sum of values by step, over the step's length."""
        sums = self.sum_of(at_ns, values)
        return tuple(
            round(float(total) / length, 6) if length > 0 else None
            for total, length in zip(sums, self._lengths, strict=True)
        )

    def percentiles(
        self, samples: PhaseSamples, which: NDArray[np.bool_], quantiles: Sequence[float], *, at_least: bool = False
    ) -> list[Floats]:
        """Return quantiles by nearest rank of response latency in ms of the answers that came in in each step.

        With `at_least` they are of the least latencies that there may have been.
        """
        place = self.place(samples.ended_ns[which])
        took = (samples.ended_ns[which] - samples.due_ns[which]) / 1e6
        if at_least:
            took -= samples.late_ns[which] / 1e6
        if np.any(place[1:] < place[:-1]):
            order = np.argsort(place, kind="stable")
            place, took = place[order], took[order]
        edges = np.searchsorted(place, np.arange(self.count + 1))
        found: list[list[float | None]] = [[] for _ in quantiles]
        for start, end in pairwise(edges):
            own = np.sort(took[start:end])
            for column, q in zip(found, quantiles, strict=True):
                column.append(round(float(own[max(1, math.ceil(q * len(own))) - 1]), 6) if len(own) else None)
        return [tuple(column) for column in found]

    def in_flight(self, sent_ns: NDArray[np.int64], ended_ns: NDArray[np.int64]) -> Floats:
        """Return the mean number of requests in flight in each step, from the time that each was in flight in it."""
        began, ended = self.place(sent_ns), self.place(ended_ns)
        edge = self._began_ns + (np.arange(self.count) + 1) * self._step_ns
        # In its step a request is in flight until the step's end; in later ones for all of it, until it has ended.
        inside = np.bincount(began, edge[began] - sent_ns, self.count) - np.bincount(
            ended, edge[ended] - ended_ns, self.count
        )
        open_before = np.cumsum(np.bincount(began, minlength=self.count) - np.bincount(ended, minlength=self.count))
        inside[1:] += open_before[:-1] * self._step_ns
        return tuple(
            round(max(0.0, float(total)) / 1e9 / length, 6) if length > 0 else None
            for total, length in zip(inside, self._lengths, strict=True)
        )

    def of_server(self, readings: Sequence[Reading]) -> tuple[Floats, Floats]:
        """Return the server's nodes a second and their mean time in ms, between the last readings of steps."""
        rates: list[float | None] = [None] * self.count
        means: list[float | None] = [None] * self.count
        for step, early, late in self._last_of_steps([((r.began_ns + r.ended_ns) // 2, r) for r in readings]):
            (early_ns, before), (late_ns, after) = early, late
            if late_ns <= early_ns or fell(before.scrape, after.scrape) is not None:
                continue
            nodes = after.scrape.node_count - before.scrape.node_count
            rates[step] = round(nodes / ((late_ns - early_ns) / 1e9), 6)
            if nodes:
                means[step] = round((after.scrape.node_time_sum_ms - before.scrape.node_time_sum_ms) / nodes, 6)
        return tuple(rates), tuple(means)

    def of_process(self, readings: Sequence[tuple[int, float, int]]) -> tuple[Floats, Floats]:
        """Return a process's CPU share between the last readings of steps, and its resident memory at the last one."""
        shares: list[float | None] = [None] * self.count
        sizes: list[float | None] = [None] * self.count
        for step, early, late in self._last_of_steps([(at_ns, (cpu, size)) for at_ns, cpu, size in readings]):
            (early_ns, (early_cpu, _)), (late_ns, (late_cpu, size)) = early, late
            sizes[step] = float(size)
            if late_ns - early_ns >= SHORTEST_NS and late_cpu >= early_cpu:
                shares[step] = round((late_cpu - early_cpu) / ((late_ns - early_ns) / 1e9), 4)
        return tuple(shares), tuple(sizes)

    def of_busiest(self, readings: Sequence[SenderReading]) -> tuple[Floats, Floats]:
        """Return the largest CPU share and the largest memory that any of the sending processes had in each step."""
        processes = [
            self.of_process([(at.at_ns, at.cpu_s, at.resident_bytes) for at in own])
            for worker, own in by_worker(readings).items()
            if worker != MASTER
        ]
        largest: list[Floats] = []
        for place in (0, 1):
            columns = [process[place] for process in processes] or [(None,) * self.count]
            largest.append(tuple(_largest(step) for step in zip(*columns, strict=True)))
        return largest[0], largest[1]

    def _last_of_steps(
        self, readings: Sequence[tuple[int, Any]]
    ) -> Iterable[tuple[int, tuple[int, Any], tuple[int, Any]]]:
        """Yield each step that has a reading, with the last one before it and its own last one."""
        last: dict[int, tuple[int, Any]] = {}
        first = None
        for at_ns, value in readings:
            first = first or (at_ns, value)
            step = (at_ns - self._began_ns) // self._step_ns
            if step < self.count:
                last[max(-1, step)] = at_ns, value
        previous = last.pop(-1, None) or first
        for step, reading in sorted(last.items()):
            assert previous is not None
            yield step, previous, reading
            previous = reading


def write_series_csv(names: Sequence[str], phases: Sequence[Series], out: TextIO) -> None:
    """Write the steps of all phases, a row a step; what was not measured is an empty field."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["phase", "run_second", "in_window", *COLUMNS])
    for name, series in zip(names, phases, strict=True):
        columns = [getattr(series, column) for column in COLUMNS]
        for row in zip(*columns, strict=True):
            second = row[0]
            writer.writerow([csv_cell(name), round(series.began_s + second, 3), int(in_window(series, second)), *row])


def in_window(series: Series, second: float) -> bool:
    """Tell whether all of a step that the phase lasted lies in the window."""
    if series.window_began_s is None or series.window_ended_s is None:
        return False
    return series.window_began_s <= second and second + series.resolution_s <= series.window_ended_s + 1e-9
