"""Check the placeholders of a node's prompt against its template refs, as a v2 runtime fills them in.

The runtime fills `{{context.…}}` and `{{node.X.output}}` in only where a ref says so, and sends the rest to the model
as it stands. So a placeholder without a ref gets the only ref that it can mean, and one that means nothing is a
mistake.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from aether_load.dag.check import DagMistake, ancestors
from aether_load.dag.template import PLACEHOLDER
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
    prompt = node.prompt if node.prompt_template is None else node.prompt_template
    scope = _Scope(node.id, key, nodes, context or {})
    if node.system_prompt is not None:
        _check_system_prompt(node, row_names)
    inside = {found[0]: found[1].strip() for found in PLACEHOLDER.finditer(prompt or "")}
    placeholders = {raw: name for raw, name in inside.items() if name not in row_names and MEANT_AS_ONE.fullmatch(name)}
    for place, ref in enumerate(node.template_refs):
        scope.check_ref(f"template_refs.{place}", ref, prompt or "", placeholders)
    given = {ref.raw for ref in node.template_refs}
    refs = [scope.ref_for(raw, name) for raw, name in placeholders.items() if raw not in given]
    return [ref for ref in refs if ref is not None]


def _check_system_prompt(node: NodeV2, row_names: Collection[str]) -> None:
    for found in PLACEHOLDER.finditer(node.system_prompt or ""):
        name = found[1].strip()
        if name not in row_names and MEANT_AS_ONE.fullmatch(name):
            raise DagMistake(
                f"node {node.id!r}, system_prompt: the runtime fills in nothing there, so {found[0]} would reach the "
                "model as it stands; only {{prompt}} and {{row.…}} are filled in everywhere."
            )


class _Scope:
    """What one node's prompt can name: the context, and the outputs of nodes that are finished before it."""

    def __init__(self, node_id: str, key: str, nodes: Sequence[NodeShape], context: Mapping[str, Any]) -> None:
        self._where = f"node {node_id!r}, "
        self._key = key
        self._ids = [node.id for node in nodes]
        self._before = ancestors(nodes, node_id)
        self._context = context

    def check_ref(self, place: str, ref: TemplateRef, prompt: str, placeholders: Collection[str]) -> None:
        """Raise DagMistake for a ref that cannot be filled in, or whose placeholder is not there."""
        if ref.kind not in _KINDS:
            raise self._mistake(place, f"kind {ref.kind!r} is not known; {did_you_mean(ref.kind, _KINDS)}")
        if not ref.raw or ref.raw not in prompt:
            raise self._mistake(
                place,
                f"its raw {ref.raw!r} does not stand in {self._key}; {_placeholders_there(ref.raw, placeholders)}",
            )
        if ref.folded_value is not None or not ref.required:
            return
        if ref.kind == "node_output":
            if ref.node_id is None:
                raise self._mistake(place, "a ref of kind 'node_output' needs a node_id.")
            self._check_output(place, f"node_id {ref.node_id!r}", ref.node_id)
        elif ref.kind == "context":
            self._check_context(place, ref.raw, ref.path)

    def ref_for(self, raw: str, name: str) -> dict[str, object] | None:
        """Return the ref that the placeholder `raw` lacks, or None for `{{X}}`, which needs none."""
        if output := _OUTPUT.fullmatch(name):
            self._check_output(self._key, raw, output[1])
            return node_output_ref(raw, output[1])
        if name.startswith("context."):
            path = name.removeprefix("context.").split(".")
            self._check_context(self._key, raw, path)
            return context_ref(raw, path)
        if name in self._ids:
            self._check_output(self._key, raw, name)
            return None
        known = ["prompt", *(f"context.{key}" for key in self._context)]
        known += [output_placeholder(node_id)[2:-2] for node_id in self._ids if node_id in self._before]
        near = nearest(name, known)
        advice = f"did you mean {{{{{near}}}}}?" if near else f"known are {{{{row.…}}}}, {_braced(known)}."
        raise self._mistake(self._key, f"{raw} means nothing, so it would reach the model as it stands; {advice}")

    def _check_output(self, place: str, what: str, node_id: str) -> None:
        if node_id not in self._ids:
            raise self._mistake(place, f"{what}: there is no node {node_id!r}; {did_you_mean(node_id, self._ids)}")
        if node_id not in self._before:
            raise self._mistake(
                place,
                f"{what}: node {node_id!r} need not have run before; put {node_id!r} into its dependencies.",
            )

    def _check_context(self, place: str, what: str, path: Sequence[str]) -> None:
        if not path:
            raise self._mistake(place, f"{what}: a ref of kind 'context' needs a path, such as [\"query\"].")
        value: Any = self._context
        for depth, step in enumerate(path):
            if not isinstance(value, Mapping) or step not in value:
                holder = ".".join(["context", *path[:depth]])
                keys = list(value) if isinstance(value, Mapping) else []
                raise self._mistake(place, f"{what}: {holder} has no {step!r}; {did_you_mean(step, keys)}")
            value = value[step]

    def _mistake(self, place: str, what: str) -> DagMistake:
        return DagMistake(f"{self._where}{place}: {what}")


def _placeholders_there(raw: str, placeholders: Collection[str]) -> str:
    if not placeholders:
        return "no placeholder stands there that the runtime could fill in."
    near = nearest(raw, placeholders)
    return f"did you mean {near!r}?" if near else f"there stand {', '.join(placeholders)}."


def _braced(names: Sequence[str]) -> str:
    return ", ".join(f"{{{{{name}}}}}" for name in names)
