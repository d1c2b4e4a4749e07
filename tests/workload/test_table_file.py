"""Files of rows as people and programs write them: datasets, traces and a scenario's own files read them alike."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aether_load.datasets.rows import choose
from aether_load.datasets.table_file import read_table
from aether_load.errors import UsageError
from aether_load.scenario.phase import Phase, TraceFile
from aether_load.scenario.workload_plan import FileDataset, WorkloadPlan
from aether_load.schedule.trace import read_traces

CASES = Path(__file__).parents[3] / "shared" / "cases" / "files"


def as_file(path: Path) -> list[str]:
    """Return the texts of the user's own file, in the order of its rows."""
    return texts(WorkloadPlan(datasets=("mine",), files={"mine": FileDataset(path=str(path), text="goal")}))


def as_folder(path: Path) -> list[str]:
    """Return the goals of a copy of PIQA, in the order of its rows."""
    path.rename(path.with_name(f"validation{path.suffix}"))
    plan = WorkloadPlan(datasets=("piqa",), source="folder", dataset_dir=str(path.parents[2]))
    return [text.partition("Goal: ")[2] for text in texts(plan)]


def as_trace(path: Path) -> list[str]:
    """Return the texts of a trace, in the order of its times."""
    trace = TraceFile(path=str(path), timestamp="label", prompt="goal")
    return [prompt.text for prompt in read_traces([Phase(name="replay", trace=trace)], []).prompts[0]]


def texts(plan: WorkloadPlan, **asked: str) -> list[str]:
    prompts, _ = choose(plan, 1, asked, lambda _sets, _rows: None)
    return [prompt.text for prompt in sorted(prompts, key=lambda prompt: int(prompt.id.partition("/")[2]))]


READERS = pytest.mark.parametrize("read", [as_file, as_folder, as_trace])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / "baber" / "piqa"
    folder.mkdir(parents=True)
    return folder / "rows.csv"


PLAIN = 'goal,sol1,sol2,label\n"open, a jar",twist,shout,0\n"dry\na ""cup""",rain,towel,1\n'
PANDAS = ',goal,sol1,sol2,label\n0,"open, a jar",twist,shout,0\n1,"dry\na ""cup""",rain,towel,1\n'
SEMICOLONS = 'goal;sol1;sol2;label\nopen, a jar;twist;shout;0\n"dry\na ""cup""";rain;towel;1\n'


@READERS
@pytest.mark.parametrize(
    "content",
    [
        pytest.param(PLAIN.encode(), id="plain"),
        pytest.param(PANDAS.encode(), id="index of pandas"),
        pytest.param(b"\n \n" + PLAIN.encode(), id="blank first lines"),
        pytest.param(b",,,\r\n" + PLAIN.encode(), id="empty first row of a spreadsheet"),
        pytest.param(PLAIN.replace("\n", "\r\n").replace("dry\r\n", "dry\n").encode(), id="CR and LF"),
        pytest.param(PLAIN.replace("\n", "\r").replace("dry\r", "dry\n").encode(), id="CR alone"),
        pytest.param(PLAIN.encode("utf-8-sig"), id="byte order mark"),
        pytest.param(PLAIN.encode("utf-16"), id="UTF-16"),
        pytest.param(b"\xfe\xff" + PLAIN.encode("utf-16-be"), id="UTF-16, big-endian"),
        pytest.param(PLAIN.encode("utf-32"), id="UTF-32"),
        pytest.param(SEMICOLONS.encode(), id="semicolons"),
        pytest.param(SEMICOLONS.replace(";", "\t").encode(), id="tabs"),
        pytest.param(b"sep=;\r\n" + SEMICOLONS.encode(), id="separator named in the first line"),
        pytest.param(PLAIN.rstrip("\n").encode(), id="no last line end"),
        pytest.param(PLAIN.replace("label\n", "label,\n").replace(",0\n", ",0,\n").replace(",1\n", ",1,\n").encode(),
                     id="a comma at the end of every line"),
    ],
)  # fmt: skip
def test_csv_is_read_whoever_wrote_it(read: Callable[..., Any], content: bytes, file: Path) -> None:
    """Whatever the encoding, line ends and separator, the texts are those that were written."""
    file.write_bytes(content)
    assert read(file) == ["open, a jar", 'dry\na "cup"']


QUOTES = "write a double quote inside a cell twice"


