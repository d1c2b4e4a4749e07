"""Datasets read from files: copies laid out like the hub, and files of the user's own."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aether_load.datasets.loading import load_prompts
from aether_load.datasets.prompt import DatasetIdentity, Prompt
from aether_load.datasets.rows import choose
from aether_load.errors import UsageError
from aether_load.scenario.load import load_scenario
from aether_load.scenario.phase import Phase
from aether_load.scenario.scenario import Scenario
from aether_load.scenario.workload_plan import FileDataset, WorkloadPlan
from workload.hub import parquet

PIQA: list[dict[str, Any]] = [
    {"goal": "open a jar", "sol1": "twist", "sol2": "shout", "label": 0},
    {"goal": "dry a cup", "sol1": "rain", "sol2": "towel", "label": 1},
    {"goal": "cool soup", "sol1": "None", "sol2": "007", "label": 0},
]
WINOGRANDE = [
    {"sentence": "Ann thanked Eve as _ had helped.", "option1": "Ann", "option2": "Eve", "answer": "2"},
    {"sentence": "Ann helped Eve as _ was kind.", "option1": "Ann", "option2": "Eve", "answer": ""},
]


def jsonl(rows: list[Any]) -> bytes:
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()


def csv(rows: list[dict[str, Any]]) -> bytes:
    return "".join(",".join(map(str, line)) + "\r\n" for line in [rows[0], *(row.values() for row in rows)]).encode()


def write(folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


def run(plan: WorkloadPlan, tmp_path: Path) -> tuple[list[Prompt], tuple[DatasetIdentity, ...]]:
    """Do in this process what the loader does in its own; the prompts come sorted by their ids."""
    prompts, identities = choose(plan, 1, {}, lambda _sets, _rows: None)
    return sorted(prompts, key=lambda prompt: prompt.id), identities


def run_folder(name: str, files: dict[str, bytes], tmp_path: Path) -> tuple[list[Prompt], DatasetIdentity]:
    folder = tmp_path / "copy"
    folder.mkdir()
    write(folder, files)
    prompts, (identity,) = run(WorkloadPlan(datasets=(name,), source="folder", dataset_dir=str(folder)), tmp_path)
    return prompts, identity


def run_file(file: str, data: bytes, tmp_path: Path, **columns: Any) -> list[Prompt]:
    write(tmp_path, {file: data})
    mine = FileDataset(path=str(tmp_path / file), **columns)
    return run(WorkloadPlan(datasets=("mine",), files={"mine": mine}), tmp_path)[0]


def piqa_prompt(number: int) -> Prompt:
    row = PIQA[number]
    text = f"Which of the two ways reaches the goal?\n\nGoal: {row['goal']}"
    return Prompt(f"piqa/{number}", "piqa", text, (row["sol1"], row["sol2"]), row["label"])


@pytest.mark.parametrize(
    "files",
    [
        {"validation.jsonl": jsonl(PIQA)},
        {"validation.json": json.dumps(PIQA).encode()},
        {"validation.csv": csv(PIQA)},
        {"validation.parquet": parquet(PIQA)},
        {"data/validation.jsonl": jsonl(PIQA)},
        {"data/validation-00000-of-00001.parquet": parquet(PIQA), "data/train-00000-of-00001.parquet": b"not read"},
        {
            "data/validation-00000-of-00003.parquet": parquet(PIQA[:1]),
            "data/validation-00001-of-00003.parquet": parquet(PIQA[1:2]),
            "data/validation-00002-of-00003.parquet": parquet(PIQA[2:]),
        },
    ],
    ids=",".join,
)
def test_a_copy_of_a_repository_without_configs_is_read(files: dict[str, bytes], tmp_path: Path) -> None:
    """A split is one plain file, or the hub's shards in order; texts stay as they are, also in CSV."""
    prompts, identity = run_folder("piqa", {f"baber/piqa/{name}": data for name, data in files.items()}, tmp_path)
    assert prompts == [piqa_prompt(0), piqa_prompt(1), piqa_prompt(2)]
    location = str(tmp_path / "copy" / "baber" / "piqa")
    revision = identity.revision
    assert re.fullmatch("sha256:[0-9a-f]{64}", revision)
    assert identity == DatasetIdentity(
        name="piqa",
        source="folder",
        location=location,
        config=None,
        split="validation",
        revision=revision,
        rows_available=3,
        rows_used=3,
    )


