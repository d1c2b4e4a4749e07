"""Define the DAGs that ship: their nodes, their prompts, and their dependencies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from aether_load.protocol import DagRequest, LlmNode, output_placeholder

if TYPE_CHECKING:
    from aether_load.scenario.workload_plan import WorkloadPlan

ANSWER = "answer"
NODES_DEFAULT = {"chain": 3, "fan_out": 4}


class Shape(msgspec.Struct, frozen=True):
    """A DAG whose prompts hold `{{words}}` of a row, and the node whose output is the answer to the row."""

    dag: DagRequest
    answer_node: str


class _Writer:
    """Writes the nodes of one shape.

    A v1 runtime fills nothing in: there a node has its dependencies and its own words, and what it would have read
    is left out rather than sent as a placeholder.
    """

    def __init__(self, plan: WorkloadPlan, *, passes_outputs: bool) -> None:
        self._plan = plan
        self._passes_outputs = passes_outputs
        self._nodes: list[LlmNode] = []

    def add(self, node_id: str, prompt: str, *, reads: Sequence[tuple[str, str]] = (), ending: str = "") -> None:
        """Add a node that, between `prompt` and `ending`, has a line for each of `reads`: a label and a node's id."""
        lines = "\n".join(f"{label}: {output_placeholder(read)}" for label, read in reads)
        parts = [prompt, lines if self._passes_outputs else "", ending]
        read_nodes = tuple(read for _, read in reads)
        self._nodes.append(
            LlmNode(
                id=node_id,
                prompt="\n\n".join(part for part in parts if part),
                model=self._plan.model,
                temperature=self._plan.temperature,
                max_tokens=self._plan.max_tokens,
                dependencies=read_nodes,
                reads=read_nodes if self._passes_outputs else (),
            )
        )

    def shape(self, answer_node: str) -> Shape:
        """Return the DAG of the nodes added; the flow has the dataset's name."""
        return Shape(DagRequest(flow_name="aether_load_{{dataset}}", nodes=tuple(self._nodes)), answer_node)


def make_shape(plan: WorkloadPlan, *, passes_outputs: bool) -> Shape:
    """Return the shape that `plan.dag` names, which is any but a file."""
    writer = _Writer(plan, passes_outputs=passes_outputs)
    count = NODES_DEFAULT.get(plan.dag, 1) if plan.dag_nodes is None else plan.dag_nodes
    return _SHAPES[plan.dag](writer, count)


def _single(writer: _Writer, _count: int) -> Shape:
    """Return one node that asks the question.

    The text stands literally in the template, as in all shapes: passed through `context`, a long value with a
    multi-byte character at the wrong place makes the runtime panic.
    """
    writer.add(ANSWER, "{{prompt}}")
    return writer.shape(ANSWER)


def _chain(writer: _Writer, count: int) -> Shape:
    """Return `count` nodes, each reading the one before; the last answers."""
    for number in range(1, count):
        last = [(f"What step {number - 1} says", f"step_{number - 1}")] if number > 1 else []
        task = (
            "Do not answer yet. Say in one sentence what the answer depends on."
            if number == 1
            else f"Step {number} of {count}: say in one sentence what the text bears out, and what it does not."
        )
        writer.add(f"step_{number}", "{{question}}", reads=last, ending=task)
    if count == 1:
        return _single(writer, 1)
    read = [(f"What step {count - 1} says", f"step_{count - 1}")]
    writer.add(ANSWER, "{{question}}", reads=read, ending="{{ask}}")
    return writer.shape(ANSWER)


def _fan_out(writer: _Writer, count: int) -> Shape:
    """Return `count` parallel nodes, and one that reads them all and answers."""
    readers = range(1, count + 1)
    for number in readers:
        task = f"Reader {number} of {count}: say in one sentence what you lean to, and why."
        writer.add(f"reader_{number}", "{{question}}", ending=task)
    reads = [(f"Reader {number}", f"reader_{number}") for number in readers]
    writer.add(ANSWER, "{{question}}", reads=reads, ending="{{ask}}")
    return writer.shape(ANSWER)


def _triage(writer: _Writer, _count: int) -> Shape:
    """Return three parallel classifiers, a node that routes by two of them, and one that replies.

    Options, where a row has them, are its categories: then the category is a letter, and the answer to the row.
    """
    request = "Request: {{text}}"
    writer.add(
        "urgency",
        f"How urgent is this support request: low, medium, high or critical? Answer with one word.\n\n{request}",
    )
    writer.add("category", f"Which category does this support request belong to?\n\n{request}\n\n{{{{choices}}}}")
    writer.add(
        "sentiment",
        "In which mood is the writer of this support request: calm, worried, annoyed or angry? Answer with one word."
        f"\n\n{request}",
    )
    writer.add(
        "route",
        f"Who should take this support request?\n\n{request}",
        reads=[("Urgency", "urgency"), ("Category{{legend}}", "category")],
        ending="Answer with one of self-service, first line, engineering, on call.",
    )
    writer.add(
        "reply",
        f"Write a reply of two sentences to this support request.\n\n{request}",
        reads=[("Mood of the writer", "sentiment"), ("Who takes it", "route")],
        ending="Promise nothing that is not known.",
    )
    return writer.shape("category")


def _extraction(writer: _Writer, _count: int) -> Shape:
    """Return four nodes that extract facts in parallel, one that joins them, and one that checks them.

    Options, where a row has them, are topics: then the topic is a letter, and the answer to the row.
    """
    document = "Document: {{text}}"
    writer.add(
        "parties",
        f"Which people and organisations does this document name? List them with commas, or say none.\n\n{document}",
    )
    writer.add(
        "dates",
        f"Which dates and spans of time does this document name? List them with commas, or say none.\n\n{document}",
    )
    writer.add(
        "figures",
        "Which amounts, shares and other figures does this document name? List each with its unit, or say none."
        f"\n\n{document}",
    )
    writer.add("topic", f"What is this document about?\n\n{document}\n\n{{{{choices}}}}")
    writer.add(
        "merge",
        f"Put what was found in this document together as one JSON object.\n\n{document}",
        reads=[
            ("Parties", "parties"),
            ("Dates", "dates"),
            ("Figures", "figures"),
            ("Topic{{legend}}", "topic"),
        ],
        ending="Answer with the JSON alone; its keys are parties, dates, figures and topic.",
    )
    writer.add(
        "validate",
        f"Hold these findings against the document.\n\n{document}",
        reads=[("Findings", "merge")],
        ending="List what the document does not bear out, or say none.",
    )
    return writer.shape("topic")


_SHAPES: dict[str, Callable[[_Writer, int], Shape]] = {
    "single": _single,
    "chain": _chain,
    "fan_out": _fan_out,
    "triage": _triage,
    "extraction": _extraction,
}