@READERS
@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            b"goal,sol1,sol2,label\na,b,c,0,\n",
            (
                "FILE, row 1 (line 2) has 5 cells, and the header has 4; a cell that holds a comma must stand in "
                "double quotes."
            ),
        ),
        (
            b"goal,sol1,sol2,label\na,b,c,0\nhello, world,b,c,1\n",
            (
                "FILE, row 2 (line 3) has 5 cells, and the header has 4; a cell that holds a comma must stand in "
                "double quotes."
            ),
        ),
        (
            b"\ngoal;sol1;sol2;label\r\na;b;c;0\r\n\r\na\r\n",
            (
                "FILE, row 2 (line 5) has 1 cell, and the header has 4; a cell that holds a semicolon must stand in "
                "double quotes."
            ),
        ),
        (
            b'goal,sol1,sol2,label\na,b,c,0\n"a,b,c,1\na,b,c,0\n',
            f"FILE, line 3: a quoted cell begins here and never ends; {QUOTES}.",
        ),
        (
            b'goal,sol1,sol2,label\n"a" and "b",b,c,0\n',
            f"FILE, line 2: text follows the closing quote of a cell; {QUOTES}.",
        ),
        (
            b"goal,goal,sol1,label\na,b,c,0\n",
            "FILE, line 1: the header names column 'goal' twice; give each a name of its own.",
        ),
        (
            "goal,sol1,sol2,label\na,b,c,0\nä,b,c,1\n".encode("latin-1"),
            "FILE, line 3: byte 0xe4 is not UTF-8 text; save the file as UTF-8.",
        ),
        (
            PLAIN.encode("utf-16-le"),
            "FILE, line 1: a null character is not text; save the file as UTF-8.",
        ),
        (
            b"\xff\xfe" + PLAIN.encode("utf-16-le") + b"\x00",
            "FILE, line 5: byte 0x00 is not UTF-16 text; save the file as UTF-8.",
        ),
    ],
)
def test_csv_that_is_not_whole_is_one_sentence(
    read: Callable[..., Any], content: bytes, sentence: str, file: Path
) -> None:
    """A row never moves into other columns, and no text is cut; the sentence names file, row and line."""
    file.write_bytes(content)
    with pytest.raises(UsageError) as raised:
        read(file)
    name = file if file.exists() else file.with_name("validation.csv")
    whose = {as_file: "Dataset mine: ", as_folder: "Dataset piqa: ", as_trace: "Trace "}[read]
    assert str(raised.value) == whose + sentence.replace("FILE", str(name))


def rows_of(name: str, content: bytes) -> list[dict[str, Any]]:
    return read_table(Path(name), content).rows


@pytest.mark.parametrize(
    ("lines", "rows"),
    [
        (['{"n": 10}', '{"n": 2.5}', '{"n": "x"}', '{"n": null}'], [{"n": 10}, {"n": 2.5}, {"n": "x"}, {"n": None}]),
        (['{"n": 9007199254740993}', '{"n": 0.1}'], [{"n": 9007199254740993}, {"n": 0.1}]),
        (['{"n": "2026-01-01"}', '{"n": "2026-01-02T03:04"}'], [{"n": "2026-01-01"}, {"n": "2026-01-02T03:04"}]),
        (['{"n": [1]}', '{"n": {"a": 1}}', '{"n": []}'], [{"n": [1]}, {"n": {"a": 1}}, {"n": []}]),
        (['{"a": 1}', '{"b": true}'], [{"a": 1, "b": None}, {"a": None, "b": True}]),
    ],
)  # fmt: skip
def test_a_json_value_keeps_its_kind_whatever_the_other_rows_hold(lines: list[str], rows: list[dict[str, Any]]) -> None:
    """Numbers, texts, dates and lists of one column stand beside each other; a column left out is null."""
    assert rows_of("t.jsonl", "\n".join(lines).encode()) == rows
    assert rows_of("t.jsonl", "\r".join(lines).encode("utf-16")) == rows
    assert rows_of("t.json", f"[{','.join(lines)}]".encode("utf-8-sig")) == rows


