"""Format figures for the cells of a table: `-` where nothing was measured, `>=` where only a bound is known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from aether_load.analysis.latency.part_names import PART_NAMES
from aether_load.analysis.statistics.distribution import Distribution, Percentile, Share
from aether_load.text import terminal_text

if TYPE_CHECKING:
    from aether_load.analysis.latency.decomposition import Part
    from aether_load.analysis.latency.nodes import NodeReport
    from aether_load.analysis.phase.iterations import Iterations
    from aether_load.analysis.phase.phase_report import PhaseReport
    from aether_load.analysis.phase.repeats import RepeatComparison
    from aether_load.analysis.phase.rows import Row
    from aether_load.analysis.phase.workers import WorkerReport
    from aether_load.analysis.verdict.thresholds import ThresholdReport
    from aether_load.scenario.metrics import PartName

WORKER_HEADER = ("worker", "process", "requests", "clock ahead, ms", "ended", "unaccounted")
LEAST_SHARE = 0.0005
"""A share nearer to 0 is written as 0.0 %."""
THRESHOLD_HEADER = ("threshold", "phase", "dataset", "number", "state")


def number(value: float | None, digits: int) -> str:
    """Return a number with a given number of decimals."""
    return "-" if value is None else f"{value:.{digits}f}"


def share(value: float | None) -> str:
    """Return a share in percent."""
    return "-" if value is None else f"{value:.1%}"


def bounded(point: Percentile, digits: int = 1) -> str:
    """Return a percentile, or what bounds it: the samples do not, or the sender may have read answers late."""
    if point.reliability == "unreliable":
        return f">= {point.at_least if point.value is None else point.value:.{digits}f}"
    if point.value is None:
        return f"{point.at_least:.{digits}f} to {point.at_most:.{digits}f}"
    return f"{point.value:.{digits}f}"


def with_interval(point: Percentile) -> str:
    """Return a percentile with its 95 % interval."""
    if point.low is None or point.high is None:
        return bounded(point)
    return f"{bounded(point)} [{point.low:.1f}, {point.high:.1f}]"


def points(latency: Distribution | None, *names: str, digits: int = 1) -> list[str]:
    """Return percentiles of a distribution by name."""
    return ["-" if latency is None else bounded(getattr(latency, name), digits) for name in names]


def share_with_interval(value: Share | None) -> str:
    """Return a share with its 95 % interval."""
    return "-" if value is None else f"{value.value:.3f} [{value.low:.3f}, {value.high:.3f}]"


REPEATS_HEADER = ("ratio", "of", "pairs", "median", "95 % interval")


def repeat_cells(pair: RepeatComparison) -> tuple[str, ...]:
    """Return the cells of phases that were repeated in turns: the median of their ratios, with its interval."""
    low, high = pair.ratio_low, pair.ratio_high
    interval = f"none; {pair.reason}" if low is None or high is None else f"[{low:.3f}, {high:.3f}]"
    return f"{pair.other} / {pair.base}", pair.metric, str(pair.pairs_total), number(pair.ratio_median, 3), interval


def cached_share(figures: Row | PhaseReport) -> str:
    """Return the share of nodes that came from the cache, of those that said whether they did."""
    hits, misses = figures.cached_nodes_total, figures.uncached_nodes_total
    return share(hits / (hits + misses) if hits is not None and misses is not None and hits + misses else None)


def failures_text(outcomes: Mapping[str, int]) -> str:
    """Return how many requests failed in which way, empty where none did."""
    return ", ".join(f"{count} {name}" for name, count in outcomes.items() if count and name != "ok")


def machine_text(machine: Mapping[str, object]) -> str:
    """Return on what machine it was."""
    return f"{machine.get('cpu')}, {machine.get('cores')} cores, {machine.get('os')}"


def worker_rows(workers: Sequence[WorkerReport]) -> list[tuple[str, ...]]:
    """Return a row for each sending process; none where there was one alone."""
    if len(workers) < 2:
        return []
    return [
        (
            str(worker.worker),
            f"{worker.pid} on {worker.host}" if worker.host else str(worker.pid),
            str(worker.requests_total),
            _with_uncertainty(worker.clock_offset_ms, worker.clock_uncertainty_ms),
            worker.ended if worker.lost_in_phase is None else f"{worker.ended} in phase {worker.lost_in_phase}",
            _unaccounted(worker.unaccounted_at_most_total),
        )
        for worker in workers
    ]


def _unaccounted(at_most: int | None) -> str:
    return "not known" if at_most is None else f"up to {at_most}" if at_most else "0"


def _with_uncertainty(value: float | None, uncertainty: float | None) -> str:
    return f"{number(value, 1)} ± {number(uncertainty, 1)}" if value else "-"


def threshold_rows(thresholds: Iterable[ThresholdReport]) -> list[tuple[str, ...]]:
    """Return a row for each phase that a threshold was decided in, and one for what ended the run early, if so."""
    rows: list[tuple[str, ...]] = []
    for asked in thresholds:
        for found in asked.findings:
            number = found.shown or f"none; {found.reason}"
            rows.append((asked.condition, found.phase or "-", found.dataset, number, found.state))
        if (seen := asked.ended_the_run) is not None:
            rows.append((asked.condition, seen.phase, seen.dataset or "all", seen.shown, "ended the run"))
    return rows


ITERATIONS_HEADER = (
    "task", "iterations", "failed", "p50, ms", "p95, ms", "requests each", "in requests, ms", "own time, ms",
)  # fmt: skip


def part_cells(name: PartName, part: Part) -> tuple[str, ...]:
    """Return the cells of a part of response latency: its times, and its shares of mean, tail and variance."""
    return (
        PART_NAMES[name],
        number(part.mean_contribution_ms, 2),
        *points(part.time_ms, "p50", "p99", digits=2),
        share(part.mean_share),
        share(part.tail_share),
        share(part.variance_share),
    )


def node_cells(node: NodeReport) -> tuple[str, ...]:
    """Return the cells of a node: its level, its states, its times, and its shares of cache hits and of paths."""
    times, states = node.node_time_ms, node.states
    return (
        node.title,
        "-" if node.level is None else str(node.level),
        str(states["succeeded"]),
        ", ".join(f"{count} {state}" for state, count in states.items() if count and state != "succeeded") or "-",
        number(times.mean if times else None, 1),
        *points(times, "p50", "p99"),
        share(node.cached_share.value if node.cached_share else None),
        share(node.path_share),
        share(node.tail_path_share),
    )


def iteration_cells(task: Iterations) -> tuple[str, ...]:
    """Return a task's row of `ITERATIONS_HEADER`; interrupted iterations are counted, and in no other figure."""
    p50, p95 = points(task.duration_ms, "p50", "p95")
    return (
        terminal_text(task.task),
        str(task.iterations_total),
        str(task.failed_total),
        p50,
        p95,
        number(task.requests_mean, 1),
        number(task.request_time_ms, 1),
        number(task.own_time_ms, 1),
    )