@pytest.mark.parametrize(
    "files",
    [
        {"winogrande_xl/validation.jsonl": jsonl(WINOGRANDE), "winogrande_xs/validation.jsonl": b"not read"},
        {"winogrande_xl/validation.csv": csv(WINOGRANDE)},
        {
            "winogrande_xl/validation-00000-of-00002.parquet": parquet(WINOGRANDE[:1]),
            "winogrande_xl/validation-00001-of-00002.parquet": parquet(WINOGRANDE[1:]),
        },
        {"data/winogrande_xl/validation-00000-of-00001.parquet": parquet(WINOGRANDE)},
    ],
    ids=lambda files: next(iter(files)),
)
def test_a_copy_of_a_repository_with_configs_is_read(files: dict[str, bytes], tmp_path: Path) -> None:
    """The files of a config lie in a folder of its name; a label that is empty is hidden, which is no error."""
    prompts, identity = run_folder(
        "winogrande", {f"allenai/winogrande/{name}": data for name, data in files.items()}, tmp_path
    )
    question = "Which option belongs in the blank, marked _?\n\n"
    assert prompts == [
        Prompt("winogrande/0", "winogrande", f"{question}Ann thanked Eve as _ had helped.", ("Ann", "Eve"), 1),
        Prompt("winogrande/1", "winogrande", f"{question}Ann helped Eve as _ was kind.", ("Ann", "Eve"), None),
    ]
    assert (identity.config, identity.split) == ("winogrande_xl", "validation")


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        (
            {"train.jsonl": jsonl(PIQA)},
            (
                "Dataset piqa: COPY holds no baber/piqa/validation.jsonl (nor .json, .csv, .parquet of that split); "
                "the folder must be laid out like the hub."
            ),
        ),
        (
            {"data/validation-00001-of-00002.parquet": parquet(PIQA)},
            (
                "Dataset piqa: COPY/baber/piqa/data/validation-00001-of-00002.parquet is one of 2 files, of which "
                "there are 1."
            ),
        ),
        ({"validation.jsonl": b""}, "Dataset piqa (COPY/baber/piqa) holds no rows."),
        ({"validation.jsonl": b"\n\n"}, "Dataset piqa (COPY/baber/piqa) holds no rows."),
        ({"validation.csv": csv(PIQA).splitlines()[0]}, "Dataset piqa (COPY/baber/piqa) holds no rows."),
        (
            {"validation.jsonl": jsonl(PIQA[:1]) + b'{"goal": \n'},
            "Dataset piqa: COPY/baber/piqa/validation.jsonl, line 2 is not JSON: it ends in the middle of a value.",
        ),
        (
            {"validation.jsonl": jsonl(PIQA).replace(b"cup", b"c\xfcp")},
            (
                "Dataset piqa: COPY/baber/piqa/validation.jsonl, line 2: byte 0xfc is not UTF-8 text; save the file as "
                "UTF-8."
            ),
        ),
        (
            {"validation.csv": csv(PIQA) + b"a,b,c,d,e,f\n"},
            (
                "Dataset piqa: COPY/baber/piqa/validation.csv, row 4 (line 5) has 6 cells, and the header has 4; a "
                "cell that holds a comma must stand in double quotes."
            ),
        ),
        (
            {
                "data/validation-00000-of-00002.parquet": parquet(PIQA),
                "data/validation-00001-of-00002.parquet": b"no parquet",
            },
            (
                "Dataset piqa: COPY/baber/piqa/data/validation-00001-of-00002.parquet is not a Parquet file, or it is "
                "damaged."
            ),
        ),
        (
            {"validation.jsonl": jsonl(WINOGRANDE)},
            (
                "Dataset piqa: COPY/baber/piqa/validation.jsonl, row 1 (line 1): there is no column 'goal'; there are "
                "sentence, option1, option2, answer."
            ),
        ),
        (
            {
                "data/validation-00000-of-00002.parquet": parquet(PIQA),
                "data/validation-00001-of-00002.parquet": parquet([PIQA[0], {**PIQA[2], "label": 5}]),
            },
            (
                "Dataset piqa: COPY/baber/piqa/data/validation-00001-of-00002.parquet, row 2: column 'label': 5 is not "
                "from 0 to 1, the row's options."
            ),
        ),
        (
            {"validation.csv": csv([{**PIQA[0], "label": "first"}])},
            (
                "Dataset piqa: COPY/baber/piqa/validation.csv, row 1 (line 2): column 'label': 'first' is no whole "
                "number."
            ),
        ),
        (
            {"validation.jsonl": jsonl([PIQA[0], {**PIQA[1], "sol2": None}])},
            (
                "Dataset piqa: COPY/baber/piqa/validation.jsonl, row 2 (line 2): column 'sol2' is null, and an option "
                "is needed."
            ),
        ),
    ],
)
def test_a_copy_that_cannot_be_used_is_one_sentence(files: dict[str, bytes], sentence: str, tmp_path: Path) -> None:
    """What is missing, empty, broken or of another schema is named with its dataset, file, row and column."""
    with pytest.raises(UsageError) as raised:
        run_folder("piqa", {f"baber/piqa/{name}": data for name, data in files.items()}, tmp_path)
    assert str(raised.value) == sentence.replace("COPY", str(tmp_path / "copy"))


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The option that named the folder stands in the sentence."""
    with pytest.raises(UsageError) as raised:
        run(WorkloadPlan(source="folder", dataset_dir=str(tmp_path / "none")), tmp_path)
    assert str(raised.value) == f"--dataset-dir {tmp_path / 'none'}: there is no such folder."


LISTED: list[dict[str, Any]] = [
    {"ask": "2 + 2?", "choices": ["3", "4", "5"], "right": "B"},
    {"ask": "3 + 3?", "choices": ["6", "7"], "right": "a"},
    {"ask": "4 + 4?", "choices": ["7", "8"], "right": None},
]
SEVERAL = [
    {"ask": "2 + 2?", "one": "3.50", "two": "NA", "right": 2},
    {"ask": "3 + 3?", "one": "None", "two": "007", "right": 1},
]


@pytest.mark.parametrize(("name", "make"), [("mine.jsonl", jsonl), ("mine.parquet", parquet), ("my [1]*.JSONL", jsonl)])
def test_options_of_ones_own_file_may_stand_in_a_list(name: str, make: Callable[..., Any], tmp_path: Path) -> None:
    """A column of lists is read from every format that has lists, whatever the file's name; no answer is no gold."""
    columns = {"text": "ask", "options": "choices", "answer": "right", "answer_is": "letter"}
    assert run_file(name, make(LISTED), tmp_path, **columns) == [
        Prompt("mine/0", "mine", "2 + 2?", ("3", "4", "5"), 1),
        Prompt("mine/1", "mine", "3 + 3?", ("6", "7"), 0),
        Prompt("mine/2", "mine", "4 + 4?", ("7", "8"), None),
    ]


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("mine.jsonl", jsonl),
        ("mine.csv", csv),
        ("mine.csv", lambda rows: b"\xef\xbb\xbf" + csv(rows)),
        ("mine.parquet", parquet),
    ],
)
def test_options_of_ones_own_file_may_stand_in_columns(name: str, make: Callable[..., Any], tmp_path: Path) -> None:
    """Each of several columns holds an option, and a cell of CSV is the text that stands there."""
    columns = {"text": "ask", "options": ("one", "two"), "answer": "right", "answer_is": "number_from_1"}
    assert run_file(name, make(SEVERAL), tmp_path, **columns) == [
        Prompt("mine/0", "mine", "2 + 2?", ("3.50", "NA"), 1),
        Prompt("mine/1", "mine", "3 + 3?", ("None", "007"), 0),
    ]


