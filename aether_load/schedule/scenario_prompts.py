"""Load the prompts of all that a scenario sends, and write their requests."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from aether_load.dag.dag import asked_columns
from aether_load.dag.workload import PartPrompts, PromptRange, Workload, build_parts
from aether_load.datasets.loading import load_prompts
from aether_load.datasets.prompt import DatasetIdentity, Prompt
from aether_load.protocol import Generation
from aether_load.scenario.parts import PhasePart, parts_of, parts_of_phase
from aether_load.scenario.scenario import Scenario
from aether_load.scenario.workload_plan import WorkloadPlan
from aether_load.schedule.trace import Trace, read_traces

Asked = Callable[[WorkloadPlan], dict[str, str]]
"""Returns the columns that a plan's DAG wants of each row, each with the place that asks for it."""
Progress = Callable[[int, int, int], None]
"""Gets the numbers of datasets and rows so far, and of the datasets in all."""


class ScenarioPrompts(msgspec.Struct, frozen=True):
    """The prompts of a scenario, part by part, and behind them those of its traces.

    `parts` has each part with its prompts, in order; the last `of_traces` prompts are of traces, which are sent in the
    DAG of their phase. `phases` says which prompts each phase sends.
    """

    parts: tuple[PartPrompts, ...]
    phases: tuple[tuple[PromptRange, ...], ...]
    identities: tuple[DatasetIdentity, ...]
    traces: dict[int, Trace]
    of_traces: int = 0

    @property
    def of_datasets(self) -> list[Prompt]:
        """Return the prompts that are rows of datasets, part by part."""
        prompts = [prompt for each in self.parts for prompt in each.prompts]
        return prompts[: len(prompts) - self.of_traces]

    def workload(self, generation: Generation, program: str | None = None) -> Workload:
        """Write every request; `program` takes the place of the one that is sent. Raises UsageError."""
        parts = self.parts if program is None else [_with_program(each, program) for each in self.parts]
        return build_parts(parts, generation, of_traces=self.of_traces, phases=self.phases)


def load_scenario_prompts(
    scenario: Scenario, asked: Asked = asked_columns, progress: Progress | None = None
) -> ScenarioPrompts:
    """Return the prompts of all that a scenario sends; raises UsageError as `load_prompts` and `read_traces` do."""
    parts = parts_of(scenario)
    groups, identities = _load_parts(scenario, parts, asked, progress)
    firsts = [sum(map(len, groups[:place])) for place in range(len(groups))]

    def range_of(part: PhasePart) -> PromptRange:
        place = next(place for place, known in enumerate(parts) if known.sends_as(part))
        return PromptRange(firsts[place], len(groups[place]), part.weight)

    phases = tuple(
        tuple(range_of(part) for part in parts_of_phase(scenario, number)) for number in range(len(scenario.phases))
    )
    prompts = [prompt for group in groups for prompt in group]
    found = read_traces(scenario.phases, prompts, phases)
    of_traces = [
        PartPrompts(parts_of_phase(scenario, number)[0], tuple(texts)) for number, texts in found.prompts.items()
    ]
    of_parts = [PartPrompts(part, tuple(group)) for part, group in zip(parts, groups, strict=True)]
    return ScenarioPrompts(
        parts=(*of_parts, *of_traces),
        phases=phases,
        identities=(*identities, *found.identities),
        traces=found.traces,
        of_traces=sum(map(len, found.prompts.values())),
    )


def _load_parts(
    scenario: Scenario, parts: Sequence[PhasePart], asked: Asked, progress: Progress | None
) -> tuple[list[list[Prompt]], tuple[DatasetIdentity, ...]]:
    """Return the prompts of each part, and the datasets that they are of; the same rows are read once."""
    loaded: dict[tuple[object, ...], list[Prompt]] = {}
    identities: dict[str, DatasetIdentity] = {}
    groups = []
    sets = sum(len(part.plan.datasets) for part in parts)

    def tell(done: int, rows: int) -> None:
        if progress is not None:
            progress(len(identities) + done, sum(map(len, loaded.values())) + rows, sets)

    for part in parts:
        with part.named_in_errors():
            columns = asked(part.plan)
        key = part.plan.datasets, tuple(columns)
        if key not in loaded:
            loaded[key], found = load_prompts(msgspec.structs.replace(scenario, workload=part.plan), columns, tell)
            for identity in found:
                identities.setdefault(identity.name, identity)
        groups.append(loaded[key])
    return groups, tuple(identities.values())


def _with_program(each: PartPrompts, program: str) -> PartPrompts:
    plan = msgspec.structs.replace(each.part.plan, program=program)
    return PartPrompts(msgspec.structs.replace(each.part, plan=plan), each.prompts)
