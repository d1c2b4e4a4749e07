"""Define the wire contract of the Aether runtime, both generations: requests, answers and metrics."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum, StrEnum
from typing import Annotated, Any, Literal

import msgspec

EXECUTE_PATH = "/execute"
SEQUENTIAL_QUERY = "?sequential=true"
CACHE_CLEAR_PATH = "/cache/clear"
HEALTH_PATH = "/health"
METRICS_PATH = "/metrics"
CACHE_STATS_PATH = "/cache/stats"

EXECUTED_NODES_TOTAL = "aether_executed_nodes_total"
TOKEN_COST_TOTAL = "aether_token_cost_total"  # noqa: S105 -- the name of a metric
ERRORS_TOTAL = "aether_errors_total"
CACHE_HITS_TOTAL = "aether_cache_hits_total"
CACHE_MISSES_TOTAL = "aether_cache_misses_total"
EXECUTION_TIME_SECONDS = "aether_execution_time_seconds"
BUCKET_EDGES_MS = (5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000)
"""Upper edges of `aether_execution_time_seconds` in ms; a twelfth bucket, +Inf, is above them."""

MAX_BODY_BYTES = 2 * 1024 * 1024
"""The longest body that a runtime takes; a longer one is answered with 413."""

CYCLE_PREFIX = "Cycle detected"
"""How the one error of an answer begins whose DAG has a cycle."""


class Generation(StrEnum):
    """Which of the two wire formats a runtime speaks."""

    V1 = "v1"
    V2 = "v2"


class Outcome(IntEnum):
    """What became of one request; `label` is its name in every output."""

    OK = 0
    REJECTED = 1
    NODE_ERROR = 2
    ABORTED = 3
    HTTP_ERROR = 4
    INVALID_RESPONSE = 5
    TIMEOUT = 6
    CONNECTION_ERROR = 7
    DROPPED = 8
    CANCELLED = 9

    @property
    def label(self) -> str:
        """Return the name that stands in samples and reports."""
        return self.name.lower()


READABLE = (Outcome.OK, Outcome.REJECTED, Outcome.NODE_ERROR, Outcome.ABORTED)
"""Outcomes of answers that were read in full, so that the server's own figures are known."""


class NodeState(IntEnum):
    """What became of one node of an answered DAG; one that panicked is counted by no metric of the runtime."""

    SUCCEEDED = 0
    FAILED = 1
    SKIPPED = 2
    NOT_RUN = 3
    PANICKED = 4

    @property
    def label(self) -> str:
        """Return the name that stands in samples and reports."""
        return self.name.lower()


NODE_TYPES: dict[Generation, tuple[str, ...]] = {
    Generation.V1: ("llm_fn", "fn"),
    Generation.V2: ("llm_fn", "compute", "conditional", "input", "output"),
}
ERROR_POLICIES = ("fail", "fail_fast", "skip", "retry")


class LlmNode(msgspec.Struct, frozen=True):
    """One LLM call of a DAG; of its prompt the runtime fills in the output of each node of `reads`, no more."""

    id: str
    prompt: str
    model: str
    temperature: float | None = None
    max_tokens: int | None = None
    dependencies: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()


class NodeShape(msgspec.Struct, frozen=True):
    """A node's place in a DAG: its id, and the ids of the nodes that it waits for.

    A node of a compiled program has the `function` that it runs, and its `source`, as in `support.aether:27`.
    """

    id: str
    depends_on: tuple[str, ...] = ()
    function: str | None = None
    source: str | None = None


class DagRequest(msgspec.Struct, frozen=True):
    """A DAG as it is sent, before it is written in the words of one generation."""

    flow_name: str
    nodes: tuple[LlmNode, ...]


_U32 = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]


class Provenance(msgspec.Struct, frozen=True):
    """Where the compiler found what a template ref stands for."""

    file: str | None = None
    line: _U32 | None = None
    column: _U32 | None = None
    original_expr: str | None = None


class TemplateRef(msgspec.Struct, frozen=True):
    """A placeholder of a v2 prompt template, and what goes there."""

    raw: str
    kind: str
    path: tuple[str, ...] = ()
    node_id: str | None = None
    field: str | None = None
    required: bool = True
    sensitivity: Literal["low", "medium", "high"] = "low"
    folded_value: str | None = None
    provenance: Provenance | None = None


class SourceLocation(msgspec.Struct, frozen=True):
    """Where a node of a compiled program comes from."""

    file: str
    line: _U32
    column: _U32