@pytest.mark.parametrize(
    ("answer_is", "answers"),
    [
        ("number_from_0", [0, 2, None]),
        ("number_from_0", ["0", "2", ""]),
        ("number_from_0", [0.0, 2.0, None]),
        ("number_from_1", [1, 3, -1]),
        ("letter", ["A", " c ", ""]),
        ("text", ["red", "blue ", None]),
    ],
)
@pytest.mark.parametrize(("name", "make"), [("mine.jsonl", jsonl), ("mine.parquet", parquet)])
def test_an_answer_is_read_as_its_kind_says(
    name: str, make: Callable[..., Any], answer_is: str, answers: list[float | str | None], tmp_path: Path
) -> None:
    """Numbers from 0 or 1, letters and the option's own text all become its place; a gap is no gold."""
    rows = [{"ask": "?", "choices": ["red", "green", "blue"], "right": answer} for answer in answers]
    prompts = run_file(name, make(rows), tmp_path, text="ask", options="choices", answer="right", answer_is=answer_is)
    assert [prompt.gold for prompt in prompts] == [0, 2, None]


def test_a_file_of_ones_own_may_hold_texts_alone(tmp_path: Path) -> None:
    """Without options the prompt is the text, whatever other columns there are."""
    assert run_file("mine.csv", csv(SEVERAL), tmp_path, text="ask") == [
        Prompt("mine/0", "mine", "2 + 2?"),
        Prompt("mine/1", "mine", "3 + 3?"),
    ]


