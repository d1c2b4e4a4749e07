"""Parse durations: "90s", "1m30s", "250ms", or a bare number of seconds."""

from __future__ import annotations

import math
import re

_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")
LONGEST_S = 366 * 86_400


class Seconds(float):
    """A duration in seconds; written in a scenario as "90s", "1m30s", "250ms", or a bare number of seconds."""

    __slots__ = ()


def parse_duration(value: object) -> Seconds:
    """Return `value` in seconds; raises ValueError with the reason when it is none, or not above or at zero."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        # No number is too large to be compared, and some whole numbers are to be a float.
        seconds = float(value) if abs(value) <= LONGEST_S else math.inf
    elif isinstance(value, str) and value.lstrip().startswith("-"):
        raise ValueError("expected a duration of zero or more")
    elif isinstance(value, str):
        match = _DURATION.fullmatch(value.replace(" ", ""))
        if match is None or not any(match.groups()):
            raise ValueError('expected a duration such as "90s", "1m30s" or "250ms"')
        hours, minutes, whole, milli = (float(part or 0) for part in match.groups())
        seconds = hours * 3600 + minutes * 60 + whole + milli / 1000
    else:
        raise ValueError('expected a duration such as "90s", "1m30s" or "250ms"')
    if not 0 <= seconds <= LONGEST_S:
        raise ValueError("expected a duration of zero or more, and of no more than a year")
    return Seconds(seconds)
