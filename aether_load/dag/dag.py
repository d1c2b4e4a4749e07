"""Build the DAG of a plan for a generation, into which each row is put."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from aether_load.dag.binding import bind_program
from aether_load.dag.check import sinks
from aether_load.dag.file import BARE, ROW, WRAPPED, OwnDag, read_dag_file
from aether_load.dag.program import ProgramIdentity
from aether_load.dag.sent_dag import WorkloadDag
from aether_load.dag.shapes import make_shape
from aether_load.dag.template import PLACEHOLDER, NameOf, Template, compile_template, escaped, values_in
from aether_load.datasets.columns import WORKLOAD_COLUMNS
from aether_load.datasets.prompt import Prompt
from aether_load.datasets.question import WORDS
from aether_load.errors import UsageError
from aether_load.protocol import MAX_BODY_BYTES, Generation, NodeShape, request_body
from aether_load.scenario.validation import did_you_mean
from aether_load.scenario.workload_plan import WorkloadPlan

_PREVIEW_OVER_BYTES = 50
_PREVIEW_CUT = 47


class Dag(msgspec.Struct, frozen=True):
    """A DAG with places for a row's words, in the words of one generation.

    `filled_in` is what the runtime itself fills in, wherever it stands in a prompt. `context` are texts of a row that
    the runtime puts into a prompt. `program` says which compiled program it is, if it is one.
    """

    template: Template
    sent: WorkloadDag
    filled_in: frozenset[str] = frozenset()
    context: tuple[Template, ...] = ()
    program: ProgramIdentity | None = None

    def bodies(self, prompts: Sequence[Prompt]) -> Iterator[bytes]:
        """Yield the body for each prompt; raises UsageError for a row that no runtime could take as it stands."""
        names = sorted(set(self.template.names))
        fill = self.template.fill
        for prompt in prompts:
            words = {name: escaped(_word(prompt, name)) for name in names}
            body = fill(words)
            if len(body) > MAX_BODY_BYTES:
                raise UsageError(
                    f"Row {prompt.id}: its request body has {len(body)} bytes, and a runtime takes no more than "
                    f"{MAX_BODY_BYTES} (2 MiB). Shorten the row, or take it out of the dataset."
                )
            if self.filled_in:
                self._check_words(prompt, words)
            yield body

    def _check_words(self, prompt: Prompt, words: dict[str, bytes]) -> None:
        """Refuse a row in which the runtime would find a placeholder of the DAG and put something else there."""
        for word in words.values():
            if b"{{" not in word:
                continue
            for found in PLACEHOLDER.finditer(word.decode()):
                if found[0] in self.filled_in or found[1].strip() in self.filled_in:
                    raise UsageError(
                        f"Row {prompt.id}: its text holds {found[0]}, which the runtime would take for the DAG's own "
                        "placeholder and fill in. Take the row out of the dataset, or give the node another id."
                    )

    def panics(self, prompts: Sequence[Prompt]) -> list[str]:
        """Return the ids of the rows whose words make the runtime panic when it takes them from the context."""
        return [
            prompt.id
            for prompt in prompts
            if any(
                _breaks(template, {name: _word(prompt, name) for name in template.names}) for template in self.context
            )
        ]


def _word(prompt: Prompt, name: str) -> str:
    if name.startswith(ROW):
        column = name.removeprefix(ROW)
        if column not in prompt.columns:
            raise UsageError(f"{{{{{name}}}}}: the rows were read without that column; start the run again.")
        return prompt.columns[column]
    return WORDS[name](prompt)


def _breaks(template: Template, words: dict[str, str]) -> bool:
    """Tell whether the runtime's preview of a text that it fills in cuts a character in two."""
    quoted = template.fill({name: escaped(word) for name, word in words.items()})
    value = msgspec.json.decode(quoted, type=str).encode()
    return len(value) > _PREVIEW_OVER_BYTES and value[_PREVIEW_CUT] & 0xC0 == 0x80


def plan_dag(plan: WorkloadPlan, generation: Generation) -> Dag:
    """Return the DAG that the plan asks for; raises UsageError for a file that is wrong, or of another generation."""
    if (own := _own_dag(plan)) is not None:
        return _of_own(own, plan, generation)
    shape, answer_node = make_shape(plan, passes_outputs=generation is Generation.V2)
    nodes = tuple(NodeShape(node.id, node.dependencies) for node in shape.nodes)
    filled_in = {name for node in shape.nodes for read in node.reads for name in (read, f"node.{read}.output")}
    body = request_body(shape, generation)
    return Dag(
        template=compile_template(body, _word_of_row),
        sent=WorkloadDag(nodes=nodes, answer_node=answer_node, prompt_node=_prompt_node(body, _word_of_row)),
        filled_in=frozenset(filled_in),
    )


def _word_of_row(name: str) -> str | None:
    return name if name in WORDS else None


