"""The user's own DAG: a JSON file with `{{prompt}}` and `{{row.column}}` in it, checked before it is sent."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from aether_load.dag.check import DagMistake, check_graph
from aether_load.dag.refs import missing_refs
from aether_load.dag.template import PLACEHOLDER, keys_in, strings_in
from aether_load.dag.template import Path as JsonPath
from aether_load.errors import UsageError
from aether_load.protocol import ERROR_POLICIES, NODE_TYPES, Generation, NodeShape, NodeV1, NodeV2, RequestV1, RequestV2
from aether_load.scenario.validation import describe_mistake, did_you_mean, nearest
from aether_load.text import decode_text

PROMPT = "prompt"
ROW = "row."
WRAPPED = '{"dag": {"nodes": […]}, "context": {…}}'
BARE = '{"nodes": […]}'
_MOST_BYTES = 16 << 20


class DagFile(msgspec.Struct, frozen=True):
    """A DAG file that was found right: its JSON, the missing refs put in, and what it wants of a row.

    `columns` maps each `{{row.column}}`'s column to the first place that asks for it.
    """

    path: str
    generation: Generation
    body: dict[str, Any]
    nodes: tuple[NodeShape, ...]
    columns: dict[str, str]

    @property
    def row_names(self) -> set[str]:
        """Return what may stand between braces for a row's words."""
        return {PROMPT, *(ROW + column for column in self.columns)}

    def name_of(self, inner: str) -> str | None:
        """Return `inner` when it stands for a row's words."""
        return inner if inner in self.row_names else None


def read_dag_file(path: str) -> DagFile:
    """Read and check a DAG file; raises UsageError that names file, node and key."""
    try:
        body = _read_json(Path(path))
        generation = _generation_of(body)
        columns = _columns_of(body)
        nodes = _check_v1(body) if generation is Generation.V1 else _check_v2(body, columns)
    except DagMistake as mistake:
        raise UsageError(f"DAG file {path}: {mistake}") from None
    except RecursionError:
        raise UsageError(f"DAG file {path}: it is nested too deep.") from None
    return DagFile(path, generation, body, nodes, columns)


def _read_json(path: Path) -> Any:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DagMistake(f"it cannot be read: {error.strerror}.") from None
    if len(data) > _MOST_BYTES:
        raise DagMistake(f"it has {len(data)} bytes, which no runtime takes.")
    try:
        text = decode_text(data)
    except ValueError as error:
        raise DagMistake(f"{error}.") from None
    try:
        body = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant)
        msgspec.json.encode(body)
    except UnicodeEncodeError:
        raise DagMistake("it is not JSON: a text in it holds half a character (a lone surrogate).") from None
    except json.JSONDecodeError as error:
        raise DagMistake(
            f"it is not JSON: {error.msg[:1].lower()}{error.msg[1:]} (line {error.lineno}, column {error.colno})."
        ) from None
    except OverflowError:
        raise DagMistake("a number in it is longer than 64 bits.") from None
    return body


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    held = dict(pairs)
    if len(held) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for number, name in enumerate(names) if name in names[:number])
        raise DagMistake(f"key {twice!r} stands twice in one object, so it is unclear which is meant.")
    return held


def _refuse_constant(name: str) -> NoReturn:
    raise DagMistake(f"it is not JSON: {name} is no JSON number.")


def _generation_of(body: Any) -> Generation:
    if isinstance(body, dict) and "dag" in body:
        if "nodes" in body:
            raise DagMistake(f"it holds both dag and nodes; a v2 file is {WRAPPED}, a v1 file {BARE}.")
        return Generation.V2
    if not isinstance(body, dict) or "nodes" not in body:
        raise DagMistake(f"it is of neither shape; a v2 file is {WRAPPED}, a v1 file {BARE}.")
    nodes = body["nodes"] if isinstance(body["nodes"], list) else []
    of_v2 = {"schema_version", "metadata"} & set(body)
    of_v2 |= {"prompt_template", "template_refs"} & {key for node in nodes if isinstance(node, dict) for key in node}
    if of_v2:
        raise DagMistake(
            f"its key {min(of_v2)} belongs to v2, but there is no dag around it; write {WRAPPED}, as a v2 runtime "
            "wants it."
        )
    return Generation.V1


def _columns_of(body: dict[str, Any]) -> dict[str, str]:
    """Return the columns that the file asks for, each with the place that does so first."""
    for path, key in keys_in(body):
        if any(_stands_for_row(found[1].strip()) for found in PLACEHOLDER.finditer(key)):
            raise DagMistake(f"{_place(path, body)}: a row's words go into values, not into the key {key!r}.")
    columns: dict[str, str] = {}
    for path, text in strings_in(body):
        for found in PLACEHOLDER.finditer(text):
            name = found[1].strip()
            if _stands_for_row(name):
                if path[-1] in {"id", "node_type"} or "dependencies" in path:
                    raise DagMistake(f"{_place(path, body)}: {found[0]} there would make each row a DAG of its own.")
                if name != PROMPT:
                    columns.setdefault(name.removeprefix(ROW), _place(path, body))
    return columns


