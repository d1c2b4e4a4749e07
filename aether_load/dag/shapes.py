"""Define the DAGs that ship: their nodes, their prompts, and their dependencies."""

from __future__ import annotations

from typing import NamedTuple

from aether_load.protocol import DagRequest, LlmNode, output_placeholder
from aether_load.scenario.workload_plan import WorkloadPlan

ANSWER = "answer"
_NODES_DEFAULT = {"chain": 3, "fan_out": 4}
_REQUEST = "Request: {{text}}"
_DOCUMENT = "Document: {{text}}"


class _Node(NamedTuple):
    """A node of a shape: between `prompt` and `ending` comes a line for each of `reads`, a label and a node's id."""

    id: str
    prompt: str
    reads: tuple[tuple[str, str], ...] = ()
    ending: str = ""


def make_shape(plan: WorkloadPlan, *, passes_outputs: bool) -> tuple[DagRequest, str]:
    """Return the shape that `plan.dag` names, and the node whose output is the answer to a row.

    Its prompts hold `{{words}}` of a row, which stand literally in the template: passed through `context`, a long value
    with a multi-byte character at the wrong place makes the runtime panic. A v1 runtime fills nothing in: without
    `passes_outputs` a node has its dependencies and its own words, and what it would have read is left out.
    """
    count = _NODES_DEFAULT.get(plan.dag, 1) if plan.dag_nodes is None else plan.dag_nodes
    steps = {"chain": _chain, "fan_out": _fan_out}[plan.dag](count) if plan.dag in _NODES_DEFAULT else _SHAPES[plan.dag]
    nodes = []
    for step in steps:
        needed = tuple(read for _, read in step.reads)
        lines = "\n".join(f"{label}: {output_placeholder(read)}" for label, read in step.reads)
        parts = (step.prompt, lines if passes_outputs else "", step.ending)
        nodes.append(
            LlmNode(
                id=step.id,
                prompt="\n\n".join(filter(None, parts)),
                model=plan.model,
                temperature=plan.temperature,
                max_tokens=plan.max_tokens,
                dependencies=needed,
                reads=needed if passes_outputs else (),
            )
        )
    return DagRequest("aether_load_{{dataset}}", tuple(nodes)), _ANSWERING.get(plan.dag, ANSWER)


def _chain(count: int) -> tuple[_Node, ...]:
    """Return `count` nodes, each reading the one before; the last answers."""
    if count == 1:
        return _SHAPES["single"]
    tasks = ["Do not answer yet. Say in one sentence what the answer depends on."]
    tasks += [
        f"Step {number} of {count}: say in one sentence what the text bears out, and what it does not."
        for number in range(2, count)
    ]
    nodes = []
    for before, task in enumerate([*tasks, "{{ask}}"]):
        reads = ((f"What step {before} says", f"step_{before}"),) if before else ()
        nodes.append(_Node(ANSWER if task == "{{ask}}" else f"step_{before + 1}", "{{question}}", reads, task))
    return tuple(nodes)


def _fan_out(count: int) -> tuple[_Node, ...]:
    """Return `count` parallel nodes, and one that reads them all and answers."""
    task = "say in one sentence what you lean to, and why."
    readers = [
        _Node(f"reader_{number}", "{{question}}", ending=f"Reader {number} of {count}: {task}")
        for number in range(1, count + 1)
    ]
    reads = tuple((f"Reader {number}", reader.id) for number, reader in enumerate(readers, 1))
    return (*readers, _Node(ANSWER, "{{question}}", reads, "{{ask}}"))


_SHAPES: dict[str, tuple[_Node, ...]] = {
    "single": (_Node(ANSWER, "{{prompt}}"),),
    # Three parallel classifiers, a node that routes by two of them, and one that replies. Options, where a row has
    # them, are its categories: then the category is a letter, and the answer to the row.
    "triage": (
        _Node(
            "urgency",
            f"How urgent is this support request: low, medium, high or critical? Answer with one word.\n\n{_REQUEST}",
        ),
        _Node("category", f"Which category does this support request belong to?\n\n{_REQUEST}\n\n{{{{choices}}}}"),
        _Node(
            "sentiment",
            "In which mood is the writer of this support request: calm, worried, annoyed or angry? Answer with one "
            f"word.\n\n{_REQUEST}",
        ),
        _Node(
            "route",
            f"Who should take this support request?\n\n{_REQUEST}",
            (("Urgency", "urgency"), ("Category{{legend}}", "category")),
            "Answer with one of self-service, first line, engineering, on call.",
        ),
        _Node(
            "reply",
            f"Write a reply of two sentences to this support request.\n\n{_REQUEST}",
            (("Mood of the writer", "sentiment"), ("Who takes it", "route")),
            "Promise nothing that is not known.",
        ),
    ),
    # Four nodes that extract facts in parallel, one that joins them, and one that checks them. Options, where a row has
    # them, are topics: then the topic is a letter, and the answer to the row.
    "extraction": (
        _Node(
            "parties",
            "Which people and organisations does this document name? List them with commas, or say none."
            f"\n\n{_DOCUMENT}",
        ),
        _Node(
            "dates",
            "Which dates and spans of time does this document name? List them with commas, or say none."
            f"\n\n{_DOCUMENT}",
        ),
        _Node(
            "figures",
            "Which amounts, shares and other figures does this document name? List each with its unit, or say none."
            f"\n\n{_DOCUMENT}",
        ),
        _Node("topic", f"What is this document about?\n\n{_DOCUMENT}\n\n{{{{choices}}}}"),
        _Node(
            "merge",
            f"Put what was found in this document together as one JSON object.\n\n{_DOCUMENT}",
            (("Parties", "parties"), ("Dates", "dates"), ("Figures", "figures"), ("Topic{{legend}}", "topic")),
            "Answer with the JSON alone; its keys are parties, dates, figures and topic.",
        ),
        _Node(
            "validate",
            f"Hold these findings against the document.\n\n{_DOCUMENT}",
            (("Findings", "merge"),),
            "List what the document does not bear out, or say none.",
        ),
    ),
}
_ANSWERING = {"triage": "category", "extraction": "topic"}
