"""Combine a phase's readings of /metrics: what the server counted, and why the counts may be void."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import msgspec

from aether_load.analysis.server.scrape import Scrape, ScrapeError, difference, fell, parse_scrape
from aether_load.rundata.scrapes import RawScrape


class Reading(msgspec.Struct, frozen=True):
    """One reading that could be parsed; monotonic ns before and after."""

    role: str
    began_ns: int
    ended_ns: int
    scrape: Scrape


class Readings(msgspec.Struct, frozen=True, kw_only=True):
    """The readings of one phase, combined.

    `counted` is what was counted between the first reading and the last. It is None where `void` says why there is no
    difference, or `restarted` names a counter that fell. `readable` has the readings that could be parsed, in order;
    `unreadable_total` could not, the first of them because of `first_error`.
    """

    readable: tuple[Reading, ...] = ()
    readings_total: int = 0
    unreadable_total: int = 0
    first_error: str | None = None
    counted: Scrape | None = None
    void: str | None = None
    restarted: str | None = None

    @property
    def first(self) -> Scrape | None:
        """Return the reading before the phase's first request."""
        return next((reading.scrape for reading in self.readable if reading.role == "before"), None)


def take_together(scrapes: Sequence[RawScrape], *, void: str | None = None) -> Readings:
    """Combine a phase's readings; `void` is a reason, known beforehand, why their difference means nothing."""
    readable: list[Reading] = []
    errors: dict[str, str] = {}
    for raw in scrapes:
        try:
            readable.append(Reading(raw.role, raw.began_ns, raw.ended_ns, _parsed(raw)))
        except ScrapeError as error:
            errors.setdefault(raw.role, str(error))
    ends = {reading.role: reading for reading in readable if reading.role in {"before", "after"}}
    counted = restarted = None
    void = void or _why_no_difference(scrapes, errors)
    if void is None:
        neighbours = pairwise(reading.scrape for reading in readable)
        restarted = next((name for early, late in neighbours if (name := fell(early, late))), None)
        counted = None if restarted else difference(ends["before"].scrape, ends["after"].scrape)
    return Readings(
        readable=tuple(readable),
        readings_total=len(scrapes),
        unreadable_total=len(scrapes) - len(readable),
        first_error=next(iter(errors.values()), None),
        counted=counted,
        void=void,
        restarted=restarted,
    )


def _parsed(raw: RawScrape) -> Scrape:
    if raw.text is None:
        raise ScrapeError(f"/metrics could not be read ({raw.role} the load): {raw.error}")
    try:
        return parse_scrape(raw.text)
    except ScrapeError as error:
        raise ScrapeError(f"/metrics ({raw.role} the load): {error}") from None


def _why_no_difference(scrapes: Sequence[RawScrape], errors: dict[str, str]) -> str | None:
    roles = {raw.role for raw in scrapes}
    for role, missing in (
        ("before", "/metrics was not read before the first request"),
        ("after", "/metrics was not read after the last answer, with nothing in flight"),
    ):
        if role not in roles:
            return missing
        if role in errors:
            return errors[role]
    return None


def nodes_since(readings: Readings, reading: Reading) -> int:
    """Return how many nodes the server counted from the phase's first reading to `reading`."""
    assert readings.first is not None
    return reading.scrape.node_count - readings.first.node_count
