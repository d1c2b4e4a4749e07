"""Tell whether runs may be ranked: all but the builds of the runtime and of the program must have been the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from aether_load.analysis.report import Report, against
from aether_load.scenario.load import from_plain, to_plain
from aether_load.text import shorten

_NOT_LOAD = {"name", "purpose", "labels", "fail_on_warning", "max_error_rate", "goodput_slo", "thresholds"}
"""Keys of a scenario that change neither what is sent nor when."""
_NOT_LOAD_INSIDE = {
    "workload.price_usd_per_1000_tokens",
    # Two versions of a program are compared as two builds of a runtime are.
    "workload.program",
    "target.headers",
    "target.verify_tls",
    "target.server_metrics_url",
}
_MEMORY_TOLERANCE = 0.02
_LONGEST_REVISION = 20

Difference = Literal["scenario", "target", "machine"]


def obstacles(reports: Sequence[Report]) -> tuple[str, ...]:
    """Return why the runs may not be ranked, a sentence each; nothing where they may.

    Each run is compared with the first. Another name, another limit for the verdict or another URL makes no other
    load; a run that did not come to its end, or whose figures are not to be trusted, is compared with nothing.
    """
    found = []
    for place, report in enumerate(reports):
        found += [f"run {letter(place)} {why}" for why in void(report)]
    first = reports[0]
    for place, report in enumerate(reports[1:], start=1):
        names = f"in A and {{}} in {letter(place)}"
        found += [f"{what}: {ours} {names.format(theirs)}" for what, ours, theirs in _differences(first, report)]
    return tuple(dict.fromkeys(found))


def letter(place: int) -> str:
    """Return the letter that stands for a run: A, B to Z, then AA."""
    word = ""
    place += 1
    while place:
        place, rest = divmod(place - 1, 26)
        word = chr(ord("A") + rest) + word
    return word


def void(report: Report) -> Iterator[str]:
    """Yield why a run's figures cannot be compared with another's."""
    if report.run.ended_as == "running":
        yield "was cut off by force"
    elif report.run.ended_as == "interrupted":
        yield "was interrupted"
    elif report.run.ended_as == "aborted":
        yield "was ended early by a threshold"
    elif void := next((one for one in against(report) if one.status == "invalid"), None):
        yield f"is invalid: {void.reason}"


def differences(first: Report, other: Report) -> Iterator[tuple[Difference, str]]:
    """Yield in what two runs differ that must have been the same: of which kind, and in a sentence."""
    for what, ours, theirs in _differences(first, other):
        kind: Difference = "scenario"
        if what.startswith(("target kind", "generation")):
            kind = "target"
        elif what.startswith("machine"):
            kind = "machine"
        yield kind, f"{what}: {ours} in the one and {theirs} in the other"


def _differences(first: Report, other: Report) -> Iterator[tuple[str, object, object]]:
    if first.target.kind != other.target.kind:
        yield "target kind", first.target.kind, other.target.kind
    if first.target.generation != other.target.generation:
        yield "generation of the wire format", first.target.generation.value, other.target.generation.value
    yield from _of_machine(first.environment["machine"], other.environment["machine"])
    ours, theirs = _load(first), _load(other)
    for key in dict.fromkeys([*ours, *theirs]):
        if ours.get(key) != theirs.get(key):
            yield f"scenario, {key}", _short(ours.get(key)), _short(theirs.get(key))
    flows = [report.program.flow_name if report.program else "none" for report in (first, other)]
    if flows[0] != flows[1]:
        yield "flow of the program", flows[0], flows[1]
    if first.run.seed != other.run.seed:
        yield "seed", first.run.seed, other.run.seed
    rows = [{identity.name: identity for identity in report.datasets} for report in (first, other)]
    for name in dict.fromkeys([*rows[0], *rows[1]]):
        mine, its = rows[0].get(name), rows[1].get(name)
        if mine is None or its is None:
            yield f"dataset {name}", "there" if mine else "not there", "there" if its else "not there"
        elif (mine.revision, mine.rows_used) != (its.revision, its.rows_used):
            which = [""] * 2
            if mine.revision != its.revision:
                which = [f" of {shorten(str(one.revision), _LONGEST_REVISION)}" for one in (mine, its)]
            yield f"dataset {name}", f"{mine.rows_used} rows{which[0]}", f"{its.rows_used} rows{which[1]}"


def _of_machine(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[tuple[str, object, object]]:
    for key in ("cpu", "cores"):
        if ours.get(key) != theirs.get(key):
            yield f"machine, {key}", ours.get(key), theirs.get(key)
    mine, its = ours.get("memory_bytes"), theirs.get("memory_bytes")
    if mine is None or its is None:
        # Two machines of which nothing is known are not the same machine.
        yield "machine, memory_bytes", mine or "not known", its or "not known"
    elif abs(mine - its) > _MEMORY_TOLERANCE * max(mine, its):
        yield "machine, memory_bytes", mine, its


def _load(report: Report) -> dict[str, object]:
    """Return what of a scenario says what is sent and when, as dotted keys, every default filled in."""
    flat: dict[str, object] = {}
    plain = to_plain(from_plain(report.scenario))
    for key, value in plain.items():
        if key in _NOT_LOAD:
            continue
        inner = value.items() if isinstance(value, dict) else enumerate(value) if key == "phases" else ()
        parts = {f"{key}.{name}": part for name, part in inner} if inner else {key: value}
        flat |= {name: part for name, part in parts.items() if name not in _NOT_LOAD_INSIDE}
    phases = {name: value for name, value in flat.items() if name.startswith("phases.")}
    for name, phase in phases.items():
        del flat[name]
        assert isinstance(phase, dict)
        flat |= {f"{name}.{key}": value for key, value in phase.items()}
    return flat


def _short(value: object) -> str:
    text = "absent" if value is None else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
