"""What a condition is asked of: which phases, and all their requests or one dataset's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from aether_load.scenario.stage import plan_stages
from aether_load.scenario.validation import did_you_mean

if TYPE_CHECKING:
    from aether_load.scenario.scenario import Scenario


class Names(msgspec.Struct, frozen=True):
    """What may stand before a condition's metric: names of phases, of searches among them, and of datasets."""

    phases: frozenset[str]
    searches: frozenset[str]
    datasets: frozenset[str]


class Scope(msgspec.Struct, frozen=True):
    """A phase's name and a dataset's; None stands for all of them."""

    phase: str | None = None
    dataset: str | None = None

    def covers(self, *names: str | None) -> bool:
        """Tell whether a phase of these names, as it is driven and as the scenario has it, is meant."""
        return self.phase is None or self.phase in {*names, *(unnumbered(name) for name in names if name)}


def unnumbered(name: str) -> str:
    """Return a phase's name without the number of its repetition."""
    return name.rsplit("#", 1)[0]


def names_of(scenario: Scenario) -> Names:
    """Return the names that a scenario gives, those of repetitions and of a shape's loads with them."""
    driven = {stage.name for stage in plan_stages(scenario)}
    return Names(
        phases=frozenset({*(phase.name for phase in scenario.phases), *driven, *map(unnumbered, driven)}),
        searches=frozenset(phase.name for phase in scenario.phases if phase.find is not None),
        # The texts of a trace are a dataset of its phase's name, which stands for both.
        datasets=frozenset(scenario.workload.datasets),
    )


def scope_of(where: Iterable[str], names: Names) -> Scope:
    """Return what is meant by the names before a metric, in either order; raises ValueError with a sentence."""
    words = tuple(where)
    for word in words:
        if word not in names.phases | names.datasets:
            known = sorted(names.phases) + sorted(names.datasets - names.phases)
            raise ValueError(f"there is no phase and no dataset {word!r}; {did_you_mean(word, known)}")
    if not words:
        return Scope()
    if len(words) == 1:
        (word,) = words
        if word in names.phases and word in names.datasets:
            raise ValueError(
                f"{word!r} is a phase and a dataset; give the phase another name, or say both, as in {word}:{word}."
            )
        return Scope(phase=word) if word in names.phases else Scope(dataset=word)
    ways = {
        (phase, dataset)
        for phase, dataset in (words, words[::-1])
        if phase in names.phases and dataset in names.datasets
    }
    if not ways:
        kind = "phases" if words[0] in names.phases else "datasets"
        raise ValueError(f"{words[0]!r} and {words[1]!r} are two {kind}; there is room for one phase and one dataset.")
    if len(ways) > 1:
        raise ValueError(f"{words[0]!r} and {words[1]!r} are phases and datasets both; give the phases other names.")
    ((phase, dataset),) = ways
    return Scope(phase=phase, dataset=dataset)
