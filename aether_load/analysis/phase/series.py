"""Compute a phase's time series: requests, latency, the server's rate, cache hits, errors, CPU and memory."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from aether_load.analysis.phase.sender_usage import by_worker
from aether_load.analysis.server.readings import Reading, Readings
from aether_load.analysis.server.scrape import fell
from aether_load.analysis.server.server_process import SHORTEST_NS, cpu_share
from aether_load.protocol import Outcome
from aether_load.rundata.manifest import PhaseRecord
from aether_load.rundata.process_usage import MASTER, SenderReading, ServerReading
from aether_load.rundata.run_data import RunData
from aether_load.rundata.samples.table import PhaseSamples

MOST_POINTS = 300
"""Points a phase that the JSON has at most; the run's folder has every second."""
MOST_SECONDS = 100_000
"""Points a phase that the folder has at most: each second of a day."""
RESOLUTIONS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 28_800, 86_400)
_LATENCY_BITS = 46
_ZERO = 1 << _LATENCY_BITS - 1
"""Latencies are from -9.7 to 9.7 hours in ns, which leaves 17 bits for `MOST_SECONDS` steps."""

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
    data: RunData,
    run_began_ns: int,
    resolution_s: int | None = None,
) -> Series:
    """Return a phase step by step; without `resolution_s` in the finest steps that keep it bounded."""
    began_ns = record.began.monotonic_ns
    ended_ns = _end(samples, record, readings)
    length_s = max((ended_ns - began_ns) / 1e9, 0.0)
    resolution_s = resolution_s or resolution_for(length_s)
    steps = _Steps(began_ns, resolution_s, max(1, math.ceil(length_s / resolution_s)), length_s)
    requests = _Requests(steps, samples)
    p50, p99 = requests.percentiles(0.50, 0.99)
    least_p50, least_p99 = requests.percentiles(0.50, 0.99, at_least=True) if samples.late_ns.any() else (p50, p99)
    rates, means = steps.of_server(readings.readable)
    sender_cpu, sender_memory = steps.of_busiest(data.sender)
    read = [reading for reading in data.server if reading.cpu_s is not None and reading.resident_bytes]
    server_cpu, server_memory = steps.of_process(read)
    return Series(
        resolution_s=resolution_s,
        began_s=round((began_ns - run_began_ns) / 1e9, 3),
        window_began_s=_since(samples.window_began_ns, began_ns),
        window_ended_s=_since(samples.window_ended_ns, began_ns),
        second=tuple(float(step * resolution_s) for step in range(steps.count)),
        covered_s=steps.covered_s,
        requests_sent_total=_counts(requests.sent),
        answers_total=_counts(requests.answers),
        errors_total=_counts(requests.errors),
        rejected_total=_counts(requests.rejected),
        dropped_total=_counts(requests.dropped),
        response_latency_p50_ms=p50,
        response_latency_p99_ms=p99,
        response_latency_p50_at_least_ms=least_p50,
        response_latency_p99_at_least_ms=least_p99,
        in_flight_mean=requests.in_flight(),
        in_flight_by_littles_law=steps.per_second(requests.seconds),
        cached_nodes_total=_counts(requests.hits),
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


def _counts(sums: NDArray[Any]) -> Counts:
    return tuple(int(count) for count in sums)


class _Steps:
    """Steps of one length from an instant on; what lies before counts to the first, what lies after to the last."""

    def __init__(self, began_ns: int, resolution_s: int, count: int, length_s: float) -> None:
        self.began_ns = began_ns
        self.step_ns = resolution_s * 1_000_000_000
        self.count = count
        last_s = max(length_s - (count - 1) * resolution_s, 0.0)
        self.covered_s: tuple[float, ...] = (*(float(resolution_s),) * (count - 1), round(last_s, 3))
        self._lengths = (*self.covered_s[:-1], last_s)

    def place(self, at_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the step of each instant."""
        return np.clip((at_ns - self.began_ns) // self.step_ns, 0, self.count - 1)

    def per_second(self, sums: NDArray[np.float64]) -> Floats:
        """Return sums by step over the step's length."""
        return tuple(
            round(float(total) / length, 6) if length > 0 else None
            for total, length in zip(sums, self._lengths, strict=True)
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

    def of_process(self, readings: Sequence[SenderReading | ServerReading]) -> tuple[Floats, Floats]:
        """Return a process's CPU share between the last readings of steps, and its resident memory at the last one."""
        shares: list[float | None] = [None] * self.count
        sizes: list[float | None] = [None] * self.count
        for step, (_, early), (_, late) in self._last_of_steps([(at.at_ns, at) for at in readings]):
            sizes[step] = float(late.resident_bytes)
            if late.at_ns - early.at_ns >= SHORTEST_NS and (share := cpu_share(early, late)) >= 0:
                shares[step] = round(share, 4)
        return tuple(shares), tuple(sizes)

    def of_busiest(self, readings: Sequence[SenderReading]) -> tuple[Floats, Floats]:
        """Return the largest CPU share and the largest memory that any of the sending processes had in each step."""
        processes = [self.of_process(own) for worker, own in by_worker(readings).items() if worker != MASTER]
        shares, sizes = zip(*processes, strict=True) if processes else ([(None,) * self.count],) * 2
        return tuple(map(_largest, zip(*shares, strict=True))), tuple(map(_largest, zip(*sizes, strict=True)))

    def _last_of_steps(
        self, readings: Sequence[tuple[int, Any]]
    ) -> Iterable[tuple[int, tuple[int, Any], tuple[int, Any]]]:
        """Yield each step that has a reading, with the last one before it and its own last one."""
        last: dict[int, tuple[int, Any]] = {}
        first = None
        for at_ns, value in readings:
            first = first or (at_ns, value)
            step = (at_ns - self.began_ns) // self.step_ns
            if step < self.count:
                last[max(-1, step)] = at_ns, value
        previous = last.pop(-1, None) or first
        for step, reading in sorted(last.items()):
            assert previous is not None
            yield step, previous, reading
            previous = reading


def in_window(series: Series, second: float) -> bool:
    """Tell whether all of a step that the phase lasted lies in the window."""
    if series.window_began_s is None or series.window_ended_s is None:
        return False
    return series.window_began_s <= second and second + series.resolution_s <= series.window_ended_s + 1e-9


class _Requests:
    """What the requests of a phase come to in each step.

    Each answer is one number, its step above and its latency below, so that one sort puts the latencies of each step in
    order.
    """

    def __init__(self, steps: _Steps, samples: PhaseSamples) -> None:
        self._steps = steps
        self._samples = samples
        self.sent, self.answers, self.errors, self.rejected, self.dropped = np.zeros((5, steps.count), np.int64)
        self.hits, self.seconds, self._inside = np.zeros((3, steps.count))
        self._open = np.zeros(steps.count, np.int64)
        for piece in samples.pieces():
            self._add(piece)

    def _add(self, piece: PhaseSamples) -> None:
        count, outcome, sent = self._steps.count, piece.outcome, piece.was_sent
        came_in = sent & (outcome != Outcome.CANCELLED)
        rejected = came_in & (outcome == Outcome.REJECTED)
        failed = came_in & (outcome != Outcome.OK) & ~rejected
        dropped = outcome == Outcome.DROPPED
        began, ended = self._steps.place(piece.sent_ns), self._steps.place(piece.ended_ns)
        self.sent += np.bincount(began[sent], minlength=count)
        self.answers += np.bincount(ended[came_in], minlength=count)
        self.errors += np.bincount(ended[failed], minlength=count)
        self.rejected += np.bincount(ended[rejected], minlength=count)
        self.dropped += np.bincount(self._steps.place(piece.due_ns[dropped]), minlength=count)
        self.hits += np.bincount(ended[came_in], (piece.node_cached[came_in] == 1).sum(axis=1), count)
        self.seconds += np.bincount(ended[came_in], (piece.ended_ns - piece.sent_ns)[came_in] / 1e9, count)
        # In its step a request is in flight until the step's end; in later ones for all of it, until it has ended.
        for sign, steps, at_ns in ((1, began[sent], piece.sent_ns[sent]), (-1, ended[sent], piece.ended_ns[sent])):
            left_ns = self._steps.began_ns + (steps + 1) * self._steps.step_ns - at_ns
            self._inside += sign * np.bincount(steps, left_ns, count)
            self._open += sign * np.bincount(steps, minlength=count)

    def in_flight(self) -> Floats:
        """Return the mean number of requests in flight in each step, from the time that each was in flight in it."""
        inside = self._inside.copy()
        inside[1:] += np.cumsum(self._open)[:-1] * self._steps.step_ns
        return self._steps.per_second(np.maximum(inside, 0.0) / 1e9)

    def percentiles(self, *quantiles: float, at_least: bool = False) -> list[Floats]:
        """Return quantiles by nearest rank of response latency in ms of the answers that came in in each step.

        With `at_least` they are of the least latencies that there may have been.
        """
        ordered_ns = self._ordered_ns(at_least=at_least)
        ends = np.cumsum(self.answers)
        found: list[Floats] = []
        for q in quantiles:
            ranks = np.maximum(1, np.ceil(q * self.answers)).astype(np.int64)
            places = np.where(self.answers > 0, ends - self.answers + ranks - 1, 0)
            ms = (ordered_ns[places] / 1e6).tolist() if len(ordered_ns) else places.tolist()
            found.append(tuple(round(own, 6) if count else None for own, count in zip(ms, self.answers, strict=True)))
        return found

    def _ordered_ns(self, *, at_least: bool) -> NDArray[np.int64]:
        """Return the response latencies of all answers, step by step, ascending in each."""
        keys = np.empty(int(self.answers.sum()), np.int64)
        end = 0
        for piece in self._samples.pieces():
            place, took = self._answers_of(piece, at_least=at_least)
            if len(took) and not -_ZERO <= took.min() <= took.max() < _ZERO:
                return self._ordered_apart_ns(at_least=at_least)
            keys[end : (end := end + len(took))] = (place << _LATENCY_BITS) + (took + _ZERO)
        keys.sort()
        return (keys & (2 * _ZERO - 1)) - _ZERO

    def _ordered_apart_ns(self, *, at_least: bool) -> NDArray[np.int64]:
        """Return the same where latencies are longer than a number has room for beside its step."""
        place, took = self._answers_of(self._samples, at_least=at_least)
        return took[np.lexsort((took, place))]

    def _answers_of(self, piece: PhaseSamples, *, at_least: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the step and the response latency in ns of each answer that came in."""
        came_in = piece.was_sent & (piece.outcome != Outcome.CANCELLED)
        took: NDArray[np.int64] = (piece.ended_ns - piece.due_ns)[came_in]
        if at_least:
            took -= piece.late_ns[came_in]
        return self._steps.place(piece.ended_ns[came_in]), took
