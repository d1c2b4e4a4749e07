"""Execute DAGs as generation v2 does: level after level, a level's nodes in parallel unless asked otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from time import monotonic_ns

from aether_load.simulator.clock import Turn
from aether_load.simulator.engine.answer_v2 import AnswerBuilder
from aether_load.simulator.engine.dag import CycleError, levels_of
from aether_load.simulator.engine.node_v2 import run_node
from aether_load.simulator.engine.outcomes import NodeFailedError, NodeTrace, PanicError
from aether_load.simulator.engine.templates import Renderer
from aether_load.simulator.runtime_state import RuntimeState
from aether_load.simulator.wire import AnswerV2, NodeV2, RequestV2

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
    return run.builder.answer(execution_id, total, level_of, aborted=run.aborted, sequential=sequential)


class DagRun:
    """One DAG as it runs; it keeps the metrics and the cache that it began with, also over a restart."""

    def __init__(self, state: RuntimeState, request: RequestV2, trace: list[NodeTrace]) -> None:
        self._provider, self._cache = state.provider, state.cache
        self._renderer = Renderer(request.context or {})
        self._outputs: dict[str, str] = {}
        nodes = request.dag.nodes
        policy = (nodes[0].execution_hints.error_policy or "").lower() if nodes else ""
        self._skips = policy == "skip"
        self._aborts = policy not in {"skip", "retry"}
        self.builder = AnswerBuilder(state.metrics, trace)
        self.aborted = False

    async def run(self, levels: Sequence[Sequence[NodeV2]], *, sequential: bool) -> None:
        """Run the levels; after a failure that aborts the run, the later ones are skipped."""
        turn = Turn()
        for depth, level in enumerate(levels):
            if self.aborted:
                for node in level:
                    self.builder.add_skipped(node, "Aborted due to previous failure")
                continue
            await turn.end_if_due()
            began = monotonic_ns()
            self.builder.begin_level(1 if sequential else len(level))
            await (self._one_by_one(level, depth, turn) if sequential else self._side_by_side(level, depth))
            self.builder.end_level((monotonic_ns() - began) // 1_000_000)

    async def _one_by_one(self, level: Sequence[NodeV2], depth: int, turn: Turn) -> None:
        """Run a level's nodes in order, each with the outputs of those before it; a failure may break it off."""
        for node in level:
            if not self._is_skipped(node):
                await turn.end_if_due()
                await self._attempt(node, depth, self._outputs, self._outputs)
                if self.aborted:
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

    def _is_skipped(self, node: NodeV2) -> bool:
        """Skip a node whose dependency failed or was skipped, where the policy says so; a panic leaves no status."""
        if not self._skips:
            return False
        states = (self.builder.status.get(needed) for needed in node.dependencies)
        if not any(status and status.state in {"failed", "skipped"} for status in states):
            return False
        self.builder.add_skipped(node, "Dependency failed")
        return True

    async def _attempt_in_task(self, node: NodeV2, depth: int, made: dict[str, str]) -> None:
        try:
            await self._attempt(node, depth, self._outputs, made)
        except PanicError:
            self.aborted = self._aborts

    async def _attempt(self, node: NodeV2, depth: int, outputs: Mapping[str, str], made: dict[str, str]) -> None:
        """Run a node and add how it ended; raises PanicError when it panicked."""
        try:
            result = await run_node(node, depth, self._renderer, outputs, self._provider, self._cache)
        except NodeFailedError as failure:
            self.builder.add_failure(node, str(failure))
            self.aborted = self._aborts
        except PanicError as panic:
            self.builder.add_panic(node, str(panic))
            raise
        else:
            made[node.id] = result.output
            self.builder.add_success(result)
