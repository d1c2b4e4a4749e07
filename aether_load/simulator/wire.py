"""Define the request and answer bodies of both generations."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

U32 = Annotated[int, Meta(ge=0, le=2**32 - 1)]
I32 = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
U64 = Annotated[int, Meta(ge=0)]

RefKind = Literal["context", "node_output", "parameter", "constant", "variable"]
Sensitivity = Literal["low", "medium", "high"]
NodeType = Literal["llm_fn", "compute", "conditional", "input", "output"]


class NodeV1(Struct, frozen=True):
    """A node of the first generation; any `node_type` is accepted, and an unknown one fails when the node runs."""

    id: str
    node_type: str
    dependencies: tuple[str, ...]
    prompt: str | None = None
    model: str | None = None


class RequestV1(Struct, frozen=True):
    """The body of `POST /execute` of the first generation."""

    nodes: tuple[NodeV1, ...]


class Provenance(Struct, frozen=True):
    """Where a placeholder was written; read and not used."""

    file: str | None = None
    line: U32 | None = None
    column: U32 | None = None
    original_expr: str | None = None


class TemplateRef(Struct, frozen=True):
    """One placeholder of a prompt template, and the value that replaces it."""

    raw: str
    kind: RefKind
    path: tuple[str, ...] = ()
    node_id: str | None = None
    field: str | None = None
    required: bool = True
    sensitivity: Sensitivity = "low"
    folded_value: str | None = None
    provenance: Provenance | None = None


class RenderPolicy(Struct, frozen=True):
    """Limits on what is filled in; `max_value_length` in bytes, 0 is none."""

    allowed_context_keys: tuple[str, ...] = ()
    redact_keys: tuple[str, ...] = ()
    escape_html: bool = False
    max_value_length: U64 = 0


class RetryConfig(Struct, frozen=True):
    """How to retry; read and not used, as in the runtime."""

    max_attempts: U32
    base_delay_ms: U64
    strategy: str
    max_delay_ms: U64 | None = None


class ExecutionHints(Struct, frozen=True):
    """Hints of a node; only the first node's `error_policy` has an effect."""

    parallel_group: str | None = None
    max_concurrency: U32 | None = None
    error_policy: str | None = None
    barrier: bool = False
    priority: I32 = 0
    retry: RetryConfig | None = None


class SourceLocation(Struct, frozen=True):
    """Where a node was written; read and not used."""

    file: str
    line: U32
    column: U32


class NodeV2(Struct, frozen=True):
    """A node of today's generation."""

    id: str
    node_type: NodeType
    name: str | None = None
    prompt_template: str | None = None
    prompt: str | None = None
    template_refs: tuple[TemplateRef, ...] = ()
    model: str | None = None
    temperature: float | None = None
    max_tokens: U32 | None = None
    system_prompt: str | None = None
    dependencies: tuple[str, ...] = ()
    cache_key_inputs: tuple[str, ...] = ()
    render_policy: RenderPolicy = RenderPolicy()
    execution_hints: ExecutionHints = ExecutionHints()
    return_type: str | None = None
    source_location: SourceLocation | None = None


class DagInput(Struct, frozen=True):
    """A declared input of a flow; read and not used."""

    name: str
    type: str
    required: bool = False
    default_value: str | None = None


class DagMetadata(Struct, frozen=True):
    """The compiler's notes on a flow; read and not used."""

    flow_name: str | None = None
    source_file: str | None = None
    compiler_version: str | None = None
    compiled_at: str | None = None
    inputs: tuple[DagInput, ...] = ()
    output_type: str | None = None
    constants: dict[str, str] = {}


class Dag(Struct, frozen=True):
    """Nodes and their dependencies."""

    nodes: tuple[NodeV2, ...]
    schema_version: str = "1.0"
    metadata: DagMetadata = DagMetadata()


class RequestV2(Struct, frozen=True):
    """The body of `POST /execute` of today's generation."""

    dag: Dag
    context: dict[str, Any] | None = None


class ResultV1(Struct, frozen=True):
    """A node that succeeded."""

    node_id: str
    output: str
    execution_time_ms: int
    token_cost: int


class AnswerV1(Struct, frozen=True):
    """The answer of the first generation."""

    execution_id: str
    results: list[ResultV1]
    total_execution_time_ms: int
    total_token_cost: int
    errors: list[str]


class ResultV2(Struct, frozen=True):
    """A node that succeeded."""

    node_id: str
    output: str
    execution_time_ms: int
    token_cost: int
    cache_hit: bool
    rendered_prompt: str | UnsetType
    input_tokens: int
    output_tokens: int
    level: int


class NodeStatus(Struct, frozen=True):
    """How a node ended."""

    state: Literal["succeeded", "failed", "skipped"]
    attempts: int
    error: str | UnsetType = UNSET
    skip_reason: str | UnsetType = UNSET


class AnswerV2(Struct, frozen=True, kw_only=True):
    """The answer of today's generation; what is UNSET is left out, as the runtime leaves out what is empty."""

    execution_id: str
    results: list[ResultV2] = []
    total_execution_time_ms: int = 0
    total_token_cost: int = 0
    parallelization_factor: float = 0.0
    cache_hit_rate: float = 0.0
    errors: list[str]
    level_execution_times_ms: list[int] | UnsetType = UNSET
    max_concurrency_used: int = 0
    node_execution_times_ms: dict[str, int] | UnsetType = UNSET
    node_levels: dict[str, int] | UnsetType = UNSET
    node_status: dict[str, NodeStatus] | UnsetType = UNSET
    aborted: bool
    skipped_nodes: list[str] | UnsetType = UNSET
    tokens_saved: int = 0
    node_latency_p50_ms: int | UnsetType = UNSET
    node_latency_p95_ms: int | UnsetType = UNSET
    node_latency_p99_ms: int | UnsetType = UNSET
    level_latency_p50_ms: int | UnsetType = UNSET
    level_latency_p95_ms: int | UnsetType = UNSET
    level_latency_p99_ms: int | UnsetType = UNSET
    sequential_mode: bool


encode = msgspec.json.Encoder().encode
