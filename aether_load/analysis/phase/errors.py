"""Report which errors a phase's requests ended in."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

MOST_ERRORS = 10


class ErrorReport(msgspec.Struct, frozen=True, kw_only=True):
    """An error in the runtime's or the client's words, and how many requests ended in it."""

    outcome: str
    text: str
    requests_total: int


def most_frequent(errors: Sequence[tuple[str, str, int]]) -> tuple[ErrorReport, ...]:
    """Return the most frequent of a phase's errors, at most ten."""
    return tuple(
        ErrorReport(outcome=outcome, text=text, requests_total=count) for outcome, text, count in errors[:MOST_ERRORS]
    )
