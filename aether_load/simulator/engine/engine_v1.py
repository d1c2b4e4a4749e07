"""Execute DAGs as generation v1 does: one node after the other in the order given."""

from __future__ import annotations

from time import monotonic_ns

from aether_load.simulator.clock import Turn
from aether_load.simulator.engine.outcomes import NodeFailedError, NodeTrace, PanicError
from aether_load.simulator.engine.provider import Provider
from aether_load.simulator.runtime_state import RuntimeState
from aether_load.simulator.wire import AnswerV1, NodeV1, RequestV1, ResultV1


async def execute_v1(state: RuntimeState, execution_id: str, request: RequestV1, trace: list[NodeTrace]) -> AnswerV1:
    """Run every node; a failed one does not stop the later ones. Raises PanicError when one panics."""
    metrics = state.metrics
    turn = Turn()
    started = monotonic_ns()
    results: list[ResultV1] = []
    errors: list[str] = []
    for node in request.nodes:
        await turn.end_if_due()
        began = monotonic_ns()
        try:
            output, tokens = await _run(node, state.provider)
        except NodeFailedError as failure:
            metrics.errors += 1
            errors.append(f"Node {node.id}: {failure}")
            trace.append(NodeTrace(node.id, "failed"))
        except PanicError:
            trace.append(NodeTrace(node.id, "panicked"))
            raise
        else:
            took = (monotonic_ns() - began) // 1_000_000
            metrics.succeeded(took, tokens, cached=False)
            results.append(ResultV1(node.id, output, took, tokens))
            trace.append(NodeTrace(node.id, "succeeded", took, cached=False, tokens=tokens))
    total = (monotonic_ns() - started) // 1_000_000
    return AnswerV1(execution_id, results, total, sum(result.token_cost for result in results), errors)


async def _run(node: NodeV1, provider: Provider) -> tuple[str, int]:
    """Return a node's output and its tokens."""
    async with provider.slot:
        if node.node_type == "llm_fn":
            prompt = node.prompt or ""
            if node.prompt is not None:
                await provider.check(prompt)
            tokens = 50 + len(prompt.encode()) // 4
            return await provider.complete(prompt, node.model or "", tokens), tokens
        await provider.function()
    if node.node_type == "fn":
        return f"Function {node.id} executed", 0
    raise NodeFailedError(f"Unknown node type: {node.node_type}")
