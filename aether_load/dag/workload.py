"""Build every request body from prompts and a DAG, in the order of sending."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from aether_load.dag.dag import notes_on, plan_dag
from aether_load.dag.program import ProgramIdentity
from aether_load.dag.sent_dag import WorkloadDag, columns_of
from aether_load.datasets.prompt import Prompt
from aether_load.protocol import Generation, NodeShape

if TYPE_CHECKING:
    from aether_load.scenario.workload_plan import WorkloadPlan


class Workload(msgspec.Struct, frozen=True):
    """Prompts in sending order and, beside each, the JSON body that asks it.

    `dags` are the DAGs that are sent; `dag_of_prompt` has the place of each prompt's among them, and is empty where
    there is one. `name_of_prompt` has the name of the requests that send a prompt, and is empty where none has any.
    `notes` are for the reader of the results. The first `prompt_count` prompts are the workload's own; those of traces
    stand behind them. `program` is the compiled program that the DAG is of, if it is of one.
    """

    prompts: tuple[Prompt, ...]
    bodies: tuple[bytes, ...]
    dags: tuple[WorkloadDag, ...]
    prompt_count: int
    dag_of_prompt: tuple[int, ...] = ()
    name_of_prompt: tuple[str | None, ...] = ()
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
    dag = plan_dag(plan, generation)
    return Workload(
        prompts=tuple(prompts),
        bodies=tuple(dag.bodies(prompts)),
        dags=(
            WorkloadDag(
                nodes=dag.nodes, answer_node=dag.answer_node, unscored=dag.unscored, prompt_node=dag.prompt_node
            ),
        ),
        prompt_count=len(prompts) - of_traces,
        notes=(*notes_on(dag, prompts), *_not_sent(plan, generation)),
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
