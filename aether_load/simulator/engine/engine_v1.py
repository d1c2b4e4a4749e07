"""The first generation: nodes one after the other in the order given, whatever their dependencies."""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING

from aether_load.simulator.engine.outcomes import NodeFailedError, PanicError
from aether_load.simulator.engine.trace import NodeTrace
from aether_load.simulator.wire import AnswerV1, NodeV1, RequestV1, ResultV1

if TYPE_CHECKING:
    from aether_load.simulator.engine.metrics import Metrics
    from aether_load.simulator.engine.provider import Provider


class EngineV1:
    """Runs requests of the first generation."""

    def __init__(self, provider: Provider, metrics: Metrics) -> None:
        self._provider = provider
        self._metrics = metrics

    async def execute(self, execution_id: str, request: RequestV1, trace: list[NodeTrace]) -> AnswerV1:
        """Run every node; a failed one does not stop the later ones. PanicError when one panics."""
        started = monotonic_ns()
        results: list[ResultV1] = []
        errors: list[str] = []
        for node in request.nodes:
            began = monotonic_ns()
            try:
                output, tokens = await self._run(node)
            except NodeFailedError as failure:
                self._metrics.errors += 1
                errors.append(f"Node {node.id}: {failure}")
                trace.append(NodeTrace(node.id, "failed", 0, cached=False, tokens=0))
            except PanicError:
                trace.append(NodeTrace(node.id, "panicked", 0, cached=False, tokens=0))
                raise
            else:
                took = (monotonic_ns() - began) // 1_000_000
                self._metrics.succeeded(took, tokens, cached=False)
                results.append(ResultV1(node.id, output, took, tokens))
                trace.append(NodeTrace(node.id, "succeeded", took, cached=False, tokens=tokens))
        total = (monotonic_ns() - started) // 1_000_000
        return AnswerV1(execution_id, results, total, sum(result.token_cost for result in results), errors)

    async def _run(self, node: NodeV1) -> tuple[str, int]:
        """Return a node's output and its tokens."""
        provider = self._provider
        await provider.slots.take()
        try:
            if node.node_type == "llm_fn":
                prompt = node.prompt or ""
                if node.prompt is not None:
                    await provider.check(prompt)
                tokens = 50 + len(prompt.encode()) // 4
                return await provider.complete(prompt, node.model or "", tokens), tokens
            await provider.function()
        finally:
            provider.slots.give_back()
        if node.node_type == "fn":
            return f"Function {node.id} executed", 0
        raise NodeFailedError(f"Unknown node type: {node.node_type}")
