"""Parse durations: `50ms`, `1.5s`, `2m`, or a bare `0`."""

from __future__ import annotations

import re

_DURATION = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>ms|s|m)?")
_PER_SECOND = {"ms": 1000, "s": 1, "m": 1 / 60}


def parse_duration(text: str) -> float:
    """Return the seconds of `text`; raises ValueError with a sentence that shows the right form."""
    match = _DURATION.fullmatch(text.strip())
    number = float(match["number"]) if match else 0.0
    if match is None or (match["unit"] is None and number != 0):
        raise ValueError(f"{text!r} is no duration; write it like 50ms, 1.5s or 2m")
    return number / _PER_SECOND[match["unit"] or "s"]