def _stands_for_row(name: str) -> bool:
    return name == PROMPT or (name.startswith(ROW) and len(name) > len(ROW))


def _place(path: JsonPath, body: dict[str, Any]) -> str:
    """Return a path as a reader finds it: the node by its id."""
    for depth, step in enumerate(path):
        if step == "nodes" and depth + 1 < len(path):
            value: Any = body
            for key in path[: depth + 2]:
                value = value[key]
            if isinstance(value, dict) and isinstance(value.get("id"), str):
                rest = ".".join(map(str, path[depth + 2 :]))
                return f"node {value['id']!r}{', ' if rest else ''}{rest}"
    return ".".join(map(str, path)) or "top"


def _check_v1(body: dict[str, Any]) -> tuple[NodeShape, ...]:
    nodes = _convert(body, RequestV1, body["nodes"], NodeV1).nodes
    shapes = tuple(NodeShape(node.id, node.dependencies) for node in nodes)
    _check_types([(node.id, node.node_type) for node in nodes], Generation.V1)
    check_graph(shapes)
    for node in nodes:
        if node.node_type != "llm_fn":
            continue
        if node.prompt is None:
            raise DagMistake(f"node {node.id!r}: key prompt is missing, so the model would be asked nothing.")
        for found in PLACEHOLDER.finditer(node.prompt):
            name = found[1].strip()
            if name in {shape.id for shape in shapes} or name.startswith(("context.", "node.")):
                raise DagMistake(
                    f"node {node.id!r}, prompt: a v1 runtime fills in nothing, so {found[0]} would reach the model as "
                    "it stands; only {{prompt}} and {{row.…}} are filled in, before it is sent."
                )
    return shapes


def _check_v2(body: dict[str, Any], columns: dict[str, str]) -> tuple[NodeShape, ...]:
    dag = body["dag"]
    raw_nodes = dag.get("nodes") if isinstance(dag, dict) else None
    request = _convert(body, RequestV2, raw_nodes, NodeV2)
    nodes = request.dag.nodes
    shapes = tuple(NodeShape(node.id, node.dependencies) for node in nodes)
    _check_types([(node.id, node.node_type) for node in nodes], Generation.V2)
    check_graph(shapes)
    _check_error_policy(nodes[0])
    row_names = {PROMPT, *(ROW + column for column in columns)}
    for node, raw in zip(nodes, body["dag"]["nodes"], strict=True):
        if node.node_type != "llm_fn":
            continue
        if node.prompt_template is None and node.prompt is None:
            raise DagMistake(
                f"node {node.id!r}: key prompt_template is missing; without a prompt the runtime runs an llm_fn node "
                "as a function."
            )
        if refs := missing_refs(node, shapes, request.context, row_names):
            raw["template_refs"] = [*raw.get("template_refs", ()), *refs]
    return shapes


def _convert(body: dict[str, Any], kind: type, raw_nodes: object, node_kind: type) -> Any:
    """Read the body as the runtime would, and refuse what it refuses, and what it would pass over by a slip."""
    nodes = raw_nodes if isinstance(raw_nodes, list) else []
    known = [field.name for field in msgspec.structs.fields(node_kind)]
    for number, node in enumerate(nodes):
        for key in node if isinstance(node, dict) else ():
            near = None if key in known else nearest(key, known, cutoff=0.8)
            if near is not None:
                raise DagMistake(
                    f"node {node.get('id', number)!r}: unknown key {key}, which the runtime would pass over; did you "
                    f"mean {near!r}?"
                )
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError as error:
        sentence = describe_mistake(str(error), body, kind).replace("a table", "an object")
        place = re.search(r"\bnodes\.(\d+)", sentence)
        node = nodes[int(place[1])] if place and int(place[1]) < len(nodes) else None
        named = isinstance(node, dict) and isinstance(node.get("id"), str)
        raise DagMistake(f"node {node['id']!r}: {sentence}" if named and node else sentence) from None


def _check_types(types: list[tuple[str, str]], generation: Generation) -> None:
    known = NODE_TYPES[generation]
    for node_id, node_type in types:
        if not node_id:
            raise DagMistake("an id is empty; each node needs one of its own.")
        if node_type not in known:
            raise DagMistake(
                f"node {node_id!r}: node_type {node_type!r} is not known to a {generation} runtime; "
                f"{did_you_mean(node_type, known)}"
            )


def _check_error_policy(first: NodeV2) -> None:
    """Refuse a slip: the runtime takes every policy that it does not know for fail."""
    policy = first.execution_hints.error_policy
    if policy is None or policy.lower() in ERROR_POLICIES:
        return
    if near := nearest(policy, ERROR_POLICIES):
        raise DagMistake(f"node {first.id!r}, execution_hints.error_policy: {policy!r}: did you mean {near!r}?")
