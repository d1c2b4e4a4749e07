"""Turn the rows of a dataset, in its own schema, into prompts."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from aether_load.datasets.answer import LETTERS
from aether_load.datasets.columns import column_texts, scalar_text
from aether_load.datasets.prompt import Prompt
from aether_load.errors import UsageError, explained
from aether_load.scenario.validation import did_you_mean
from aether_load.scenario.workload_plan import FileDataset

Row = Mapping[str, Any]
Question = tuple[str, tuple[str, ...], int | None]
"""A row's text, its options, and the index of the right one, None where the row does not say."""

NOTHING_ASKED: Mapping[str, str] = {}
_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]+")


def row_place(index: int) -> str:
    """Return where a row stands, for a message, when nothing more is known: its number, from 1."""
    return f"row {index + 1}"


class HubDataset(msgspec.Struct, frozen=True):
    """Where the hub keeps a dataset, and how to read one of its rows.

    `read` raises ValueError with a sentence that names the column.
    """

    repo: str
    config: str | None
    split: str
    read: Callable[[Row], Question]


def _hellaswag(row: Row) -> Question:
    text = f"Which ending completes the text best?\n\n{_text(row, 'activity_label')}: {_text(row, 'ctx')}"
    options = _list(row, "endings")
    return text, options, _place_of_number(row, "label", len(options), base=0)


def _piqa(row: Row) -> Question:
    text = f"Which of the two ways reaches the goal?\n\nGoal: {_text(row, 'goal')}"
    return text, (_given(row, "sol1"), _given(row, "sol2")), _place_of_number(row, "label", 2, base=0)


def _winogrande(row: Row) -> Question:
    text = f"Which option belongs in the blank, marked _?\n\n{_text(row, 'sentence')}"
    return text, (_given(row, "option1"), _given(row, "option2")), _place_of_number(row, "answer", 2, base=1)


def _arc(row: Row) -> Question:
    choices = _cell(row, "choices")
    if not isinstance(choices, Mapping):
        raise ValueError("column 'choices' holds no object of text and label")  # noqa: TRY004
    labels, options = _list(choices, "label"), _list(choices, "text")
    if len(labels) != len(options):
        raise ValueError(f"column 'choices' has {len(labels)} labels and {len(options)} texts")
    key = _text(row, "answerKey").strip()
    if key and key not in labels:
        raise ValueError(f"column 'answerKey': {key!r} is none of the labels {', '.join(labels)}")
    return _text(row, "question"), options, labels.index(key) if key else None


HUB_DATASETS: dict[str, HubDataset] = {
    "hellaswag": HubDataset("Rowan/hellaswag", None, "validation", _hellaswag),
    "piqa": HubDataset("baber/piqa", None, "validation", _piqa),
    "winogrande": HubDataset("allenai/winogrande", "winogrande_xl", "validation", _winogrande),
    "arc_easy": HubDataset("allenai/ai2_arc", "ARC-Easy", "test", _arc),
    "arc_challenge": HubDataset("allenai/ai2_arc", "ARC-Challenge", "test", _arc),
}


def hub_prompts(
    name: str,
    rows: Iterable[Row],
    asked: Mapping[str, str] = NOTHING_ASKED,
    place: Callable[[int], str] = row_place,
) -> list[Prompt]:
    """Return the rows of one of `HUB_DATASETS` as prompts; raises UsageError for a row of another schema.

    `asked` maps each further column that a prompt carries to the place that asks for it. `place` returns where the
    row of an index stands, for messages.
    """
    read = HUB_DATASETS[name].read
    return [_prompt(name, index, row, read, asked, place) for index, row in enumerate(rows)]


def file_prompts(
    name: str,
    columns: FileDataset,
    rows: Iterable[Row],
    asked: Mapping[str, str] = NOTHING_ASKED,
    place: Callable[[int], str] = row_place,
) -> list[Prompt]:
    """Return the rows of a user's own file as prompts, read by the columns that its scenario names."""

    def read(row: Row) -> Question:
        text = _text(row, columns.text)
        if not text.strip():
            raise ValueError(f"column {columns.text!r} is empty")
        options = _options(columns, row)
        return text, options, _gold(columns, row, options)

    return [_prompt(name, index, row, read, asked, place) for index, row in enumerate(rows)]