def _p99(row: Row) -> str:
    return "-" if row.response_latency_ms is None else with_interval(row.response_latency_ms.p99)


def _cached_nodes(row: Row) -> str:
    hits, misses = row.cached_nodes_total, row.uncached_nodes_total
    return "-" if hits is None or misses is None else f"{hits} of {hits + misses}"


def _cost(row: Row) -> str:
    return "-" if row.cost_per_correct_answer_usd is None else f"{row.cost_per_correct_answer_usd:g}"


_ROW_CELLS: Mapping[str, Callable[[Row], str]] = {
    "dataset": lambda row: row.dataset,
    "requests": lambda row: str(row.requests_total),
    "due": lambda row: str(row.requests_total),
    "ok": lambda row: str(row.ok_total),
    "failed": lambda row: str(row.requests_total - row.ok_total),
    "per s": lambda row: number(row.request_throughput_rps, 1),
    "goodput per s": lambda row: number(row.goodput_rps, 1),
    "p50 ms": lambda row: points(row.response_latency_ms, "p50")[0],
    "p95 ms": lambda row: points(row.response_latency_ms, "p95")[0],
    "p99 ms (95 % interval)": _p99,
    "response p50": lambda row: points(row.response_latency_ms, "p50")[0],
    "response p99 (95 %)": _p99,
    "service p50": lambda row: points(row.service_latency_ms, "p50")[0],
    "service p99": lambda row: points(row.service_latency_ms, "p99")[0],
    "cached": cached_share,
    "nodes from cache": _cached_nodes,
    "accuracy": lambda row: share_with_interval(row.accuracy),
    "accuracy (95 % interval)": lambda row: share_with_interval(row.accuracy),
    "server": lambda row: share(row.server_time_share),
    "tokens": lambda row: number(row.tokens_total, 0),
    "tokens per s": lambda row: number(row.tokens_per_s, 0),
    "tokens per right answer": lambda row: number(row.tokens_per_correct_answer, 1),
    "USD per right answer": _cost,
}


def row_cells(row: Row, header: Iterable[str]) -> tuple[str, ...]:
    """Return a row's cells under the headers of a table, each of which names what stands below it."""
    return tuple(_ROW_CELLS[name](row) for name in header)
