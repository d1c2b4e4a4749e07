"""Check the placeholders of a node's prompt against its template refs, as a v2 runtime fills them in.

The runtime fills `{{context.…}}` and `{{node.X.output}}` in only where a ref says so, and sends the rest to the model
as it stands. So a placeholder without a ref gets the only ref that it can mean, and one that means nothing is a
mistake.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from aether_load.dag.check import DagMistake, ancestors
from aether_load.dag.template import PLACEHOLDER
from aether_load.errors import explained
from aether_load.protocol import NodeShape, NodeV2, TemplateRef, context_ref, node_output_ref, output_placeholder
from aether_load.scenario.validation import did_you_mean, nearest

_KINDS = ("context", "node_output", "parameter", "constant", "variable")
_OUTPUT = re.compile(r"node\.(.+)\.output")
# Braces around anything else, such as JSON in an example, are the prompt's own text.
MEANT_AS_ONE = re.compile(r"[\w.\- ]+")


def missing_refs(
    node: NodeV2, nodes: Sequence[NodeShape], context: Mapping[str, Any] | None, row_names: Collection[str]
) -> list[dict[str, object]]:
    """Check an LLM node's placeholders and refs; return the refs to add.

    `row_names` are the placeholders' insides that stand for a row's words and are gone before the runtime sees the
    prompt. Raises DagMistake.
    """
    key = "prompt" if node.prompt_template is None else "prompt_template"
    prompt = (node.prompt if node.prompt_template is None else node.prompt_template) or ""
    scope = _Scope(node.id, nodes, context or {})
    for raw in _placeholders(node.system_prompt or "", row_names):
        raise DagMistake(
            f"node {node.id!r}, system_prompt: the runtime fills in nothing there, so {raw} would reach the model as "
            "it stands; only {{prompt}} and {{row.…}} are filled in everywhere."
        )
    placeholders = _placeholders(prompt, row_names)
    for place, ref in enumerate(node.template_refs):
        with _in(node, f"template_refs.{place}"):
            if ref.kind not in _KINDS:
                raise DagMistake(f"kind {ref.kind!r} is not known; {did_you_mean(ref.kind, _KINDS)}")
            if not ref.raw or ref.raw not in prompt:
                raise DagMistake(f"its raw {ref.raw!r} does not stand in {key}; {_advice(ref.raw, placeholders)}")
            scope.check_ref(ref)
    given = {ref.raw for ref in node.template_refs}
    with _in(node, key):
        refs = [scope.ref_for(raw, name) for raw, name in placeholders.items() if raw not in given]
    return [ref for ref in refs if ref is not None]


def _in(node: NodeV2, place: str) -> AbstractContextManager[None]:
    """Have each mistake that is found inside begin with the node and a place in it."""
    return explained(f"node {node.id!r}, {place}: ", DagMistake, DagMistake, end="")


def _placeholders(text: str, row_names: Collection[str]) -> dict[str, str]:
    """Return the placeholders that are left to the runtime, each with its inside."""
    inside = {found[0]: found[1].strip() for found in PLACEHOLDER.finditer(text)}
    return {raw: name for raw, name in inside.items() if name not in row_names and MEANT_AS_ONE.fullmatch(name)}


def _advice(raw: str, placeholders: Collection[str]) -> str:
    if not placeholders:
        return "no placeholder stands there that the runtime could fill in."
    near = nearest(raw, placeholders)
    return f"did you mean {near!r}?" if near else f"there stand {', '.join(placeholders)}."


class _Scope:
    """What one node's prompt can name: the context, and the outputs of nodes that are finished before it."""

    def __init__(self, node_id: str, nodes: Sequence[NodeShape], context: Mapping[str, Any]) -> None:
        self._ids = [node.id for node in nodes]
        self._before = ancestors(nodes, node_id)
        self._context = context

    def check_ref(self, ref: TemplateRef) -> None:
        """Raise DagMistake for a ref that cannot be filled in."""
        if ref.folded_value is not None or not ref.required:
            return
        if ref.kind == "node_output":
            if ref.node_id is None:
                raise DagMistake("a ref of kind 'node_output' needs a node_id.")
            self._check_output(f"node_id {ref.node_id!r}", ref.node_id)
        elif ref.kind == "context":
            self._check_context(ref.raw, ref.path)

    def ref_for(self, raw: str, name: str) -> dict[str, object] | None:
        """Return the ref that the placeholder `raw` lacks, or None for `{{X}}`, which needs none."""
        if output := _OUTPUT.fullmatch(name):
            self._check_output(raw, output[1])
            return node_output_ref(raw, output[1])
        if name.startswith("context."):
            path = name.removeprefix("context.").split(".")
            self._check_context(raw, path)
            return context_ref(raw, path)
        if name in self._ids:
            self._check_output(raw, name)
            return None
        known = ["prompt", *(f"context.{key}" for key in self._context)]
        known += [output_placeholder(node_id)[2:-2] for node_id in self._ids if node_id in self._before]
        near = nearest(name, known)
        braced = ", ".join(f"{{{{{word}}}}}" for word in known)
        advice = f"did you mean {{{{{near}}}}}?" if near else f"known are {{{{row.…}}}}, {braced}."
        raise DagMistake(f"{raw} means nothing, so it would reach the model as it stands; {advice}")

    def _check_output(self, what: str, node_id: str) -> None:
        if node_id not in self._ids:
            raise DagMistake(f"{what}: there is no node {node_id!r}; {did_you_mean(node_id, self._ids)}")
        if node_id not in self._before:
            raise DagMistake(
                f"{what}: node {node_id!r} need not have run before; put {node_id!r} into its dependencies."
            )

    def _check_context(self, what: str, path: Sequence[str]) -> None:
        if not path:
            raise DagMistake(f"{what}: a ref of kind 'context' needs a path, such as [\"query\"].")
        value: Any = self._context
        for depth, step in enumerate(path):
            if not isinstance(value, Mapping) or step not in value:
                holder = ".".join(["context", *path[:depth]])
                keys = list(value) if isinstance(value, Mapping) else []
                raise DagMistake(f"{what}: {holder} has no {step!r}; {did_you_mean(step, keys)}")
            value = value[step]