class ExecutionHints(msgspec.Struct, frozen=True):
    """Hints of a v2 node; the first node's `error_policy` is the whole DAG's."""

    parallel_group: str | None = None
    max_concurrency: _U32 | None = None
    error_policy: str | None = None
    barrier: bool = False


class NodeV1(msgspec.Struct, frozen=True):
    """A node as a v1 runtime reads it; keys that are not here it passes over."""

    id: str
    node_type: str
    dependencies: tuple[str, ...]
    prompt: str | None = None
    model: str | None = None


class RequestV1(msgspec.Struct, frozen=True):
    """A body as a v1 runtime reads it."""

    nodes: tuple[NodeV1, ...]


class NodeV2(msgspec.Struct, frozen=True):
    """A node as a v2 runtime reads it; keys that are not here it passes over."""

    id: str
    node_type: str
    name: str | None = None
    prompt_template: str | None = None
    prompt: str | None = None
    template_refs: tuple[TemplateRef, ...] = ()
    model: str | None = None
    temperature: float | None = None
    max_tokens: _U32 | None = None
    system_prompt: str | None = None
    dependencies: tuple[str, ...] = ()
    cache_key_inputs: tuple[str, ...] = ()
    render_policy: dict[str, Any] = {}
    execution_hints: ExecutionHints = ExecutionHints()
    return_type: str | None = None
    source_location: SourceLocation | None = None


class DagInput(msgspec.Struct, frozen=True):
    """An input of a flow, as a compiled program declares it."""

    name: str
    type: str
    required: bool = False
    default_value: str | None = None


class DagMetadata(msgspec.Struct, frozen=True):
    """What a v2 DAG says of itself: all of it where it is a compiled program."""

    flow_name: str | None = None
    source_file: str | None = None
    compiler_version: str | None = None
    compiled_at: str | None = None
    inputs: tuple[DagInput, ...] = ()
    output_type: str | None = None
    constants: dict[str, str] = {}


class DagV2(msgspec.Struct, frozen=True):
    """Nodes as a v2 runtime reads them."""

    nodes: tuple[NodeV2, ...]
    schema_version: str = "1.0"
    metadata: DagMetadata = DagMetadata()


class RequestV2(msgspec.Struct, frozen=True):
    """A body as a v2 runtime reads it."""

    dag: DagV2
    context: dict[str, Any] | None = None


def output_placeholder(node_id: str) -> str:
    """Return what stands in a prompt where a v2 runtime, given the ref to it, fills in a node's output."""
    return f"{{{{node.{node_id}.output}}}}"


def node_output_ref(raw: str, node_id: str) -> dict[str, object]:
    """Return the template ref that lets a v2 runtime fill in a node's output for `raw`."""
    return {"raw": raw, "kind": "node_output", "node_id": node_id, "field": "output", "path": [], "required": True}


def context_ref(raw: str, path: Sequence[str]) -> dict[str, object]:
    """Return the template ref that lets a v2 runtime fill in the context's value at `path` for `raw`."""
    return {"raw": raw, "kind": "context", "path": list(path), "required": True, "sensitivity": "low"}


def request_body(dag: DagRequest, generation: Generation) -> dict[str, Any]:
    """Return the body that a runtime of `generation` accepts for `dag`, before it is written as JSON."""
    nodes = [_node(node, generation) for node in dag.nodes]
    if generation is Generation.V1:
        return {"nodes": nodes}
    metadata = {"flow_name": dag.flow_name}
    return {"dag": {"schema_version": "1.0", "metadata": metadata, "nodes": nodes}, "context": {}}


def encode_request(dag: DagRequest, generation: Generation) -> bytes:
    """Return the JSON body that a runtime of `generation` accepts for `dag`."""
    return msgspec.json.encode(request_body(dag, generation))


def _node(node: LlmNode, generation: Generation) -> dict[str, object]:
    fields: dict[str, object] = {
        "id": node.id,
        "node_type": "llm_fn",
        "prompt" if generation is Generation.V1 else "prompt_template": node.prompt,
        "model": node.model,
        "dependencies": node.dependencies,
    }
    if generation is Generation.V1:
        return fields
    if node.reads:
        fields["template_refs"] = [node_output_ref(output_placeholder(read), read) for read in node.reads]
    if node.temperature is not None:
        fields["temperature"] = node.temperature
    if node.max_tokens is not None:
        fields["max_tokens"] = node.max_tokens
    return fields
