"""Check a request of either generation as the runtime would read it, and refuse what it would pass over by a slip."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from aether_load.dag.check import DagMistake, check_graph
from aether_load.dag.refs import missing_refs
from aether_load.dag.template import PLACEHOLDER
from aether_load.protocol import ERROR_POLICIES, NODE_TYPES, Generation, NodeShape, NodeV1, NodeV2, RequestV1, RequestV2
from aether_load.scenario.validation import describe_mistake, did_you_mean, nearest


def check_v1(body: dict[str, Any]) -> tuple[NodeShape, ...]:
    """Return the nodes of a v1 request; raises DagMistake."""
    nodes = _convert(body, RequestV1, body["nodes"], NodeV1).nodes
    shapes = _shapes(nodes, Generation.V1)
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


def check_v2(body: dict[str, Any], row_names: Collection[str] = ()) -> tuple[NodeShape, ...]:
    """Return the nodes of a v2 request, and put the template refs into it that are missing; raises DagMistake.

    `row_names` are the insides of placeholders that are gone before the runtime sees the prompt.
    """
    request = read_v2(body)
    nodes = request.dag.nodes
    shapes = _shapes(nodes, Generation.V2)
    policy = nodes[0].execution_hints.error_policy
    # The runtime takes every policy that it does not know for fail.
    if policy is not None and policy.lower() not in ERROR_POLICIES and (near := nearest(policy, ERROR_POLICIES)):
        raise DagMistake(f"node {nodes[0].id!r}, execution_hints.error_policy: {policy!r}: did you mean {near!r}?")
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


def read_v2(body: dict[str, Any]) -> RequestV2:
    """Return a v2 request as the runtime reads it; raises DagMistake."""
    dag = body["dag"]
    raw_nodes = dag.get("nodes") if isinstance(dag, dict) else None
    request: RequestV2 = _convert(body, RequestV2, raw_nodes, NodeV2)
    return request


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


def _shapes(nodes: Sequence[NodeV1 | NodeV2], generation: Generation) -> tuple[NodeShape, ...]:
    """Check the nodes' types, then their graph; return their places in it."""
    known = NODE_TYPES[generation]
    for node in nodes:
        if not node.id:
            raise DagMistake("an id is empty; each node needs one of its own.")
        if node.node_type not in known:
            raise DagMistake(
                f"node {node.id!r}: node_type {node.node_type!r} is not known to a {generation} runtime; "
                f"{did_you_mean(node.node_type, known)}"
            )
    shapes = tuple(NodeShape(node.id, node.dependencies) for node in nodes)
    check_graph(shapes)
    return shapes
