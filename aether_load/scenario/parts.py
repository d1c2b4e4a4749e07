"""Say what each phase sends: the scenario's workload, with what the phase or a part of its mix changes of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from aether_load.errors import UsageError
from aether_load.scenario.phase import Phase
from aether_load.scenario.scenario import Scenario
from aether_load.scenario.workload_plan import CHANGES, MODEL_KEYS, MixPart, WorkloadPlan

OF_DAG: dict[str, Any] = {"dag_nodes": None, "dag_file": None, "answer_node": None}
OF_PROGRAM: dict[str, Any] = {"program": None, "inputs": {}, "bind": "literal"}
"""Keys of the workload that go with the DAG or the program that they belong to."""
MODEL_DEFAULTS = {key: getattr(WorkloadPlan(), key) for key in MODEL_KEYS}
"""What the model's keys are where the nodes of a file or a program have their own."""


class PhasePart(msgspec.Struct, frozen=True, kw_only=True):
    """What requests of a phase are made of: all of them, or those of one part of a mix, whose `name` they have.

    `label` tells nodes of this part from those of others, where their ids are the same. `where` is the part's place in
    the scenario, for messages.
    """

    plan: WorkloadPlan
    name: str | None = None
    label: str | None = None
    weight: float = 1.0
    where: str = "workload"

    @property
    def text(self) -> str:
        """Return the datasets, the DAG and the model in a few words."""
        plan = self.plan
        dag: str = plan.dag
        if plan.dag_nodes is not None:
            dag = f"{plan.dag} of {plan.dag_nodes}"
        elif plan.dag in {"file", "program"}:
            return f"{', '.join(plan.datasets)}; {dag} {Path(plan.dag_file or plan.program or '').name}"
        limit = "" if plan.max_tokens is None else f", at most {plan.max_tokens} tokens"
        return f"{', '.join(plan.datasets)}; {dag}; {plan.model}{limit}"

    @contextmanager
    def named_in_errors(self) -> Iterator[None]:
        """Raise a UsageError inside with the part's place, where that is not the workload itself."""
        try:
            yield
        except UsageError as error:
            raise error if self.where == "workload" else UsageError(f"{self.where}: {error}") from None

    def sends_as(self, other: PhasePart) -> bool:
        """Tell whether two parts send the same requests."""
        return (self.name, self.plan) == (other.name, other.plan)


def parts_of_phase(scenario: Scenario, number: int) -> tuple[PhasePart, ...]:
    """Return the parts of a phase: one, or those of its mix."""
    phase = scenario.phases[number]
    plan = _changed(scenario.workload, phase)
    if phase.mix is None:
        if not changes_of(phase):
            return (PhasePart(plan=plan),)
        return (PhasePart(plan=plan, label=phase.name, where=f"phases.{number}"),)
    return tuple(
        PhasePart(
            plan=_changed(plan, part),
            name=part.name,
            label=part.name,
            weight=part.weight,
            where=f"phases.{number}.mix.{place}",
        )
        for place, part in enumerate(phase.mix)
    )


def parts_of(scenario: Scenario) -> tuple[PhasePart, ...]:
    """Return the parts of all phases, in order, those that send the same once."""
    found: list[PhasePart] = []
    for number in range(len(scenario.phases)):
        for part in parts_of_phase(scenario, number):
            if not any(part.sends_as(known) for known in found):
                found.append(part)
    return tuple(found)


def datasets_of(scenario: Scenario) -> tuple[str, ...]:
    """Return the datasets that the phases send."""
    return tuple(dict.fromkeys(name for part in parts_of(scenario) for name in part.plan.datasets))


def part_names(scenario: Scenario) -> tuple[str, ...]:
    """Return the names of the parts of all mixes."""
    return tuple(dict.fromkeys(part.name for phase in scenario.phases for part in phase.mix or ()))


def changes_of(own: Phase | MixPart) -> dict[str, Any]:
    """Return what a phase or a part says of the workload itself."""
    return {key: value for key in CHANGES if (value := getattr(own, key)) is not None}


def owners_of_changes(scenario: Scenario) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each phase and part by its place in the scenario, and what it says of the workload itself."""
    for number, phase in enumerate(scenario.phases):
        yield f"phases.{number}", changes_of(phase)
        for place, part in enumerate(phase.mix or ()):
            yield f"phases.{number}.mix.{place}", changes_of(part)


def _changed(plan: WorkloadPlan, own: Phase | MixPart) -> WorkloadPlan:
    """Return the workload with the keys that a phase or a part says itself.

    With another DAG go the keys that belong to the one before.
    """
    changes = changes_of(own)
    if "dag_file" in changes:
        changes.setdefault("dag", "file")
    if changes.get("dag", plan.dag) != plan.dag or "dag_file" in changes:
        changes = OF_DAG | OF_PROGRAM | changes
        if changes["dag"] in {"file", "program"}:
            changes = MODEL_DEFAULTS | changes
        if changes["dag"] == "program":
            changes |= {key: getattr(plan, key) for key in OF_PROGRAM}
    return msgspec.structs.replace(plan, **changes)
