"""Read an answer of `/execute`: decode it, compare it with the DAG that was sent, and classify it.

Nothing of an answer is used before all of it has been checked. An answer that breaks the contract anywhere is an
`invalid_response` whose reason names the field and the value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Any

import msgspec

from aether_load.protocol import CYCLE_PREFIX, NodeShape, NodeState, Outcome
from aether_load.redaction import foreign_text

LONGEST_MS = 24 * 60 * 60 * 1000
"""The longest time that an answer may state; no runtime answers after more than a day."""
MOST_TOKENS = 2**31

_MOCK_PREFIX = "[Mock Response]"
_MOCK_OUTPUT_V1 = "TODO"
_REJECTED_MARK = "Security violation: "
_PANIC_MARK = "Task execution panicked"
_FAILED_STATES = ("failed", "skipped")
_NO_PROMPT = (b"", b"null", b'""')
_PROMPT_KEY = b'"prompt_template":'
_COMPRESSED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_MISSING = re.compile(r"missing required field `(\w+)`")
_EXPECTED = re.compile(r"Expected (`[^,]*`)")
_STEPS = re.compile(r"([^.\[\]]+)|\[(\d+)\]")
_MOST_ERRORS = 1000
"""More than a runtime has reason for, unless the DAG is larger: each node fails once, or panics."""
_MOST_OF_ERROR = 300
_MOST_DIGITS = 24
_MOST_EXPLAINED_BYTES = 1 << 20
"""Of a larger answer no value is quoted: reading it once more would hold up the load."""
_TIME = f"a whole number of ms from 0 to {LONGEST_MS} (24 h)"
_COUNT = f"a whole number of tokens from 0 to {MOST_TOKENS}"
_RANGES = {
    "execution_time_ms": _TIME,
    "total_execution_time_ms": _TIME,
    "level_execution_times_ms": _TIME,
    "token_cost": _COUNT,
    "total_token_cost": _COUNT,
}
_TYPES = {
    "str": "text",
    "bool": "true or false",
    "int": "a whole number",
    "array": "a list",
    "object": "an object",
}

_Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=LONGEST_MS)]
_Tokens = Annotated[int, msgspec.Meta(ge=0, le=MOST_TOKENS)]


class NodeResult(msgspec.Struct, gc=False):
    """One successful node of an answer, its time in whole ms, cut off.

    A v1 runtime tells neither `cache_hit` nor `rendered_prompt`, which is JSON text as it came.
    """

    node_id: str
    execution_time_ms: _Milliseconds
    output: Any = None
    token_cost: _Tokens | None = None
    cache_hit: bool | None = None
    rendered_prompt: msgspec.Raw = msgspec.Raw()


class NodeStatus(msgspec.Struct, gc=False):
    """The state that a v2 runtime reports for one node."""

    state: str


class Execution(msgspec.Struct):
    """One answer of `/execute`, without the fields that no measurement uses; times in whole ms, cut off."""

    execution_id: str
    total_execution_time_ms: _Milliseconds
    total_token_cost: _Tokens | None = None
    results: list[NodeResult] = []
    errors: list[str] = []
    aborted: bool = False
    node_status: dict[str, NodeStatus] = {}
    level_execution_times_ms: list[_Milliseconds] | None = None


class SentDag(msgspec.Struct, frozen=True):
    """The DAG that a request sends, as far as answers are compared with it.

    `prompt_node` is the node whose prompt the runtime repeats as it was sent, None where it fills something into each.
    `only_node` is the node of a DAG that has one.
    """

    node_ids: tuple[str, ...]
    known_ids: frozenset[str]
    levels_total: int
    prompt_node: str | None = None
    only_node: str | None = None

    @classmethod
    def of(cls, nodes: Sequence[NodeShape], prompt_node: str | None = None) -> SentDag:
        """Return what answers for a DAG of these nodes are compared with."""
        ids = tuple(node.id for node in nodes)
        return cls(ids, frozenset(ids), _levels_total(nodes), prompt_node, ids[0] if len(ids) == 1 else None)


def _levels_total(nodes: Sequence[NodeShape]) -> int:
    """Return how many nodes the longest chain of dependencies has, as the runtime counts levels."""
    known = {node.id for node in nodes}
    sorter = TopologicalSorter({node.id: known.intersection(node.depends_on) for node in nodes})
    try:
        sorter.prepare()
    except CycleError:
        return len(nodes)
    levels_total = 0
    while ready := sorter.get_ready():
        levels_total += 1
        sorter.done(*ready)
    return max(1, levels_total)


class InvalidResponse(Exception):
    """An answer that breaks the contract; the text says which field does, and how."""


class _SentNode(msgspec.Struct, frozen=True, gc=False):
    id: str
    prompt_template: msgspec.Raw = msgspec.Raw()
    prompt: msgspec.Raw = msgspec.Raw()


class _SentNodes(msgspec.Struct, frozen=True):
    nodes: tuple[_SentNode, ...] = ()


class _SentRequest(_SentNodes, frozen=True):
    dag: _SentNodes = _SentNodes()


_decode = msgspec.json.Decoder(Execution).decode
_decode_request = msgspec.json.Decoder(_SentRequest).decode


def sent_prompt(request: bytes, node_id: str) -> msgspec.Raw:
    """Return the prompt of a node as its JSON in `request`, a body with or without an HTTP head; nothing is copied."""
    start = 0 if request.startswith(b"{") else request.index(b"\r\n\r\n") + 4
    sent = _decode_request(memoryview(request)[start:])
    node = next(node for node in sent.nodes or sent.dag.nodes if node.id == node_id)
    return node.prompt if bytes(node.prompt_template) in _NO_PROMPT else node.prompt_template


def read_answer(
    status: int, body: bytes, dag: SentDag, request: bytes = b"", prompt: msgspec.Raw | None = None
) -> tuple[Outcome, str | None, Execution | None]:
    """Return the outcome of a complete HTTP answer, the reason unless it is `ok`, and its content if it is valid.

    The content is None exactly where the outcome is `http_error` or `invalid_response`. In it every number is within
    its range, and results are of nodes that were sent, each at most once. `request` are the bytes that were sent: a
    prompt that the answer repeats must be in them. `prompt` is their `sent_prompt`, if it was looked up beforehand.
    """
    if status != 200:
        return Outcome.HTTP_ERROR, f"HTTP {status}: {compression_of(body) or foreign_text(body)}", None
    try:
        execution = _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return Outcome.INVALID_RESPONSE, _why_not_decoded(error, body), None
    if _is_plain_success(execution, dag, prompt):
        return Outcome.OK, None, execution
    try:
        check_against(execution, dag, request)
    except InvalidResponse as invalid:
        return Outcome.INVALID_RESPONSE, str(invalid), None
    outcome, reason = classify(execution)
    return outcome, reason, execution


def _is_plain_success(execution: Execution, dag: SentDag, prompt: msgspec.Raw | None) -> bool:
    """Tell whether this is the common answer: one node, which succeeded and repeats the prompt byte by byte.

    Of such an answer `check_against` says the same, and takes three times as long.
    """
    results, levels = execution.results, execution.level_execution_times_ms
    if len(results) != 1 or execution.errors or execution.aborted or (levels is not None and len(levels) > 1):
        return False
    result = results[0]
    if result.node_id != dag.only_node or (dag.prompt_node is not None and result.rendered_prompt != prompt):
        return False
    status = execution.node_status.get(result.node_id)
    return status is None or status.state == "succeeded"


def check_against(execution: Execution, dag: SentDag, request: bytes = b"") -> None:
    """Raise InvalidResponse unless an answer fits the DAG that was sent, and is the answer to this request.

    Without an error each node has one result. With errors some have none; there is still none of a node that was not
    sent, none twice, and none of a node that failed or was skipped.
    """
    results, status, levels = execution.results, execution.node_status, execution.level_execution_times_ms
    seen = set()
    for result in results:
        node_id = result.node_id
        if node_id not in dag.known_ids:
            raise InvalidResponse(f"results has node {foreign_text(node_id)!r}, which was not sent")
        if node_id in seen:
            raise InvalidResponse(f"results has node {node_id!r} twice")
        seen.add(node_id)
        if node_id in status and status[node_id].state in _FAILED_STATES:
            raise InvalidResponse(f"results has node {node_id!r}, whose node_status is {status[node_id].state}")
        if node_id == dag.prompt_node and request:
            _check_prompt(result.rendered_prompt, request, node_id)
    if len(results) < len(dag.node_ids) and not execution.errors and not execution.aborted:
        missing = next(node_id for node_id in dag.node_ids if node_id not in seen)
        raise InvalidResponse(f"results has no node {missing!r}, and errors does not say why")
    if len(execution.errors) > max(_MOST_ERRORS, 2 * len(dag.node_ids)):
        raise InvalidResponse(f"errors has {len(execution.errors)} entries, the DAG sent {len(dag.node_ids)} nodes")
    if levels is not None and len(levels) > dag.levels_total:
        raise InvalidResponse(f"level_execution_times_ms has {len(levels)} levels, the DAG sent {dag.levels_total}")


def _check_prompt(rendered: msgspec.Raw, request: bytes, node_id: str) -> None:
    """Raise InvalidResponse when the prompt that an answer repeats is not in the request that was sent."""
    prompt = bytes(rendered)
    # Mostly it is the request's first prompt; to search all of the request takes ten times as long.
    first = request.find(_PROMPT_KEY) + len(_PROMPT_KEY)
    if prompt in _NO_PROMPT or request.startswith(prompt, first) or prompt in request:
        return
    try:
        text = msgspec.json.decode(prompt, type=str)
    except msgspec.MsgspecError:
        raise InvalidResponse(f"rendered_prompt of node {node_id!r} is {foreign_text(prompt, 60)}, not text") from None
    # Two encoders of JSON may escape different characters of the same text.
    if msgspec.json.decode(sent_prompt(request, node_id), type=str) not in text:
        raise InvalidResponse(
            f"answer of another request: node {node_id!r} repeats a prompt that was not sent: {foreign_text(text, 60)}"
        )


def classify(execution: Execution) -> tuple[Outcome, str | None]:
    """Return the outcome of a valid answer, and its first relevant error.

    The status code alone says nothing: success is no error and not aborted.
    """
    errors = execution.errors
    if not errors:
        return (Outcome.ABORTED, "aborted without an error") if execution.aborted else (Outcome.OK, None)
    if execution.aborted and not execution.results and errors[0].startswith(CYCLE_PREFIX):
        return Outcome.ABORTED, foreign_text(errors[0], _MOST_OF_ERROR)
    other = next((error for error in errors if _REJECTED_MARK not in error), None)
    if other is not None:
        return Outcome.NODE_ERROR, foreign_text(other, _MOST_OF_ERROR)
    return Outcome.REJECTED, foreign_text(errors[0], _MOST_OF_ERROR)


def state_of_missing(execution: Execution, node_id: str) -> NodeState:
    """Return the state of a node that has no result in `execution`."""
    status = execution.node_status.get(node_id)
    if status is not None and status.state == "skipped":
        return NodeState.SKIPPED
    if status is not None and status.state == "failed":
        return NodeState.FAILED
    own = f"Node {node_id}: "
    if any(error.startswith(own) and _PANIC_MARK not in error for error in execution.errors):
        return NodeState.FAILED
    # A node that panicked has no status, and its error does not always name it.
    if any(_PANIC_MARK in error for error in execution.errors):
        return NodeState.PANICKED
    return NodeState.NOT_RUN


def is_mock_output(output: object) -> bool:
    """Tell whether a node's output is the fixed text of the runtime's built-in mock provider."""
    return isinstance(output, str) and (output.startswith(_MOCK_PREFIX) or output == _MOCK_OUTPUT_V1)


# --- reasons: only for answers that are already known to be invalid


def _why_not_decoded(error: Exception, body: bytes) -> str:
    """Return why a body is no answer of a runtime."""
    if isinstance(error, msgspec.ValidationError):
        return _explain(str(error), body)
    if isinstance(error, RecursionError):
        return "the answer is nested too deep"
    if not body:
        return "the answer is empty"
    if (compression := compression_of(body)) is not None:
        return compression
    if isinstance(error, UnicodeDecodeError):
        return f"the answer is not JSON (not UTF-8): {foreign_text(body, 60)}"
    fault = str(error).removeprefix("JSON is malformed: ").replace("Input data was truncated", "it ends too early")
    return f"the answer is not JSON ({fault}): {foreign_text(body, 60)}"


def compression_of(body: bytes) -> str | None:
    """Return a reason that names the compression of a body, or None for one that is not compressed."""
    for magic, name in _COMPRESSED.items():
        if body.startswith(magic):
            return f"the answer is {name}-encoded, which was not asked for"
    return None


def _explain(message: str, body: bytes) -> str:
    """Return msgspec's complaint as a sentence with field and value: `results[0].token_cost is -1; it must be …`."""
    complaint, _, path = message.partition(" - at `$")
    path = path.removesuffix("`").removeprefix(".")
    if missing := _MISSING.search(complaint):
        return f"{path or 'the answer'} has no {missing[1]}"
    wanted = _RANGES.get(path.rpartition(".")[2].partition("[")[0])
    if wanted is None:
        expected = _EXPECTED.search(complaint)
        names = expected[1].replace("`", "").split(" | ") if expected else []
        wanted = " or ".join(_TYPES.get(name, name) for name in names) or "of another type"
    field, value = path or "the answer", _value_at(path, body)
    return f"{field} must be {wanted}" if value is None else f"{field} is {value}; it must be {wanted}"


def _value_at(path: str, body: bytes) -> str | None:
    """Return the JSON value at a path such as `results[0].token_cost`, shortened, or None where it is not found."""
    if len(body) > _MOST_EXPLAINED_BYTES:
        return None
    try:
        # Integers stay text: the value may have more digits than Python converts.
        value = json.loads(body, parse_int=_Digits, parse_constant=_Digits)
        for key, place in _STEPS.findall(path):
            value = value[key] if key else value[int(place)]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    text = value if isinstance(value, _Digits) else json.dumps(value, ensure_ascii=False)
    if isinstance(value, _Digits) and len(value) > _MOST_DIGITS:
        return f"{value[:_MOST_DIGITS]}… ({len(value)} digits)"
    return foreign_text(text, 60)


class _Digits(str):
    """A number of JSON as it is written."""

    __slots__ = ()
