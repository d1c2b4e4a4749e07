"""What a search found, as a value and in one sentence."""

from __future__ import annotations

from typing import Literal

import msgspec

from aether_load.rundata.manifest import ProbeRecord, SearchRecord
from aether_load.schedule.search import End


class SearchReport(msgspec.Struct, frozen=True, kw_only=True):
    """The largest load that held every condition of `slo`, the smallest that did not, and by what that broke.

    Loads are in `unit`; None where none was found, for which `sentence` has the reason. `confirmed` tells whether
    the largest held a second time.
    """

    name: str
    unit: Literal["users", "requests/s"]
    slo: tuple[str, ...]
    end: End | Literal["crashed"]
    confirmed: bool
    largest_held: float | None
    smallest_not_held: float | None
    against: tuple[str, ...]
    probes: tuple[ProbeRecord, ...]
    sentence: str


def search_report(record: SearchRecord) -> SearchReport:
    """Return what a search found; one that was cut off has what its probes showed by then."""
    found = record.found
    held = [probe.load for probe in record.probes if probe.holds]
    broken = [probe for probe in record.probes if not probe.holds]
    smallest = min(broken, key=lambda probe: probe.load) if broken else None
    end: End | Literal["crashed"] = found.end if found is not None else "crashed"
    largest = found.largest_held if found is not None else max(held, default=None)
    not_held = found.smallest_not_held if found is not None else smallest.load if smallest else None
    against = found.against if found is not None else smallest.against if smallest else ()
    unit: Literal["users", "requests/s"] = "users" if record.kind == "users" else "requests/s"
    return SearchReport(
        name=record.name,
        unit=unit,
        slo=record.slo,
        end=end,
        confirmed=end in {"found", "most_held"},
        largest_held=largest,
        smallest_not_held=not_held,
        against=against,
        probes=tuple(record.probes),
        sentence=_sentence(end, unit, largest, not_held, against),
    )


def _sentence(end: str, unit: str, largest: float | None, not_held: float | None, against: tuple[str, ...]) -> str:
    held = "no load held" if largest is None else f"{largest:g} {unit} held"
    broke = "" if not_held is None else f", {not_held:g} did not ({'; '.join(against)})"
    if end == "undecided" and not_held is None:
        broke = f": {'; '.join(against)}"
    why = {
        "found": ", and did so again when tried once more",
        "most_held": ", the most that was to be tried, and did so again when tried once more",
        "nothing_held": "",
        "undecided": " for certain, because its probes did not decide it",
        "not_confirmed": ", but not when tried once more: between the two the runtime is not steady",
        "out_of_time": "; the search ran out of time before it was done",
        "stopped": "; the search was stopped before it was done",
        "crashed": "; the search was cut off by force before it was done",
    }[end]
    return f"{held}{why}{broke}"
