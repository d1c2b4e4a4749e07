"""Today's generation: levels one after the other, a level's nodes in parallel or, when asked, one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from time import monotonic_ns
from typing import Any

from msgspec import UNSET

from aether_load.simulator.clock import Turn
from aether_load.simulator.engine.dag import CycleError, levels_of
from aether_load.simulator.engine.node_v2 import NodeOutput, run_node
from aether_load.simulator.engine.outcomes import NodeFailedError, NodeTrace, PanicError
from aether_load.simulator.engine.templates import Renderer
from aether_load.simulator.runtime_state import RuntimeState
from aether_load.simulator.wire import AnswerV2, NodeStatus, NodeV2, RequestV2, ResultV2

_SUCCEEDED = NodeStatus("succeeded", attempts=1)
_ABORTED = NodeStatus("skipped", attempts=0, skip_reason="Aborted due to previous failure")
_DEPENDENCY_FAILED = NodeStatus("skipped", attempts=0, skip_reason="Dependency failed")
_BATCH = 64
"""Nodes of one level that start before other connections and signals get a turn."""


async def execute_v2(
    state: RuntimeState, execution_id: str, request: RequestV2, trace: list[NodeTrace], *, sequential: bool
) -> AnswerV2:
    """Run a DAG. Raises DuplicateIdError, and PanicError when a node panics in sequential mode."""
    started = monotonic_ns()
    try:
        levels, level_of = levels_of(request.dag.nodes)
    except CycleError as cycle:
        state.metrics.errors += 1
        return AnswerV2(execution_id=execution_id, errors=[str(cycle)], aborted=True, sequential_mode=sequential)
    run = DagRun(state, request, trace)
    await run.run(levels, sequential=sequential)
    total = (monotonic_ns() - started) // 1_000_000
    return run.answer(execution_id, total, level_of, sequential=sequential)


class DagRun:
    """One DAG as it runs; it keeps the metrics and the cache that it began with, also over a restart."""

    def __init__(self, state: RuntimeState, request: RequestV2, trace: list[NodeTrace]) -> None:
        self._provider, self._cache, self._metrics = state.provider, state.cache, state.metrics
        self._renderer = Renderer(request.context or {})
        self._trace = trace
        nodes = request.dag.nodes
        policy = (nodes[0].execution_hints.error_policy or "").lower() if nodes else ""
        self._skips = policy == "skip"
        self._aborts = policy not in {"skip", "retry"}
        self._aborted = False
        self._widest = 0
        self._level_times: list[int] = []
        self._results: list[ResultV2] = []
        self._errors: list[str] = []
        self._outputs: dict[str, str] = {}
        self._times: dict[str, int] = {}
        self._status: dict[str, NodeStatus] = {}
        self._skipped: list[str] = []

    async def run(self, levels: Sequence[Sequence[NodeV2]], *, sequential: bool) -> None:
        """Run the levels; after a failure that aborts the run, the later ones are skipped."""
        turn = Turn()
        for depth, level in enumerate(levels):
            if self._aborted:
                for node in level:
                    self._skip(node, _ABORTED)
                continue
            await turn.end_if_due()
            began = monotonic_ns()
            width = 1 if sequential else len(level)
            self._widest = max(self._widest, width)
            self._metrics.parallel_nodes = width
            await (self._one_by_one(level, depth, turn) if sequential else self._side_by_side(level, depth))
            self._level_times.append((monotonic_ns() - began) // 1_000_000)

    async def _one_by_one(self, level: Sequence[NodeV2], depth: int, turn: Turn) -> None:
        """Run a level's nodes in order, each with the outputs of those before it; a failure may break it off."""
        for node in level:
            if not self._is_skipped(node):
                await turn.end_if_due()
                await self._attempt(node, depth, self._outputs, self._outputs)
                if self._aborted:
                    return

    async def _side_by_side(self, level: Sequence[NodeV2], depth: int) -> None:
        """Run a level's nodes at once, to the last; a panic of one is an error of the DAG."""
        made: dict[str, str] = {}  # nodes of one level never see each other's outputs
        running = [node for node in level if not self._is_skipped(node)]
        if len(running) == 1:
            await self._attempt_in_task(running[0], depth, made)
        else:
            async with asyncio.TaskGroup() as tasks:
                for number, node in enumerate(running, start=1):
                    tasks.create_task(self._attempt_in_task(node, depth, made))
                    if number % _BATCH == 0:
                        await asyncio.sleep(0)
        self._outputs.update(made)

    def _skip(self, node: NodeV2, status: NodeStatus) -> None:
        self._status[node.id] = status
        self._skipped.append(node.id)
        self._trace.append(NodeTrace(node.id, "skipped"))

    def _is_skipped(self, node: NodeV2) -> bool:
        """Skip a node whose dependency failed or was skipped, where the policy says so; a panic leaves no status."""
        if not self._skips:
            return False
        states = (self._status.get(needed) for needed in node.dependencies)
        if not any(status and status.state in {"failed", "skipped"} for status in states):
            return False
        self._skip(node, _DEPENDENCY_FAILED)
        return True

    async def _attempt_in_task(self, node: NodeV2, depth: int, made: dict[str, str]) -> None:
        try:
            await self._attempt(node, depth, self._outputs, made)
        except PanicError as panic:
            self._errors.append(f'Task execution panicked: task panicked with message "{panic}"')
            self._aborted = self._aborts

    async def _attempt(self, node: NodeV2, depth: int, outputs: Mapping[str, str], made: dict[str, str]) -> None:
        began = monotonic_ns()
        try:
            output = await run_node(node, self._renderer, outputs, self._provider, self._cache)
        except NodeFailedError as failure:
            self._fail(node, str(failure))
        except PanicError:
            self._trace.append(NodeTrace(node.id, "panicked"))
            raise
        else:
            made[node.id] = output.text
            self._succeed(node, depth, output, (monotonic_ns() - began) // 1_000_000)

    def _succeed(self, node: NodeV2, depth: int, output: NodeOutput, took: int) -> None:
        text, prompt, cached, input_tokens, output_tokens = output
        tokens = input_tokens + output_tokens
        self._metrics.succeeded(took, tokens, cached=cached)
        self._times[node.id] = took
        self._status[node.id] = _SUCCEEDED
        shown = UNSET if prompt is None else prompt
        self._results.append(ResultV2(node.id, text, took, tokens, cached, shown, input_tokens, output_tokens, depth))
        self._trace.append(NodeTrace(node.id, "succeeded", took, cached, tokens))

    def _fail(self, node: NodeV2, reason: str) -> None:
        self._metrics.errors += 1
        self._errors.append(f"Node {node.id}: {reason}")
        self._times[node.id] = 0
        self._status[node.id] = NodeStatus("failed", attempts=1, error=reason)
        self._trace.append(NodeTrace(node.id, "failed"))
        self._aborted = self._aborts

    def answer(self, execution_id: str, total: int, level_of: dict[str, int], *, sequential: bool) -> AnswerV2:
        """Return the answer; `total` is in whole milliseconds."""
        results = self._results
        node_p50, node_p95, node_p99 = _percentiles([result.execution_time_ms for result in results])
        level_p50, level_p95, level_p99 = _percentiles(self._level_times)
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
            node_status=self._status or UNSET,
            aborted=self._aborted,
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
    ordered = sorted(times)
    last = len(ordered) - 1
    return ordered[int(0.50 * last)], ordered[int(0.95 * last)], ordered[int(0.99 * last)]