@pytest.mark.parametrize(
    ("name", "data", "columns", "sentence"),
    [
        ("mine.txt", b"?", {}, ("Dataset mine: FILE: the name ends in none of .jsonl, .ndjson, .json, .csv, .parquet, "
         "so the format is unknown.")),
        ("mine.jsonl", b"", {}, "Dataset mine (FILE) holds no rows."),
        ("mine.csv", b"", {}, "Dataset mine (FILE) holds no rows."),
        ("mine.csv", b"ask,one\n", {}, "Dataset mine (FILE) holds no rows."),
        ("mine.json", b"[]", {}, "Dataset mine (FILE) holds no rows."),
        ("mine.parquet", b"", {}, "Dataset mine: FILE is not a Parquet file, or it is damaged."),
        ("mine.jsonl", jsonl(LISTED) + b"{\n", {},
         "Dataset mine: FILE, line 4 is not JSON: it ends in the middle of a value."),
        ("mine.jsonl", jsonl(LISTED), {"text": "question"},
         "Dataset mine: FILE, row 1 (line 1): there is no column 'question'; there are ask, choices, right."),
        ("mine.csv", csv([{"ask": "", "one": "a"}]), {},
         "Dataset mine: FILE, row 1 (line 2): column 'ask' is empty."),
        ("mine.csv", csv([{"ask": "?", "one": "a", "two": ""}]), {"options": ("one", "two")},
         "Dataset mine: FILE, row 1 (line 2): column 'two': an option is empty."),
        ("mine.csv", csv(SEVERAL), {"options": "one"},
         "Dataset mine: FILE, row 1 (line 2): column 'one' holds no list of texts."),
        ("mine.jsonl", jsonl([LISTED[0], {"ask": "?", "choices": None}]), {"options": "choices"},
         "Dataset mine: FILE, row 2 (line 2): column 'choices' holds no list of texts."),
        ("mine.jsonl", jsonl(LISTED), {"options": ("ask",)},
         "Dataset mine: FILE, row 1 (line 1): 1 options; 2 to 10 can be lettered."),
        ("mine.jsonl", jsonl([{**LISTED[0], "right": "BC"}]),
         {"options": "choices", "answer": "right", "answer_is": "letter"},
         "Dataset mine: FILE, row 1 (line 1): column 'right': 'BC' is no letter from A to C."),
        ("mine.jsonl", jsonl([{**LISTED[0], "right": "D"}]),
         {"options": "choices", "answer": "right", "answer_is": "letter"},
         "Dataset mine: FILE, row 1 (line 1): column 'right': 'D' is no letter from A to C."),
        ("mine.jsonl", jsonl([{**LISTED[0], "right": "6"}]),
         {"options": "choices", "answer": "right", "answer_is": "text"},
         "Dataset mine: FILE, row 1 (line 1): column 'right': '6' is none of the options."),
        ("mine.jsonl", jsonl(LISTED), {"options": "choices", "answer": "right"},
         "Dataset mine: FILE, row 1 (line 1): column 'right': 'B' is no whole number."),
        ("mine.parquet", parquet([{"ask": b"\xff\xfe"}]), {},
         "Dataset mine: FILE, row 1: column 'ask' holds bytes that are not UTF-8 text (byte 0xff at place 0)."),
    ],
)  # fmt: skip
def test_a_file_of_ones_own_that_cannot_be_used_is_one_sentence(
    name: str, data: bytes, columns: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    """The sentence names the dataset, the file, the row and the column, with what is wrong."""
    with pytest.raises(UsageError) as raised:
        run_file(name, data, tmp_path, **{"text": "ask", **columns})
    assert str(raised.value) == sentence.replace("FILE", str(tmp_path / name))


SCENARIO = """
[workload]
datasets = ["mine"]

[workload.files.mine]
path = "rows/mine.csv"
text = "ask"
answer = "right"
answer_is = "number_from_1"
options = ["one", "two"]

[[phases]]
passes = 1
"""


def test_a_scenario_reads_its_file_through_the_loader(tmp_path: Path) -> None:
    """A path is relative to the scenario; what comes out is the rows in seeded order, and whose they are."""
    write(tmp_path, {"rows/mine.csv": csv(SEVERAL), "nightly.toml": SCENARIO.encode()})
    prompts, (identity,) = load_prompts(load_scenario(tmp_path / "nightly.toml"), {})
    assert sorted(prompts, key=lambda prompt: prompt.id) == [
        Prompt("mine/0", "mine", "2 + 2?", ("3.50", "NA"), 1),
        Prompt("mine/1", "mine", "3 + 3?", ("None", "007"), 0),
    ]
    assert identity == DatasetIdentity(
        name="mine",
        source="file",
        location=str(tmp_path / "rows" / "mine.csv"),
        config=None,
        split=None,
        revision=identity.revision,
        rows_available=2,
        rows_used=2,
    )


def test_a_broken_file_is_a_usage_error_of_the_loader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The child's sentence arrives as it is, and nothing of the child's stays behind in the temporary folder."""
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    monkeypatch.setenv("TMPDIR", str(scratch))
    write(tmp_path, {"mine.jsonl": jsonl(LISTED) + b"{\n"})
    mine = FileDataset(path=str(tmp_path / "mine.jsonl"), text="ask")
    plan = WorkloadPlan(datasets=("mine",), files={"mine": mine})
    with pytest.raises(UsageError) as raised:
        load_prompts(Scenario(name="test", phases=(Phase(),), workload=plan), {})
    assert str(raised.value) == (
        f"Dataset mine: {tmp_path / 'mine.jsonl'}, line 4 is not JSON: it ends in the middle of a value."
    )
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize(
    ("line", "instead", "sentence"),
    [
        (
            'options = ["one", "two"]',
            "",
            "workload.files.mine.answer: an answer is one of the options, so say options too.",
        ),
        (
            'answer_is = "number_from_1"',
            'answer_is = "leter"',
            "workload.files.*.answer_is = 'leter': did you mean 'letter'?",
        ),
        ('text = "ask"', "", "key workload.files.*.text is missing."),
        (
            'datasets = ["mine"]',
            'datasets = ["mime"]',
            "workload.datasets: no dataset 'mime'; did you mean 'mine'?",
        ),
    ],
)
def test_a_mistake_in_the_description_of_a_file_is_named(
    line: str, instead: str, sentence: str, tmp_path: Path
) -> None:
    """The scenario's own mistakes are found before any row is read."""
    write(tmp_path, {"nightly.toml": SCENARIO.replace(line, instead).encode()})
    with pytest.raises(UsageError) as raised:
        load_scenario(tmp_path / "nightly.toml")
    assert str(raised.value) == f"Scenario {tmp_path / 'nightly.toml'}: {sentence}"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The key that named the file stands in the sentence."""
    mine = FileDataset(path=str(tmp_path / "none.csv"), text="ask")
    with pytest.raises(UsageError) as raised:
        run(WorkloadPlan(datasets=("mine",), files={"mine": mine}), tmp_path)
    assert str(raised.value) == f"Dataset mine: there is no file {tmp_path / 'none.csv'} (workload.files.mine.path)."


DATED = [
    {"ask": "2026-01-01", "of": {"day": "2026-01-02", "n": 1}},
    {"ask": "2026-01-03", "of": {"day": "2026-01-04", "n": None}},
]


@pytest.mark.parametrize("make", [jsonl, lambda rows: json.dumps(rows).encode()], ids=["lines", "list"])
def test_a_text_that_looks_like_a_date_stays_a_text(make: Callable[..., Any], tmp_path: Path) -> None:
    """The day is what stands in the file, without a time of day that nobody wrote, also inside a column."""
    write(tmp_path, {"mine.jsonl": make(DATED)})
    plan = WorkloadPlan(datasets=("mine",), files={"mine": FileDataset(path=str(tmp_path / "mine.jsonl"), text="ask")})
    asked = {"of.day": "here", "of": "here"}
    prompts, _ = choose(plan, 1, asked, lambda _sets, _rows: None)
    assert sorted(prompts, key=lambda prompt: prompt.id) == [
        Prompt("mine/0", "mine", "2026-01-01", columns={"of.day": "2026-01-02", "of": '{"day":"2026-01-02","n":1}'}),
        Prompt("mine/1", "mine", "2026-01-03", columns={"of.day": "2026-01-04", "of": '{"day":"2026-01-04","n":null}'}),
    ]
