"""Bind the inputs of a compiled program to a row's words and to constants, before the load."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import msgspec

from aether_load.dag.check import DagMistake, mistakes_in
from aether_load.dag.file import PROMPT, ROW, OwnDag, stands_for_row
from aether_load.dag.program import TEXT, Program, read_program
from aether_load.dag.refs import MEANT_AS_ONE
from aether_load.dag.request_check import check_v2
from aether_load.dag.template import PLACEHOLDER, Layout
from aether_load.protocol import Generation
from aether_load.scenario.validation import nearest
from aether_load.scenario.workload_plan import WorkloadPlan

_MARK = "\0"
"""Begins the inside of a placeholder that stands for an input; no program's text has it."""
_PROMPT_KEYS = ("prompt_template", "prompt")


def bind_program(plan: WorkloadPlan) -> OwnDag:
    """Return the plan's program with every input bound; raises UsageError that names the file."""
    assert plan.program is not None
    program = read_program(plan.program)
    where = f"Program {program.path}"
    with mistakes_in(where):
        texts = _bindings(program, plan.inputs)
        layouts = {name: _layout(name, text) for name, text in texts.items()}
        dag = copy.deepcopy(program.dag)
        marks = {name: f"{{{{{_MARK}{name}}}}}" for name in texts}
        node_ids = {node.get("id") for node in dag["nodes"]}
        in_context = False
        for node in dag["nodes"]:
            if node.get("template_refs"):
                in_context |= _bind_node(node, marks, node_ids, program, into_context=plan.bind == "context")
        body = {"dag": dag, "context": dict(marks) if in_context else {}}
        nodes = program.named(check_v2(body))

    def name_of(inner: str) -> Layout | None:
        return layouts[inner.removeprefix(_MARK)] if inner.startswith(_MARK) else None

    columns: dict[str, str] = {}
    for name, layout in layouts.items():
        for column in (word.removeprefix(ROW) for word in layout[1::2] if word.startswith(ROW)):
            columns.setdefault(column, f"{where}: input {name} (of {', '.join(texts)})")
    return OwnDag(where, Generation.V2, body, nodes, columns, name_of, program.identity(texts))


def _bind_node(
    node: dict[str, Any], marks: Mapping[str, str], node_ids: set[object], program: Program, *, into_context: bool
) -> bool:
    """Bind the parameters of a node; return whether it takes any from the context.

    The runtime looks a parameter up among the outputs of nodes and nowhere else. So an input is written into the prompt
    in place of its ref, or the ref is made one of the context.
    """
    refs, in_context = [], False
    key = next((key for key in _PROMPT_KEYS if isinstance(node.get(key), str)), None)
    for ref in node["template_refs"]:
        name = _input_of(ref, marks, node_ids, node, program)
        if name is None:
            refs.append(ref)
        elif into_context or key is None or not ref["raw"] or ref["raw"] not in node[key]:
            refs.append({**ref, "kind": "context"})
            in_context = True
        else:
            node[key] = node[key].replace(ref["raw"], marks[name])
    node["template_refs"] = refs
    return in_context


def _input_of(
    ref: Mapping[str, Any], marks: Mapping[str, str], node_ids: set[object], node: Mapping[str, Any], program: Program
) -> str | None:
    """Return the input that a ref stands for, or None for a ref of another kind."""
    if ref["kind"] != "parameter" or ref.get("folded_value") is not None:
        return None
    path = ref.get("path") or [ref["raw"].strip("{} ")]
    if path[0] in marks:
        if len(path) > 1:
            raise DagMistake(
                f"node {node['id']!r}: {ref['raw']} reads {'.'.join(path)}, a part of an input, and only whole inputs "
                "can be bound."
            )
        return str(path[0])
    if path[0] in node_ids:
        return None
    raise DagMistake(
        f"node {node['id']!r}: {ref['raw']} reads {path[0]!r}, which is neither an input nor a node. {program.listing}"
    )


def _bindings(program: Program, given: Mapping[str, str | int | float | bool]) -> dict[str, str]:
    """Return the text that each input is bound to; raises DagMistake with the program's own list of inputs."""
    names = [known.name for known in program.inputs]
    for name in given:
        if name not in names:
            near = nearest(name, names)
            advice = f"; did you mean {near!r}?" if near else "."
            raise DagMistake(f"there is no input {name!r} to bind{advice} {program.listing}")
    # True and numbers stand in a prompt as JSON writes them.
    texts = {
        name: value if isinstance(value, str) else msgspec.json.encode(value).decode() for name, value in given.items()
    }
    of_text = [known.name for known in program.inputs if known.type == TEXT]
    if len(of_text) == 1 and of_text[0] not in texts:
        texts[of_text[0]] = f"{{{{{PROMPT}}}}}"
    unbound = [known.name for known in program.inputs if known.required and known.name not in texts]
    if unbound:
        example = f"--bind {unbound[0]}={{{{{PROMPT}}}}}"
        raise DagMistake(
            f"input{'s' * (len(unbound) > 1)} {', '.join(unbound)} without a binding; say what goes there, as in "
            f"{example}, or in [workload.inputs]. {program.listing}"
        )
    for known in program.inputs:
        texts.setdefault(known.name, known.default_value or "")
    return {name: texts[name] for name in names}


def _layout(name: str, text: str) -> Layout:
    """Return a binding's fixed parts and the names between them."""
    layout: list[str] = [""]
    for place, piece in enumerate(PLACEHOLDER.split(text)):
        inner = piece.strip()
        if place % 2 == 0:
            layout[-1] += piece
        elif stands_for_row(inner):
            layout += [inner, ""]
        elif MEANT_AS_ONE.fullmatch(inner):
            near = f"did you mean {{{{{PROMPT}}}}}?" if nearest(inner, [PROMPT]) else "a row has no such word."
            raise DagMistake(
                f"input {name} = {text!r}: {{{{{piece}}}}} means nothing; there are {{{{prompt}}}} and "
                f"{{{{row.COLUMN}}}}; {near}"
            )
        else:
            layout[-1] += f"{{{{{piece}}}}}"
    return tuple(layout)
