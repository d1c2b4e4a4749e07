"""Prompts and DAG put together: what is sent, ready, in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from aether_load.dag.dag import notes_on, plan_dag
from aether_load.dag.program import ProgramIdentity
from aether_load.datasets.prompt import Prompt
from aether_load.protocol import Generation, NodeShape

if TYPE_CHECKING:
    from aether_load.scenario.workload_plan import WorkloadPlan


class Workload(msgspec.Struct, frozen=True):
    """Prompts in sending order and, beside each, the JSON body that asks it.

    `nodes` are the DAG's, in the order in which samples list them; `answer_node` is the one whose output is the
    answer, None with the reason in `unscored` where there is none. `notes` are for the reader of the results. The
    first `prompt_count` prompts are the workload's own; those of traces stand behind them. An answer repeats the prompt
    of `prompt_node` as it was sent; None where no node's prompt says which request it was. `program` is the compiled
    program that the DAG is of, if it is of one.
    """

    prompts: tuple[Prompt, ...]
    bodies: tuple[bytes, ...]
    nodes: tuple[NodeShape, ...]
    answer_node: str | None
    prompt_count: int
    unscored: str | None = None
    notes: tuple[str, ...] = ()
    prompt_node: str | None = None
    program: ProgramIdentity | None = None


def build_workload(
    prompts: Sequence[Prompt], plan: WorkloadPlan, generation: Generation, *, of_traces: int = 0
) -> Workload:
    """Write every prompt's request body now, so that no request waits for its own JSON later.

    The last `of_traces` prompts belong to traces. Raises UsageError for a DAG or a row that a runtime of this
    generation cannot take.
    """
    dag = plan_dag(plan, generation)
    return Workload(
        prompts=tuple(prompts),
        bodies=tuple(dag.bodies(prompts)),
        nodes=dag.nodes,
        answer_node=dag.answer_node,
        prompt_count=len(prompts) - of_traces,
        unscored=dag.unscored,
        notes=(*notes_on(dag, prompts), *_not_sent(plan, generation)),
        prompt_node=dag.prompt_node,
        program=dag.program,
    )


def _not_sent(plan: WorkloadPlan, generation: Generation) -> list[str]:
    """Return a note when the plan sets a model's parameter that a v1 request has no place for."""
    if generation is not Generation.V1 or plan.dag in {"file", "program"}:
        return []
    defaults = {field.name: field.default for field in msgspec.structs.fields(plan)}
    lost = [key for key in ("temperature", "max_tokens") if getattr(plan, key) != defaults[key]]
    if not lost:
        return []
    said = " and ".join(f"workload.{key} = {getattr(plan, key)!r}" for key in lost)
    return [f"{said}: not sent, because a request to a v1 runtime has no place for it."]
