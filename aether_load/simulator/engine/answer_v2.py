"""Collect the answer of generation v2, node by node."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from aether_load.simulator.engine.metrics import Metrics
from aether_load.simulator.engine.outcomes import NodeTrace
from aether_load.simulator.wire import AnswerV2, NodeStatus, NodeV2, ResultV2

_SUCCEEDED = NodeStatus("succeeded", attempts=1)


class AnswerBuilder:
    """Collects how nodes end: for the answer, for the metrics, and for the record."""

    def __init__(self, metrics: Metrics, trace: list[NodeTrace]) -> None:
        self._metrics = metrics
        self._trace = trace
        self._results: list[ResultV2] = []
        self._errors: list[str] = []
        self._times: dict[str, int] = {}
        self._skipped: list[str] = []
        self._level_times: list[int] = []
        self._widest = 0
        self.status: dict[str, NodeStatus] = {}

    def add_success(self, result: ResultV2) -> None:
        """Add a node that succeeded."""
        node_id, took = result.node_id, result.execution_time_ms
        self._metrics.succeeded(took, result.token_cost, cached=result.cache_hit)
        self._times[node_id] = took
        self.status[node_id] = _SUCCEEDED
        self._results.append(result)
        self._trace.append(NodeTrace(node_id, "succeeded", took, result.cache_hit, result.token_cost))

    def add_failure(self, node: NodeV2, reason: str) -> None:
        """Add a node that failed."""
        self._metrics.errors += 1
        self._errors.append(f"Node {node.id}: {reason}")
        self._times[node.id] = 0
        self.status[node.id] = NodeStatus("failed", attempts=1, error=reason)
        self._trace.append(NodeTrace(node.id, "failed"))

    def add_panic(self, node: NodeV2, message: str) -> None:
        """Add a node that panicked; it gets no status and counts in no metric."""
        self._errors.append(f'Task execution panicked: task panicked with message "{message}"')
        self._trace.append(NodeTrace(node.id, "panicked"))

    def add_skipped(self, node: NodeV2, reason: str) -> None:
        """Add a node that is not run."""
        self._skipped.append(node.id)
        self.status[node.id] = NodeStatus("skipped", attempts=0, skip_reason=reason)
        self._trace.append(NodeTrace(node.id, "skipped"))

    def begin_level(self, width: int) -> None:
        """Note how many nodes of a level run at once."""
        self._widest = max(self._widest, width)
        self._metrics.parallel_nodes = width

    def end_level(self, took: int) -> None:
        """Add a level's time in whole milliseconds."""
        self._level_times.append(took)

    def answer(
        self, execution_id: str, total: int, level_of: dict[str, int], *, aborted: bool, sequential: bool
    ) -> AnswerV2:
        """Return the answer; `total` is in whole milliseconds."""
        results = self._results
        return AnswerV2(
            execution_id=execution_id,
            results=results,
            total_execution_time_ms=total,
            total_token_cost=sum(result.token_cost for result in results),
            parallelization_factor=1.0 if sequential or not total else sum(self._times.values()) / total,
            cache_hit_rate=sum(result.cache_hit for result in results) / len(results) if results else 0.0,
            errors=self._errors,
            level_execution_times_ms=self._level_times or UNSET,
            max_concurrency_used=self._widest,
            node_execution_times_ms=self._times or UNSET,
            node_levels=level_of or UNSET,
            node_status=self.status or UNSET,
            aborted=aborted,
            skipped_nodes=self._skipped or UNSET,
            sequential_mode=sequential,
            **_percentiles("node", [result.execution_time_ms for result in results]),
            **_percentiles("level", self._level_times),
        )


def _percentiles(what: str, times: list[int]) -> dict[str, Any]:
    """Return p50, p95 and p99 at the floored index of q·(n - 1), by their fields; none where there are no times."""
    if not times:
        return {}
    ordered = sorted(times)
    last = len(ordered) - 1
    return {f"{what}_latency_p{q}_ms": ordered[last * q // 100] for q in (50, 95, 99)}
