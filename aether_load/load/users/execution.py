"""What a user's own code gets back from a request."""

from __future__ import annotations

from typing import Any

import msgspec

from aether_load import response
from aether_load.protocol import Outcome


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """One request as its user sees it.

    `outcome` is `ok` or what went wrong, by the names of the report; `error` says it in words. Where the answer could
    not be read, `output` and the server's figures are None, and the dicts are empty. `output` is that of the DAG's
    answering node, or of its last one. Times are in ms: `latency_ms` by the client's clock, `server_total_ms` and
    `node_times_ms` whole ms by the server's. `cache_hits_total` is None where the runtime does not tell.
    """

    outcome: str
    output: Any = None
    outputs: dict[str, Any] = msgspec.field(default_factory=dict)
    node_times_ms: dict[str, int] = msgspec.field(default_factory=dict)
    latency_ms: float | None = None
    server_total_ms: int | None = None
    tokens_total: int | None = None
    cache_hits_total: int | None = None
    error: str | None = None

    @property
    def ok(self) -> bool:
        """Tell whether the request succeeded."""
        return self.outcome == Outcome.OK.label


NOT_SENT = Execution(outcome=Outcome.DROPPED.label, error="the load has ended, so that nothing was sent")


def execution_of(
    outcome: Outcome, reason: str | None, told: response.Execution | None, latency_ms: float, answer_node: str | None
) -> Execution:
    """Return an answer as user code sees it; its output is that of `answer_node`, or (None) of the last node."""
    if told is None:
        return Execution(outcome=outcome.label, latency_ms=latency_ms, error=reason)
    if len(told.results) == 1:
        (only,) = told.results
        return Execution(
            outcome=outcome.label,
            output=only.output if answer_node in {None, only.node_id} else None,
            outputs={only.node_id: only.output},
            node_times_ms={only.node_id: only.execution_time_ms},
            latency_ms=latency_ms,
            server_total_ms=told.total_execution_time_ms,
            tokens_total=told.total_token_cost,
            cache_hits_total=None if only.cache_hit is None else int(only.cache_hit),
            error=reason,
        )
    outputs = {result.node_id: result.output for result in told.results}
    last = told.results[-1].node_id if told.results else None
    cached = [result.cache_hit for result in told.results if result.cache_hit is not None]
    return Execution(
        outcome=outcome.label,
        output=outputs.get(answer_node if answer_node is not None else last or ""),
        outputs=outputs,
        node_times_ms={result.node_id: result.execution_time_ms for result in told.results},
        latency_ms=latency_ms,
        server_total_ms=told.total_execution_time_ms,
        tokens_total=told.total_token_cost,
        cache_hits_total=sum(cached) if cached else None,
        error=reason,
    )