def test_a_number_is_the_text_that_the_file_has(tmp_path: Path) -> None:
    """10 stays "10" though another row has 2.5, as a prompt, as an option and in a column that a DAG asks for."""
    rows = [{"q": 10, "yes": 1, "no": 1.5, "of": {"n": 3}}, {"q": 2.5, "yes": True, "no": 2, "of": {"n": 4.5}}]
    (tmp_path / "t.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    columns = FileDataset(path=str(tmp_path / "t.jsonl"), text="q", options=("yes", "no"))
    plan = WorkloadPlan(datasets=("mine",), files={"mine": columns})
    prompts, _ = choose(plan, 1, {"q": "here", "of.n": "here"}, lambda _sets, _rows: None)
    found = {prompt.id: (prompt.text, prompt.options, prompt.columns) for prompt in prompts}
    assert found == {
        "mine/0": ("10", ("1", "1.5"), {"q": "10", "of.n": "3"}),
        "mine/1": ("2.5", ("true", "2"), {"q": "2.5", "of.n": "4.5"}),
    }


def test_a_column_that_is_null_for_6000_rows_and_text_then_is_read(tmp_path: Path) -> None:
    """What the first rows hold decides nothing about the later ones."""
    lines = [{"q": f"{i} " + "word " * 400, "yes": "yes", "no": "no", "right": None} for i in range(6000)]
    lines += [{"q": f"{i} more", "yes": "yes", "no": "no", "right": "no"} for i in range(6000, 6003)]
    (tmp_path / "t.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in lines))
    columns = FileDataset(
        path=str(tmp_path / "t.jsonl"), text="q", options=("yes", "no"), answer="right", answer_is="text"
    )
    prompts, (identity,) = choose(
        WorkloadPlan(datasets=("mine",), files={"mine": columns}), 1, {}, lambda _sets, _rows: None
    )
    assert identity.rows_available == 6003
    assert {prompt.id for prompt in prompts if prompt.gold == 1} == {"mine/6000", "mine/6001", "mine/6002"}


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary(2), pa.binary_view()], ids=str)
def test_bytes_of_parquet_are_decoded(kind: pa.DataType | pa.FixedSizeBinaryType, tmp_path: Path) -> None:
    """A column of bytes is sent as its text, also inside lists and columns, and never as b'…'."""
    table = pa.table(
        {
            "q": pa.array(["ü".encode(), b"b?"], kind),
            "options": pa.array([[b"n1", b"n2"], [b"o1", b"o2"]], pa.list_(kind)),
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    columns = FileDataset(path=str(tmp_path / "t.parquet"), text="q", options="options")
    plan = WorkloadPlan(datasets=("mine",), files={"mine": columns})
    prompts, _ = choose(plan, 1, {"options": "here"}, lambda _sets, _rows: None)
    assert {(prompt.text, prompt.options, prompt.columns["options"]) for prompt in prompts} == {
        ("ü", ("n1", "n2"), '["n1","n2"]'),
        ("b?", ("o1", "o2"), '["o1","o2"]'),
    }


def test_bytes_that_are_no_text_are_refused_where_they_are_used(tmp_path: Path) -> None:
    """A picture beside the text harms nothing until a DAG asks for it; the sentence names file, row and column."""
    pq.write_table(pa.table({"q": ["a?"], "picture": [b"\x89PNG"]}), tmp_path / "t.parquet")
    plan = WorkloadPlan(datasets=("mine",), files={"mine": FileDataset(path=str(tmp_path / "t.parquet"), text="q")})
    assert texts(plan) == ["a?"]
    with pytest.raises(UsageError) as raised:
        texts(plan, picture="here")
    assert str(raised.value) == (
        f"Dataset mine: {tmp_path / 't.parquet'}, row 1: column 'picture' holds bytes that are not UTF-8 text "
        "(byte 0x89 at place 0)."
    )


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("t.jsonl", b'{"a": 1}\n{"b', "t.jsonl, line 2 is not JSON: it ends in the middle of a value"),
        ("t.jsonl", b'{"a": 1}\n\n{"a": NaN}\n', "t.jsonl, line 3 is not JSON: invalid character (byte 6)"),
        ("t.jsonl", b'{"a": 1} {"a": 2}', "t.jsonl, line 1 is not JSON: trailing characters (byte 10)"),
        ("t.jsonl", b'{"a": 1e999}', "t.jsonl, line 1 is not JSON: number out of range"),
        ("t.jsonl", b"[" * 100_000, "t.jsonl is not JSON: it is nested too deep"),
        ("t.jsonl", b'{"a": 1}\n[1]', "t.jsonl, row 2 (line 2) holds a list, and an object is needed"),
        ("t.json", b'[{"a": 1}, null]', "t.json, row 2 holds null, and an object is needed"),
        ("t.json", b"[{}", "t.json is not JSON: it ends in the middle of a value"),
        ("t.parquet", b"PAR1PAR1", "t.parquet is not a Parquet file, or it is damaged"),
        ("t.xlsx", b"", ("t.xlsx: the name ends in none of .jsonl, .ndjson, .json, .csv, .parquet, so the format is "
         "unknown")),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_one_sentence(name: str, content: bytes, sentence: str) -> None:
    """No sentence is a library's own, and each says where in the file the mistake is."""
    with pytest.raises(ValueError, match=r".") as raised:
        rows_of(name, content)
    assert str(raised.value) == sentence


@pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not beside this checkout (../shared/cases)")
@pytest.mark.parametrize(
    ("name", "found"),
    [
        (
            "trailing_comma.csv",
            "row 1 (line 2) has 5 cells, and the header has 4; a cell that holds a comma must stand in double quotes",
        ),
        (
            "trace_unquoted_comma.csv",
            "row 1 (line 2) has 3 cells, and the header has 2; a cell that holds a comma must stand in double quotes",
        ),
        ("blank_header.csv", ["a?", "b?"]),
        ("binary_text.parquet", [b"a?", b"b?"]),
    ],
)
def test_the_cases_that_failed(name: str, found: Any) -> None:
    """Each input on which an earlier version gave a wrong result is read, or refused with row and counts."""
    if isinstance(found, list):
        assert [row["q"] for row in read_table(CASES / name).rows] == found
        return
    with pytest.raises(ValueError, match="cells") as raised:
        read_table(CASES / name)
    assert str(raised.value) == f"{CASES / name}, {found}"
