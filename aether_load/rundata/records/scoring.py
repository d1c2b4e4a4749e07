"""Score the answer to a question: its state, its letter, and whether that is right."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from aether_load.datasets.answer import LETTERS, parse_letter
from aether_load.datasets.prompt import Prompt
from aether_load.response import is_mock_output
from aether_load.rundata.records.record_format import ABSENT, ANSWER_STATES

_ANSWERED, _UNANSWERED, _MOCK = range(len(ANSWER_STATES))
_LONGEST_REMEMBERED = 64


def score(asked: Prompt, output: object) -> tuple[int, str | None, int]:
    """Return the state of the answer to a prompt, its letter, and whether that is right (`ABSENT`: not known).

    The mock provider's fixed text is no answer at all, neither right nor wrong.
    """
    if output is None:
        return ABSENT, None, ABSENT
    options_total = len(asked.options)
    if isinstance(output, str) and len(output) <= _LONGEST_REMEMBERED:
        state, letter = _remembered(output, options_total)
    else:
        state, letter = _state_and_letter(output, options_total)
    if asked.gold is None or state not in (_ANSWERED, _UNANSWERED):
        return state, letter, ABSENT
    return state, letter, int(letter == LETTERS[asked.gold])


def _state_and_letter(output: object, options_total: int) -> tuple[int, str | None]:
    """Return the state of an answer to a question of so many options, and its letter."""
    if is_mock_output(output):
        return _MOCK, None
    if not options_total:
        return ABSENT, None
    letter = parse_letter(output, options_total) if isinstance(output, str) else None
    return (_UNANSWERED if letter is None else _ANSWERED), letter


# Answers that are a letter recur; what is remembered is bounded in number and in length.
_remembered: Callable[[str, int], tuple[int, str | None]] = lru_cache(maxsize=512)(_state_and_letter)
