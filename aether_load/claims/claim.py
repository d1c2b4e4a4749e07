"""Read the file of claims: what is published where, and which measurement decides it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from aether_load.errors import UsageError
from aether_load.scenario.load import find_scenario, load_scenario, read_toml
from aether_load.scenario.stage import names_of
from aether_load.scenario.threshold import Names
from aether_load.scenario.validation import Strict, describe_mistake, did_you_mean

PUBLISHED = Path(__file__).with_name("published.toml")

Quantity = Literal[
    "latency_p50_ms", "latency_p95_ms", "latency_p99_ms", "latency_reduction", "speedup", "hit_rate", "tokens_saved",
    "capacity_rps", "success_rate",
]  # fmt: skip
NEED_AGAINST = frozenset(["latency_reduction", "speedup", "tokens_saved"])
"""Quantities that compare a phase with another one."""


class PlannedRun(Strict, frozen=True, kw_only=True):
    """A scenario to run, by its name or by a path relative to this file.

    `simulated` and `checkout` are assignments as `--set` takes them: for a simulated runtime that the command starts
    itself, and where the runtime's checkout is named, which takes the place of `{checkout}`.
    """

    scenario: str
    simulated: tuple[str, ...] = ()
    checkout: tuple[str, ...] = ()


class Claim(Strict, frozen=True, kw_only=True):
    """One published figure; `published` and `condition` are what the source says.

    `quantity` is what is measured, `of` a phase (SCENARIO/PHASE) and `against` another one. `at_least`, `at_most` or
    `about` is the published number, and `tolerance` the share by which a rounded one may be missed. `llm_ms` is the
    time that the LLM calls of a request take under the source's condition. `undecidable` says why no measurement
    decides it.
    """

    id: Annotated[str, msgspec.Meta(pattern="^[a-z0-9][a-z0-9.-]{0,63}$")]
    claim: str
    source: str
    published: str
    condition: str = ""
    quantity: Quantity | None = None
    of: str | None = None
    against: str | None = None
    at_least: float | None = None
    at_most: float | None = None
    about: float | None = None
    tolerance: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.0
    llm_ms: Annotated[float, msgspec.Meta(gt=0)] | None = None
    needs_provider: bool = False
    undecidable: str = ""


class ClaimsFile(Strict, frozen=True, kw_only=True):
    """The scenarios that are run, and the claims that they decide."""

    runs: Annotated[tuple[PlannedRun, ...], msgspec.Meta(min_length=1)]
    claims: Annotated[tuple[Claim, ...], msgspec.Meta(min_length=1)]


def read_claims(path: Path = PUBLISHED) -> ClaimsFile:
    """Return what a file claims; raises UsageError that names file, claim and key."""
    raw = read_toml(path, "Claims")
    try:
        found = msgspec.convert(raw, ClaimsFile)
    except msgspec.ValidationError as error:
        raise UsageError(f"Claims {path}: {describe_mistake(str(error), raw, ClaimsFile)}") from None
    runs = tuple(msgspec.structs.replace(run, scenario=_scenario_of(run, path)) for run in found.runs)
    found = msgspec.structs.replace(found, runs=runs)
    if (mistake := _mistake(found)) is not None:
        raise UsageError(f"Claims {path}: {mistake}")
    return found


def _scenario_of(run: PlannedRun, path: Path) -> str:
    """Return a scenario's name, or its path from anywhere."""
    return str((path.parent / run.scenario).resolve()) if run.scenario.endswith(".toml") else run.scenario


def _mistake(file: ClaimsFile) -> str | None:
    """Return what contradicts itself in a file, in a sentence, or None."""
    ids = Counter(claim.id for claim in file.claims)
    if twice := [id_ for id_, count in ids.items() if count > 1]:
        return f"two claims have the id {twice[0]!r}; give each its own."
    scenarios = [load_scenario(find_scenario(run.scenario)) for run in file.runs]
    names = Counter(scenario.name for scenario in scenarios)
    if twice := [name for name, count in names.items() if count > 1]:
        return f"runs: two scenarios have the name {twice[0]!r}, so that their phases cannot be told apart."
    known = {scenario.name: names_of(scenario) for scenario in scenarios}
    for claim in file.claims:
        if (mistake := _claim_mistake(claim, known)) is not None:
            return f"claim {claim.id!r}: {mistake}"
    return None


def _claim_mistake(claim: Claim, known: dict[str, Names]) -> str | None:
    numbers = [key for key in ("at_least", "at_most", "about") if getattr(claim, key) is not None]
    if claim.quantity is None:
        given = [key for key in ("of", "against", *numbers) if getattr(claim, key) is not None]
        if given:
            return f"{given[0]}: without a quantity nothing is measured; say quantity too."
        return None if claim.undecidable else "quantity: say what decides it, or with undecidable why nothing does."
    if claim.of is None:
        return "of: say which phase is measured, as SCENARIO/PHASE."
    if len(numbers) != 1:
        return "at_least, at_most, about: give exactly one of them, the published number."
    if (claim.against is not None) != (claim.quantity in NEED_AGAINST):
        needs = "needs the phase that it is compared with" if claim.against is None else "compares with no other phase"
        return f"against: {claim.quantity} {needs}."
    for key, place in (("of", claim.of), ("against", claim.against)):
        if place is not None and (mistake := _place_mistake(place, known, claim.quantity)) is not None:
            return f"{key} = {place!r}: {mistake}"
    return None


def _place_mistake(place: str, known: dict[str, Names], quantity: Quantity) -> str | None:
    scenario, slash, phase = place.partition("/")
    if not slash:
        return "expected SCENARIO/PHASE."
    if scenario not in known:
        return f"runs has no scenario {scenario!r}; {did_you_mean(scenario, known)}"
    names = known[scenario]
    wanted = names.searches if quantity == "capacity_rps" else names.phases - names.searches
    if phase not in wanted:
        what = "search" if quantity == "capacity_rps" else "phase"
        return f"scenario {scenario} has no {what} {phase!r}; {did_you_mean(phase, sorted(wanted))}"
    return None
