"""Compare the load that a phase was to have with the one that it had, in one unit."""

from __future__ import annotations

from typing import Literal

import msgspec

from aether_load.analysis.phase.open_load import OpenLoad
from aether_load.rundata.manifest import PhaseRecord

LoadUnit = Literal["users", "requests/s"]


class AchievedLoad(msgspec.Struct, frozen=True, kw_only=True):
    """A phase's load as asked and as reached; `reasons` says of each None why.

    In closed load both are users: reached is the mean number that were waiting for an answer or thinking, which is that
    of all users unless the client lost time. In open load they are requests a second: due, and sent while the window
    was open.
    """

    unit: LoadUnit
    asked: float | None
    reached: float | None
    reasons: dict[str, str]


def achieved_load(
    record: PhaseRecord,
    load: OpenLoad | None,
    littles_law_ratio: float | None,
    *,
    why_no_ratio: str | None,
    why_no_rate: str | None,
) -> AchievedLoad:
    """Return what became of a phase's load."""
    reasons: dict[str, str] = {}
    if record.load == "open":
        if record.rate_rps is None:
            reasons["asked"] = "the rate changed during the phase"
        if load is None:
            reasons["reached"] = why_no_rate or "there was no window"
        reached = load.achieved_rps if load else None
        return AchievedLoad(unit="requests/s", asked=record.rate_rps, reached=reached, reasons=reasons)
    if record.users is None:
        reasons["asked"] = "Locust's page or load shape decided how many users there were, or their number changed"
    if littles_law_ratio is None or record.users is None:
        reasons["reached"] = why_no_ratio or reasons["asked"]
        asked = None if record.users is None else float(record.users)
        return AchievedLoad(unit="users", asked=asked, reached=None, reasons=reasons)
    busy = round(littles_law_ratio * record.users, 3)
    return AchievedLoad(unit="users", asked=float(record.users), reached=busy, reasons=reasons)