def _prompt_node(body: Mapping[str, Any], name_of: NameOf) -> str | None:
    """Return the first node of a v2 body whose prompt holds words of a row, and nothing that the runtime fills in."""
    for node in body.get("dag", {}).get("nodes", ()):
        prompt = node.get("prompt_template") or node.get("prompt") or ""
        found = [name_of(placeholder[1].strip()) for placeholder in PLACEHOLDER.finditer(prompt)]
        # A constant that an input is bound to is the same in every row.
        varies = any(isinstance(name, str) or (name is not None and len(name) > 1) for name in found)
        if node["node_type"] == "llm_fn" and not node.get("template_refs") and varies and None not in found:
            return str(node["id"])
    return None


def _own_dag(plan: WorkloadPlan) -> OwnDag | None:
    """Return the file or the program that the plan names, or None for a shape; raises UsageError."""
    if plan.dag == "file":
        assert plan.dag_file is not None
        return read_dag_file(plan.dag_file)
    return bind_program(plan) if plan.dag == "program" else None


def _of_own(own: OwnDag, plan: WorkloadPlan, generation: Generation) -> Dag:
    """Return the user's own DAG with places for a row's words; raises UsageError where it is of another generation."""
    if own.generation is not generation:
        if own.program is not None:
            raise UsageError(f"{own.where}: a compiled program is of v2, and the target speaks {generation}.")
        wanted = WRAPPED if generation is Generation.V2 else BARE
        raise UsageError(
            f"{own.where}: it is written for a {own.generation} runtime, and the target speaks {generation}, which "
            f"wants {wanted}."
        )
    body, nodes, name_of = own.body, own.nodes, own.name_of
    answer_node, unscored = _answering_node(own, plan)
    refs = [ref for node in body.get("dag", {}).get("nodes", ()) for ref in node.get("template_refs") or ()]
    filled_in: set[str] = set()
    if "dag" in body:
        # `{{X}}` needs no ref: a node that has no successor may be the last to finish, and no prompt contains it.
        filled_in = {ref["raw"] for ref in refs} | {name for node in nodes for name in node.depends_on}
    read_paths = {tuple(ref.get("path") or ()) for ref in refs if ref["kind"] == "context"}
    read = [held for path, held in values_in(body.get("context") or {}) if path in read_paths]
    context = [compile_template(text, name_of) for text in read if isinstance(text, str)]
    return Dag(
        template=compile_template(body, name_of),
        sent=WorkloadDag(
            nodes=nodes, answer_node=answer_node, unscored=unscored, prompt_node=_prompt_node(body, name_of)
        ),
        filled_in=frozenset(filled_in),
        context=tuple(template for template in context if template.names),
        program=own.program,
    )


def _answering_node(own: OwnDag, plan: WorkloadPlan) -> tuple[str | None, str | None]:
    """Return the node whose output is scored, or None and the reason; raises UsageError for one that is not there."""
    if plan.answer_node is not None:
        ids = [node.id for node in own.nodes]
        if plan.answer_node not in ids:
            raise UsageError(
                f"workload.answer_node = {plan.answer_node!r}: {own.where} has no such node; "
                f"{did_you_mean(plan.answer_node, ids)}"
            )
        return plan.answer_node, None
    ends = sinks(own.nodes)
    if len(ends) == 1:
        return ends[0], None
    return None, (
        f"nothing was scored: {len(ends)} nodes of the DAG have no successor ({', '.join(ends)}), and "
        "workload.answer_node does not say which one answers"
    )


def asked_columns(plan: WorkloadPlan) -> dict[str, str]:
    """Return the columns that the plan or its DAG wants of each row, each with the place that asks for it."""
    asked = dict.fromkeys(plan.columns, WORKLOAD_COLUMNS)
    if (own := _own_dag(plan)) is not None:
        _answering_node(own, plan)
        asked |= own.columns
    return asked


def notes_on(dag: Dag, prompts: Sequence[Prompt]) -> tuple[str, ...]:
    """Return what a reader of the results must know of these rows in this DAG."""
    is_program = dag.program is not None
    if not dag.template.names:
        takes, remedy = (
            ("No input of the program takes anything", "bind one to {{prompt}} or {{row.…}}")
            if is_program
            else ("The DAG file takes nothing", "put {{prompt}} or {{row.…}} into it")
        )
        return (f"{takes} of a row, so all requests are the same, and a v2 cache answers them; {remedy}.",)
    broken = dag.panics(prompts)
    if not broken:
        return ()
    remedy = 'bind = "literal"' if is_program else "{{row.…}} or {{prompt}} in prompt_template itself"
    note = (
        f"{len(broken)} of {len(prompts)} rows (such as {broken[0]}) reach a prompt through context and have a "
        "character of several bytes where the runtime cuts its preview of a value over 50 bytes, on which it panics; "
        f"{remedy} keeps clear of that."
    )
    return (note,)