def _options(columns: FileDataset, row: Row) -> tuple[str, ...]:
    if columns.options is None:
        return ()
    if isinstance(columns.options, str):
        options = _list(row, columns.options)
    else:
        options = tuple(_text(row, column) for column in columns.options)
    if "" in options:
        column = columns.options if isinstance(columns.options, str) else columns.options[options.index("")]
        raise ValueError(f"column {column!r}: an option is empty")
    return options


def _gold(columns: FileDataset, row: Row, options: tuple[str, ...]) -> int | None:
    column = columns.answer
    if column is None:
        return None
    if columns.answer_is in {"number_from_0", "number_from_1"}:
        return _place_of_number(row, column, len(options), base=int(columns.answer_is[-1]))
    text = _text(row, column).strip()
    if text == "":
        return None
    if columns.answer_is == "letter":
        letters = LETTERS[: len(options)]
        if text.upper() not in list(letters):
            raise ValueError(f"column {column!r}: {text!r} is no letter from A to {letters[-1:]}")
        return letters.index(text.upper())
    known = [option.strip() for option in options]
    if text not in known:
        raise ValueError(f"column {column!r}: {text!r} is none of the options")
    return known.index(text)


def _cell(row: Row, column: str) -> object:
    if column not in row:
        raise ValueError(f"there is no column {column!r}; {did_you_mean(column, row)}")
    return row[column]


def _text(row: Row, column: str) -> str:
    value = _cell(row, column)
    with explained(f"column {column!r} ", ValueError, ValueError, end=""):
        return scalar_text(value)


def _given(row: Row, column: str) -> str:
    """Return the text of a column that may be empty, but not null."""
    if _cell(row, column) is None:
        raise ValueError(f"column {column!r} is null, and an option is needed")
    return _text(row, column)


def _list(row: Row, column: str) -> tuple[str, ...]:
    listed = _cell(row, column)
    if not isinstance(listed, list | tuple):
        raise ValueError(f"column {column!r} holds no list of texts")  # noqa: TRY004
    with explained(f"column {column!r} ", ValueError, ValueError, end=""):
        return tuple(map(scalar_text, listed))


def _place_of_number(row: Row, column: str, count: int, *, base: int) -> int | None:
    """Return the place among `count` options that a number counted from `base` names.

    None where the row has no answer: an empty cell or -1. A column of whole numbers with gaps often comes as floats,
    so 2.0 is a 2.
    """
    text = _text(row, column).strip().removesuffix(".0")
    if text in {"", "-1", "None", "nan"}:
        return None
    if not _WHOLE_NUMBER.fullmatch(text):
        raise ValueError(f"column {column!r}: {text!r} is no whole number")
    if not base <= int(text) < base + count:
        raise ValueError(f"column {column!r}: {text} is not from {base} to {base + count - 1}, the row's options")
    return int(text) - base


def _prompt(
    dataset: str,
    index: int,
    row: Row,
    read: Callable[[Row], Question],
    asked: Mapping[str, str],
    place: Callable[[int], str],
) -> Prompt:
    try:
        text, options, gold = read(row)
        if len(options) == 1 or len(options) > len(LETTERS):
            raise ValueError(f"{len(options)} options; 2 to {len(LETTERS)} can be lettered")
        columns = column_texts(row, asked, dataset)
    except ValueError as error:
        end = "" if str(error).endswith((".", "?")) else "."
        raise UsageError(f"Dataset {dataset}: {place(index)}: {error}{end}") from None
    return Prompt(id=f"{dataset}/{index}", dataset=dataset, text=text, options=options, gold=gold, columns=columns)


def in_seeded_order(prompts: Iterable[Prompt], seed: int) -> list[Prompt]:
    """Return the prompts in the order of a hash of seed and id.

    A hash is the same on every machine and in every version of Python, which a generator's shuffle is not promised
    to be. The first n are the same n however many follow.
    """
    return sorted(prompts, key=lambda prompt: hashlib.sha256(f"{seed}:{prompt.id}".encode()).digest())
