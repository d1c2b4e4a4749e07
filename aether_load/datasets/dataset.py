"""The rows of a dataset, in its own schema, as prompts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from aether_load.datasets.answer import LETTERS
from aether_load.datasets.columns import column_texts
from aether_load.datasets.prompt import Prompt
from aether_load.errors import UsageError

if TYPE_CHECKING:
    from aether_load.scenario.workload_plan import FileDataset

Row = Mapping[str, Any]

NOTHING_ASKED: Mapping[str, str] = {}


class HubDataset(msgspec.Struct, frozen=True):
    """Where a dataset is kept on the hub, and how one of its rows is read as text, options and gold."""

    repo: str
    config: str | None
    split: str
    read: Callable[[Row], tuple[str, tuple[str, ...], int | None]]


def _hellaswag(row: Row) -> tuple[str, tuple[str, ...], int | None]:
    text = f"Which ending completes the text best?\n\n{row['activity_label']}: {row['ctx']}"
    return text, tuple(row["endings"]), _number(row["label"], base=0)


def _piqa(row: Row) -> tuple[str, tuple[str, ...], int | None]:
    text = f"Which of the two ways reaches the goal?\n\nGoal: {row['goal']}"
    return text, (row["sol1"], row["sol2"]), _number(row["label"], base=0)


def _winogrande(row: Row) -> tuple[str, tuple[str, ...], int | None]:
    text = f"Which option belongs in the blank, marked _?\n\n{row['sentence']}"
    return text, (row["option1"], row["option2"]), _number(row["answer"], base=1)


def _arc(row: Row) -> tuple[str, tuple[str, ...], int | None]:
    choices = row["choices"]
    labels = [str(label) for label in choices["label"]]
    key = str(row["answerKey"]).strip()
    gold = labels.index(key) if key else None
    return row["question"], tuple(choices["text"]), gold


def _number(value: object, *, base: int) -> int | None:
    """Return a gold label that counts from `base` as an index, None where a split hides it (empty or -1).

    A column of whole numbers with gaps often comes as floats, so 2.0 is a 2.
    """
    text = str(value).strip().removesuffix(".0")
    return None if text in {"", "-1", "None", "nan"} else int(text) - base


HUB_DATASETS: dict[str, HubDataset] = {
    "hellaswag": HubDataset("Rowan/hellaswag", None, "validation", _hellaswag),
    "piqa": HubDataset("baber/piqa", None, "validation", _piqa),
    "winogrande": HubDataset("allenai/winogrande", "winogrande_xl", "validation", _winogrande),
    "arc_easy": HubDataset("allenai/ai2_arc", "ARC-Easy", "test", _arc),
    "arc_challenge": HubDataset("allenai/ai2_arc", "ARC-Challenge", "test", _arc),
}


def hub_prompts(name: str, rows: Iterable[Row], asked: Mapping[str, str] = NOTHING_ASKED) -> list[Prompt]:
    """Return the rows of one of `HUB_DATASETS` as prompts; raises UsageError for a row of another schema.

    `asked` maps each column that a prompt is to carry besides to the place that asks for it.
    """
    read = HUB_DATASETS[name].read
    return [_prompt(name, number, row, read, asked) for number, row in enumerate(rows)]


def file_prompts(
    name: str, columns: FileDataset, rows: Iterable[Row], asked: Mapping[str, str] = NOTHING_ASKED
) -> list[Prompt]:
    """Return the rows of a user's own file as prompts, read by the columns that its scenario names; see above."""

    def read(row: Row) -> tuple[str, tuple[str, ...], int | None]:
        options = _options(columns, row)
        gold = None
        if columns.answer is not None:
            gold = _gold(row[columns.answer], columns.answer_is, options)
        text = row[columns.text]
        return "" if text is None else str(text), options, gold

    return [_prompt(name, number, row, read, asked) for number, row in enumerate(rows)]


def _options(columns: FileDataset, row: Row) -> tuple[str, ...]:
    if columns.options is None:
        return ()
    if isinstance(columns.options, str):
        listed = row[columns.options]
        if not isinstance(listed, list | tuple):
            raise ValueError(f"its column {columns.options!r} holds no list of options")  # noqa: TRY004
    else:
        listed = [row[column] for column in columns.options]
    if any(option is None or option == "" for option in listed):
        raise ValueError("one of its options is empty")
    return tuple(str(option) for option in listed)


def _gold(value: object, answer_is: str, options: tuple[str, ...]) -> int | None:
    if answer_is.startswith("number_"):
        return _number(value, base=1 if answer_is == "number_from_1" else 0)
    text = "" if value is None else str(value).strip()
    if text == "":
        return None
    known = list(LETTERS) if answer_is == "letter" else [option.strip() for option in options]
    wanted = text.upper() if answer_is == "letter" else text
    if wanted not in known:
        allowed = f"a letter from A to {LETTERS[-1]}" if answer_is == "letter" else "one of its options"
        raise ValueError(f"its answer {text!r} is not {allowed}")
    return known.index(wanted)


def _prompt(
    dataset: str,
    number: int,
    row: Row,
    read: Callable[[Row], tuple[str, tuple[str, ...], int | None]],
    asked: Mapping[str, str],
) -> Prompt:
    try:
        text, options, gold = read(row)
        if not isinstance(text, str) or not text.strip():
            raise ValueError("its text is empty")
        if any(not isinstance(option, str) for option in options):
            raise ValueError("one of its options is not a text")
        if len(options) == 1 or len(options) > len(LETTERS):
            raise ValueError(f"it has {len(options)} options, where 2 to {len(LETTERS)} can be lettered")
        if gold is not None and not 0 <= gold < len(options):
            raise ValueError(f"its answer points at option {gold + 1} of {len(options)}")
    except KeyError as missing:
        raise UsageError(
            f"Dataset {dataset}, row {number}: no column {missing}; the row has {', '.join(map(str, row))}."
        ) from None
    except (ValueError, TypeError, IndexError) as error:
        raise UsageError(f"Dataset {dataset}, row {number} cannot be read: {error}.") from None
    columns = column_texts(row, asked, dataset)
    return Prompt(id=f"{dataset}/{number}", dataset=dataset, text=text, options=options, gold=gold, columns=columns)


def in_seeded_order(prompts: Iterable[Prompt], seed: int) -> list[Prompt]:
    """Return the prompts in the order of a hash of seed and id.

    A hash is the same on every machine and in every version of Python, which a generator's shuffle is not
    promised to be; and the first n of it are the same n whatever the length of the rest.
    """
    return sorted(prompts, key=lambda prompt: hashlib.sha256(f"{seed}:{prompt.id}".encode()).digest())
