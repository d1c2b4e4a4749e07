"""Read a DAG file with `{{prompt}}` and `{{row.column}}` in it, and check it before anything is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from aether_load.dag.check import DagMistake, mistakes_in
from aether_load.dag.json_file import read_json
from aether_load.dag.program import ProgramIdentity
from aether_load.dag.request_check import check_v1, check_v2
from aether_load.dag.template import PLACEHOLDER, NameOf, values_in
from aether_load.dag.template import Path as JsonPath
from aether_load.protocol import Generation, NodeShape

PROMPT = "prompt"
ROW = "row."
WRAPPED = '{"dag": {"nodes": […]}, "context": {…}}'
BARE = '{"nodes": […]}'


class OwnDag(msgspec.Struct, frozen=True):
    """A DAG of the user's own that was found right: the request's body, the missing refs put in, and its nodes.

    `where` names it in messages. `columns` maps each column that it wants of a row to the first place that asks for it.
    `name_of` returns what goes in place of a placeholder, None where it is the prompt's own text. `program` says which
    compiled program it is, if it is one.
    """

    where: str
    generation: Generation
    body: dict[str, Any]
    nodes: tuple[NodeShape, ...]
    columns: dict[str, str]
    name_of: NameOf
    program: ProgramIdentity | None = None


def read_dag_file(path: str) -> OwnDag:
    """Read and check a DAG file; raises UsageError that names file, node and key."""
    where = f"DAG file {path}"
    with mistakes_in(where):
        body = read_json(Path(path))
        generation = _generation_of(body)
        places = _columns_of(body)
        row_names = {PROMPT, *(ROW + column for column in places)}
        nodes = check_v1(body) if generation is Generation.V1 else check_v2(body, row_names)
    columns = {column: f"{where}: {place}" for column, place in places.items()}
    return OwnDag(where, generation, body, nodes, columns, lambda name: name if name in row_names else None)


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
            "wants it, or give a compiled program with --program."
        )
    return Generation.V1


def _columns_of(body: dict[str, Any]) -> dict[str, str]:
    """Return the columns that the file asks for, each with the place that does so first."""
    for path, key in ((path, key) for path, held in values_in(body) if isinstance(held, dict) for key in held):
        if any(stands_for_row(found[1].strip()) for found in PLACEHOLDER.finditer(key)):
            raise DagMistake(f"{_place(path, body)}: a row's words go into values, not into the key {key!r}.")
    columns: dict[str, str] = {}
    for path, text in ((path, held) for path, held in values_in(body) if isinstance(held, str)):
        for found in PLACEHOLDER.finditer(text):
            name = found[1].strip()
            if stands_for_row(name):
                if path[-1] in {"id", "node_type"} or "dependencies" in path:
                    raise DagMistake(f"{_place(path, body)}: {found[0]} there would make each row a DAG of its own.")
                if name != PROMPT:
                    columns.setdefault(name.removeprefix(ROW), _place(path, body))
    return columns


def stands_for_row(name: str) -> bool:
    """Tell whether the inside of a placeholder stands for a row's words."""
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
