"""Read the letter that a model answered with, strictly."""

from __future__ import annotations

import re
from functools import lru_cache

LETTERS = "ABCDEFGHIJ"
_LONGEST_REMEMBERED = 64

_ANSWER = re.compile(
    r"(?:(?:the )?(?:correct |right )?answer(?: is|:)\s*)?[(\[*\"'`]*([A-Ja-j])[)\]*\"'`.:,]*", re.IGNORECASE
)


def parse_letter(output: str, option_count: int) -> str | None:
    """Return the option's letter if `output` is one and nothing else but its dressing, else None.

    "B", "(b)", "**B**", "B." and "The answer is B." are answers; a sentence that happens to hold a letter is
    not, and neither is a letter beyond the options that were offered.
    """
    # Answers that are a letter recur, and a long text is none; what is remembered is bounded in number and in length.
    letter = _letter_of(output) if len(output) <= _LONGEST_REMEMBERED else _letter_in(output)
    return letter if letter is not None and LETTERS.index(letter) < option_count else None


def _letter_in(output: str) -> str | None:
    match = _ANSWER.fullmatch(output.strip())
    return None if match is None else match.group(1).upper()


_letter_of = lru_cache(maxsize=512)(_letter_in)
