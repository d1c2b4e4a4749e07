"""Read which option of a document is right, to score an answer that has come; modules that ask do not import this."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from aether_load.datasets.dataset import HUB_DATASETS

_SCHEMAS = {
    "hellaswag": ("activity_label", "ctx", "endings", "label"),
    "piqa": ("goal", "sol1", "sol2", "label"),
    "winogrande": ("sentence", "option1", "option2", "answer"),
    "arc_challenge": ("question", "choices", "answerKey"),
}
_IN_BRACKETS = re.compile(r"\[.*?\]")
_NO_WORD = re.compile(r"\W+")


def gold_of(document: Mapping[str, Any], options: Sequence[str]) -> int | None:
    """Return the index of the right one of `options`, None when the document is of no schema that is known.

    The document's own options must be those that were asked, in their order: a task may have cut or shuffled them.
    """
    for name, columns in _SCHEMAS.items():
        if not all(column in document for column in columns):
            continue
        try:
            _, own, gold = HUB_DATASETS[name].read(document)
        except (KeyError, ValueError, TypeError, IndexError):
            return None
        alike = len(own) == len(options) and all(
            _plain(mine) == _plain(asked) for mine, asked in zip(own, options, strict=True)
        )
        return gold if alike and gold is not None and 0 <= gold < len(options) else None
    return None


def _plain(text: str) -> str:
    return _NO_WORD.sub("", _IN_BRACKETS.sub("", text)).lower()
