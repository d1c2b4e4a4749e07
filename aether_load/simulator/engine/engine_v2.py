"""Today's generation: levels one after the other, a level's nodes in parallel or, when asked, one at a time."""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from aether_load.simulator.engine.dag import CycleError, levels_of
from aether_load.simulator.engine.node_v2 import run_node
from aether_load.simulator.engine.outcomes import NodeFailedError, PanicError
from aether_load.simulator.engine.templates import Renderer
from aether_load.simulator.engine.trace import NodeTrace
from aether_load.simulator.http.fiber import gather
from aether_load.simulator.wire import AnswerV2, NodeStatus, ResultV2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aether_load.simulator.engine.cache import Cache
    from aether_load.simulator.engine.metrics import Metrics
    from aether_load.simulator.engine.node_v2 import NodeOutput
    from aether_load.simulator.engine.provider import Provider
    from aether_load.simulator.wire import NodeV2, RequestV2

_SUCCEEDED = NodeStatus("succeeded", attempts=1)
_ABORTED = NodeStatus("skipped", attempts=0, skip_reason="Aborted due to previous failure")
_DEPENDENCY_FAILED = NodeStatus("skipped", attempts=0, skip_reason="Dependency failed")


class EngineV2:
    """Runs requests of today's generation."""

    def __init__(self, provider: Provider, cache: Cache, metrics: Metrics) -> None:
        self._provider = provider
        self._cache = cache
        self._metrics = metrics

    async def execute(
        self, execution_id: str, request: RequestV2, trace: list[NodeTrace], *, sequential: bool
    ) -> AnswerV2:
        """Run a DAG. DuplicateIdError for two nodes of one id, PanicError when one panics in sequential mode."""
        started = monotonic_ns()
        nodes = request.dag.nodes
        try:
            levels, level_of = levels_of(nodes)
        except CycleError as cycle:
            self._metrics.errors += 1
            return AnswerV2(execution_id=execution_id, errors=[str(cycle)], aborted=True, sequential_mode=sequential)
        run = _Run(self._provider, self._cache, self._metrics, request, trace)
        level_times = []
        widest = 0
        for depth, level in enumerate(levels):
            if run.aborted:
                run.skip(level, _ABORTED)
                continue
            began = monotonic_ns()
            width = 1 if sequential else len(level)
            widest = max(widest, width)
            self._metrics.parallel_nodes = width
            await (run.one_by_one(level, depth) if sequential else run.side_by_side(level, depth))
            level_times.append((monotonic_ns() - began) // 1_000_000)
        total = (monotonic_ns() - started) // 1_000_000
        return run.answer(execution_id, total, level_times, widest, level_of, sequential=sequential)


class _Run:
    """One DAG on its way."""

    def __init__(
        self, provider: Provider, cache: Cache, metrics: Metrics, request: RequestV2, trace: list[NodeTrace]
    ) -> None:
        self._provider = provider
        self._cache = cache
        self._metrics = metrics
        self._trace = trace
        self._renderer = Renderer(request.context or {})
        nodes = request.dag.nodes
        policy = (nodes[0].execution_hints.error_policy or "").lower() if nodes else ""
        self._skips = policy == "skip"
        self._aborts = policy not in {"skip", "retry"}
        self.aborted = False
        self._results: list[ResultV2] = []
        self._errors: list[str] = []
        self._outputs: dict[str, str] = {}
        self._times: dict[str, int] = {}
        self._status: dict[str, NodeStatus] = {}
        self._skipped: list[str] = []
        self._hits = 0

    async def one_by_one(self, level: Sequence[NodeV2], depth: int) -> None:
        """Run a level's nodes in order; where the policy aborts, a failure breaks it off. PanicError at a panic."""
        for node in level:
            if self._is_skipped(node):
                continue
            await self._attempt(node, depth, self._outputs)
            if self.aborted:
                return

    async def side_by_side(self, level: Sequence[NodeV2], depth: int) -> None:
        """Run a level's nodes at once, to the last; a panic of one is an error of the DAG."""
        outputs = self._outputs.copy()  # nodes of one level never see each other's
        await gather([self._attempt_in_task(node, depth, outputs) for node in level if not self._is_skipped(node)])

    def skip(self, level: Sequence[NodeV2], status: NodeStatus) -> None:
        """Mark nodes as skipped."""
        for node in level:
            self._status[node.id] = status
            self._skipped.append(node.id)
            self._trace.append(NodeTrace(node.id, "skipped", 0, cached=False, tokens=0))

    def _is_skipped(self, node: NodeV2) -> bool:
        """Skip a node whose dependency failed or was skipped, where the policy says so; a panic left no status."""
        if not self._skips:
            return False
        states = (self._status.get(needed) for needed in node.dependencies)
        if not any(status and status.state in {"failed", "skipped"} for status in states):
            return False
        self.skip([node], _DEPENDENCY_FAILED)
        return True

    async def _attempt_in_task(self, node: NodeV2, depth: int, outputs: dict[str, str]) -> None:
        try:
            await self._attempt(node, depth, outputs)
        except PanicError as panic:
            self._errors.append(f'Task execution panicked: task panicked with message "{panic}"')
            self.aborted = self._aborts

    async def _attempt(self, node: NodeV2, depth: int, outputs: dict[str, str]) -> None:
        began = monotonic_ns()
        try:
            output = await run_node(node, self._renderer, outputs, self._provider, self._cache)
        except NodeFailedError as failure:
            self._fail(node, str(failure))
        except PanicError:
            self._trace.append(NodeTrace(node.id, "panicked", 0, cached=False, tokens=0))
            raise
        else:
            self._succeed(node, depth, output, (monotonic_ns() - began) // 1_000_000)

    def _succeed(self, node: NodeV2, depth: int, output: NodeOutput, took: int) -> None:
        tokens = output.input_tokens + output.output_tokens
        self._metrics.succeeded(took, tokens, cached=output.cached)
        self._hits += output.cached
        self._outputs[node.id] = output.text
        self._times[node.id] = took
        self._status[node.id] = _SUCCEEDED
        self._results.append(
            ResultV2(
                node.id,
                output.text,
                took,
                tokens,
                output.cached,
                UNSET if output.prompt is None else output.prompt,
                output.input_tokens,
                output.output_tokens,
                depth,
            )
        )
        self._trace.append(NodeTrace(node.id, "succeeded", took, output.cached, tokens))

    def _fail(self, node: NodeV2, reason: str) -> None:
        self._metrics.errors += 1
        self._errors.append(f"Node {node.id}: {reason}")
        self._times[node.id] = 0
        self._status[node.id] = NodeStatus("failed", attempts=1, error=reason)
        self._trace.append(NodeTrace(node.id, "failed", 0, cached=False, tokens=0))
        self.aborted = self._aborts

    def answer(
        self,
        execution_id: str,
        total: int,
        level_times: list[int],
        widest: int,
        level_of: dict[str, int],
        *,
        sequential: bool,
    ) -> AnswerV2:
        """Put the answer together; `total` and the levels' times in whole milliseconds."""
        results = self._results
        node_p50, node_p95, node_p99 = _percentiles([result.execution_time_ms for result in results])
        level_p50, level_p95, level_p99 = _percentiles(level_times)
        factor = 1.0 if sequential or not total else sum(self._times.values()) / total
        return AnswerV2(
            execution_id=execution_id,
            results=results,
            total_execution_time_ms=total,
            total_token_cost=sum(result.token_cost for result in results),
            parallelization_factor=factor,
            cache_hit_rate=self._hits / len(results) if results else 0.0,
            errors=self._errors,
            level_execution_times_ms=level_times or UNSET,
            max_concurrency_used=widest,
            node_execution_times_ms=self._times or UNSET,
            node_levels=level_of or UNSET,
            node_status=self._status or UNSET,
            aborted=self.aborted,
            skipped_nodes=self._skipped or UNSET,
            node_latency_p50_ms=node_p50,
            node_latency_p95_ms=node_p95,
            node_latency_p99_ms=node_p99,
            level_latency_p50_ms=level_p50,
            level_latency_p95_ms=level_p95,
            level_latency_p99_ms=level_p99,
            sequential_mode=sequential,
        )


def _percentiles(times: list[int]) -> tuple[Any, Any, Any]:
    """Return p50, p95 and p99 at the floored index of q·(n - 1), or UNSET where there is nothing."""
    if not times:
        return UNSET, UNSET, UNSET
    if len(times) == 1:
        return times[0], times[0], times[0]
    ordered = sorted(times)
    last = len(ordered) - 1
    return ordered[int(0.50 * last)], ordered[int(0.95 * last)], ordered[int(0.99 * last)]
