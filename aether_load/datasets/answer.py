"""Read the letter that a model answered with, strictly."""

from __future__ import annotations

import re

LETTERS = "ABCDEFGHIJ"

_ANSWER = re.compile(
    r"(?:(?:the )?(?:correct |right )?answer(?: is|:)\s*)?[(\[*\"'`]*([A-Ja-j])[)\]*\"'`.:,]*", re.IGNORECASE
)


def parse_letter(output: str, option_count: int) -> str | None:
    """Return the option's letter if `output` is one and nothing else but its dressing, else None.

    "B", "(b)", "**B**", "B." and "The answer is B." are answers; a sentence that happens to hold a letter is
    not, and neither is a letter beyond the options that were offered.
    """
    match = _ANSWER.fullmatch(output.strip())
    if match is None:
        return None
    letter = match.group(1).upper()
    return letter if LETTERS.index(letter) < option_count else None
