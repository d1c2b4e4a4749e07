"""Define a line of scrapes.jsonl: one reading of the runtime's /metrics as it came."""

from __future__ import annotations

import msgspec


class RawScrape(msgspec.Struct, frozen=True, kw_only=True):
    """A line of scrapes.jsonl: the text as it came, or why there is none; monotonic ns before and after.

    `role` is `before` (the phase's first request), `during`, or `after` (its last answer: nothing in flight).
    """

    phase: str
    role: str
    began_ns: int
    ended_ns: int
    began_utc: str
    text: str | None = None
    error: str | None = None
