"""Build every request body from prompts and a DAG, in the order of sending."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import msgspec

from aether_load.dag.dag import notes_on, plan_dag
from aether_load.dag.program import ProgramIdentity
from aether_load.dag.sent_dag import MOST_DAGS, WorkloadDag, columns_of, list_dags
from aether_load.datasets.prompt import Prompt
from aether_load.errors import UsageError
from aether_load.protocol import Generation, NodeShape
from aether_load.scenario.parts import PhasePart
from aether_load.scenario.validation import changed_key
from aether_load.scenario.workload_plan import WorkloadPlan

T = TypeVar("T")


class PromptRange(msgspec.Struct, frozen=True):
    """Prompts that stand one after the other in a workload, and how often they are drawn beside others of a phase."""

    first: int
    count: int
    weight: float = 1.0


class Workload(msgspec.Struct, frozen=True):
    """Prompts in sending order and, beside each, the JSON body that asks it.

    `dags` are the DAGs that are sent; `dag_of_prompt` has the place of each prompt's among them, and is empty where
    there is one. `name_of_prompt` has the name of the requests that send a prompt, and is empty where none has any.
    `phases` says which prompts each phase of the scenario sends, and is empty where all send the same. `notes` are for
    the reader of the results. The first `prompt_count` prompts are the workload's own; those of traces
    stand behind them. `program` is the compiled program that the DAG is of, if it is of one.
    """

    prompts: tuple[Prompt, ...]
    bodies: tuple[bytes, ...]
    dags: tuple[WorkloadDag, ...]
    prompt_count: int
    dag_of_prompt: tuple[int, ...] = ()
    name_of_prompt: tuple[str | None, ...] = ()
    phases: tuple[tuple[PromptRange, ...], ...] = ()
    notes: tuple[str, ...] = ()
    program: ProgramIdentity | None = None

    @property
    def nodes(self) -> tuple[NodeShape, ...]:
        """Return the nodes of all DAGs, as the run lists them."""
        return columns_of(self.dags)

    @property
    def answer_node(self) -> str | None:
        """Return the node whose output is the answer, None where there is none or the DAGs have different ones."""
        nodes = {dag.answer_node for dag in self.dags}
        return nodes.pop() if len(nodes) == 1 else None

    def prompts_in(self, place: int) -> int:
        """Return how many prompts are sent in the DAG of that place."""
        return self.dag_of_prompt.count(place) if self.dag_of_prompt else len(self.prompts)

    @property
    def unscored(self) -> str | None:
        """Return why no answer is scored, None where some are."""
        return self.dags[0].unscored if all(dag.answer_node is None for dag in self.dags) else None

    @property
    def prompt_nodes(self) -> tuple[str | None, ...]:
        """Return of each prompt the node whose prompt its answer repeats."""
        return tuple(self.dag_of(prompt).prompt_node for prompt in range(len(self.prompts)))

    def of_phase(self, number: int) -> tuple[PromptRange, ...]:
        """Return which prompts a phase sends: those of each part of its mix, or of itself."""
        return self.phases[number] if self.phases else (PromptRange(0, self.prompt_count),)

    def dag_of(self, prompt: int) -> WorkloadDag:
        """Return the DAG that a prompt is sent in."""
        return self.dags[self.dag_of_prompt[prompt] if self.dag_of_prompt else 0]


def build_workload(
    prompts: Sequence[Prompt], plan: WorkloadPlan, generation: Generation, *, of_traces: int = 0
) -> Workload:
    """Write every prompt's request body now, so that no request waits for its own JSON later.

    The last `of_traces` prompts belong to traces. Raises UsageError for a DAG or a row that a runtime of this
    generation cannot take.
    """
    return build_parts([PartPrompts(PhasePart(plan=plan), tuple(prompts))], generation, of_traces=of_traces)


class PartPrompts(msgspec.Struct, frozen=True):
    """A part of the workload, and the prompts that are sent in its DAG."""

    part: PhasePart
    prompts: tuple[Prompt, ...]


def build_parts(
    parts: Sequence[PartPrompts],
    generation: Generation,
    *,
    of_traces: int = 0,
    phases: Sequence[tuple[PromptRange, ...]] = (),
) -> Workload:
    """Write the request bodies of several parts, one part's after the other's; see `build_workload`.

    `phases` says which prompts each phase of the scenario sends.
    """
    written = [_write(each, generation) for each in parts]
    different = tuple(dict.fromkeys(one.dag for one in written))
    if len(different) > MOST_DAGS:
        raise UsageError(
            f"The scenario has {len(different)} DAGs of different shape; at most {MOST_DAGS} are possible."
        )
    listed = dict(zip(different, list_dags(different), strict=True))
    places = [different.index(one.dag) for one in written]
    named = any(each.part.name is not None for each in parts)
    return Workload(
        prompts=tuple(prompt for each in parts for prompt in each.prompts),
        bodies=tuple(body for one in written for body in one.bodies),
        dags=tuple(listed.values()),
        prompt_count=sum(len(each.prompts) for each in parts) - of_traces,
        dag_of_prompt=_of_each_prompt(parts, places) if len(different) > 1 else (),
        name_of_prompt=_of_each_prompt(parts, [each.part.name for each in parts]) if named else (),
        phases=tuple(phases),
        notes=tuple(dict.fromkeys(note for one in written for note in one.notes)),
        program=next((one.program for one in written if one.program is not None), None),
    )


class _Written(NamedTuple):
    dag: WorkloadDag
    bodies: tuple[bytes, ...]
    notes: tuple[str, ...]
    program: ProgramIdentity | None


def _write(each: PartPrompts, generation: Generation) -> _Written:
    """Return the bodies of a part; a mistake names the phase or the part, where it is not the workload's own."""
    part = each.part
    with part.named_in_errors():
        dag = plan_dag(part.plan, generation)
        bodies = tuple(dag.bodies(each.prompts))
    notes = [*notes_on(dag, each.prompts), *_not_sent(part, generation)]
    if part.where != "workload":
        notes = [note if note.startswith(part.where) else f"{part.where}: {note}" for note in notes]
    return _Written(msgspec.structs.replace(dag.sent, part=part.label), bodies, tuple(notes), dag.program)


def _of_each_prompt(parts: Sequence[PartPrompts], values: Sequence[T]) -> tuple[T, ...]:
    return tuple(value for each, value in zip(parts, values, strict=True) for _ in each.prompts)


def _not_sent(part: PhasePart, generation: Generation) -> list[str]:
    """Return a note when the plan sets a model's parameter that a v1 request has no place for."""
    plan = part.plan
    if generation is not Generation.V1 or plan.dag in {"file", "program"}:
        return []
    lost = [key for key in ("temperature", "max_tokens") if changed_key(plan, [key])]
    if not lost:
        return []
    said = " and ".join(f"{part.where}.{key} = {getattr(plan, key)!r}" for key in lost)
    return [f"{said}: not sent, because a request to a v1 runtime has no place for it."]
