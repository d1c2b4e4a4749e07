"""Report a capacity search: its probes, the loads that it found, and the result in one sentence."""

from __future__ import annotations

from typing import Literal

import msgspec

from aether_load.rundata.manifest import ProbeRecord, SearchRecord
from aether_load.schedule.search import End


class SearchReport(msgspec.Struct, frozen=True, kw_only=True):
    """The largest load under which every condition of `slo` held, the smallest under which one did not, and which.

    Loads are in `unit`, and None where there is none. `gap` is the share by which `smallest_not_held` is above
    `largest_held`, and `confirmed` tells whether several probes agree on both and the gap is within the tolerance.
    """

    name: str
    unit: Literal["users", "requests/s"]
    slo: tuple[str, ...]
    end: End | Literal["crashed"]
    confirmed: bool
    largest_held: float | None
    smallest_not_held: float | None
    gap: float | None = None
    against: tuple[str, ...]
    probes: tuple[ProbeRecord, ...]
    sentence: str


def search_report(record: SearchRecord) -> SearchReport:
    """Return the report of a search; one that was cut off by force has what its probes showed by then."""
    found = record.found
    held = [probe.load for probe in record.probes if probe.holds]
    broken = [probe for probe in record.probes if probe.holds is False]
    smallest = min(broken, key=lambda probe: probe.load) if broken else None
    end: End | Literal["crashed"] = found.end if found is not None else "crashed"
    largest = found.largest_held if found is not None else max(held, default=None)
    not_held = found.smallest_not_held if found is not None else smallest.load if smallest else None
    against = found.against if found is not None else smallest.against if smallest else ()
    unit: Literal["users", "requests/s"] = "users" if record.kind == "users" else "requests/s"
    gap = None if largest is None or not_held is None else round(not_held / largest - 1, 6)
    return SearchReport(
        name=record.name,
        unit=unit,
        slo=record.slo,
        end=end,
        confirmed=end in {"found", "max_load_held"},
        largest_held=largest,
        smallest_not_held=not_held,
        gap=gap,
        against=against,
        probes=tuple(record.probes),
        sentence=f"{_loads(unit, largest, not_held, against)}; {_end(end, gap, record.tolerance)}",
    )


def _loads(unit: str, largest: float | None, not_held: float | None, against: tuple[str, ...]) -> str:
    held = "no load held" if largest is None else f"{largest:g} {unit} held"
    why = f" ({'; '.join(against)})" if against else ""
    return f"{held}{why}" if not_held is None else f"{held}, {not_held:g} did not{why}"


def _end(end: End | Literal["crashed"], gap: float | None, tolerance: float | None) -> str:
    wide = ""
    if gap is not None and tolerance is not None and gap > tolerance:
        wide = f" with a gap of {gap:.0%}, wider than the tolerance of {tolerance:.0%}"
    return {
        "found": "further probes confirmed both",
        "max_load_held": "further probes confirmed it, and it is the max_load of the search",
        "nothing_held": "it is the smallest load that the search tries",
        "undecided": f"the search ended{wide}, because the loads between stayed undecided"
        if gap is not None
        else "the search ended because its probes stayed undecided",
        "client_limited": "the client is the limit, so the capacity of the server is at least the load that held",
        "unsteady": f"the search ended{wide}, because the same loads held in some probes and not in others",
        "out_of_time": f"the search ran out of time{wide or ' before further probes confirmed it'}",
        "stopped": f"the search was stopped{wide or ' before its end'}",
        "crashed": f"the search was cut off by force{wide or ' before its end'}",
    }[end]
