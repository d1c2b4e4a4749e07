"""Recorded files of requests: when each was sent, and what."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aether_load.datasets.prompt import DatasetIdentity, Prompt
from aether_load.errors import UsageError
from aether_load.scenario.phase import Phase, TraceFile
from aether_load.schedule.trace import Trace, Traces, read_traces
from property_tests import examples

PROMPTS = [Prompt(f"piqa/{row}", "piqa", f"Goal {row}?") for row in range(5)]
MS = 1_000_000


def read(path: Path, **keys: Any) -> Traces:
    return read_traces([Phase(passes=1), Phase(name="again", trace=TraceFile(path=str(path), **keys))], PROMPTS)


def written(tmp_path: Path, name: str, text: str | bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refusal(path: Path, **keys: str) -> str:
    with pytest.raises(UsageError) as caught:
        read(path, **keys)
    return str(caught.value).replace(str(path), "FILE")


def test_times_alone(tmp_path: Path) -> None:
    """Where a line says nothing of what was sent, the workload's prompts are."""
    path = written(tmp_path, "t.csv", "timestamp\n10.5\n10\n12\n")
    assert read(path) == Traces({1: Trace((0, 500 * MS, 2000 * MS), None)}, {}, ())


def test_texts_become_prompts_of_the_phase(tmp_path: Path) -> None:
    """In the order of their times, behind the workload's own, with the file's hash for a revision."""
    rows = [{"timestamp": 3, "prompt": "third"}, {"timestamp": 1, "prompt": 'first "quoted"\nline'}]
    content = "\n".join(map(json.dumps, rows)).encode()
    path = written(tmp_path, "t.jsonl", content)
    assert read(path) == Traces(
        {1: Trace((0, 2000 * MS), (6, 5))},
        {1: [Prompt("again/0", "again", "third"), Prompt("again/1", "again", 'first "quoted"\nline')]},
        (
            DatasetIdentity(
                name="again", source="trace", location=str(path), config=None, split=None,
                revision="sha256:" + hashlib.sha256(content).hexdigest(), rows_available=2, rows_used=2,
            ),
        ),
    )  # fmt: skip


def test_a_datasets_rows(tmp_path: Path) -> None:
    """By dataset and row; the columns' names may be others."""
    path = written(tmp_path, "t.csv", "at,set,number\n2,piqa,4\n1,piqa,0\n2,piqa,4\n")
    found = read(path, timestamp="at", dataset="set", row="number")
    assert found == Traces({1: Trace((0, 1000 * MS, 1000 * MS), (0, 4, 4))}, {}, ())


@pytest.mark.parametrize(
    ("times", "keys", "offsets_ms"),
    [
        (["1700000000000", "1700000000250"], {"timestamp_unit": "ms"}, [0, 250]),
        (["2026-01-31T12:00:00Z", "2026-01-31T13:00:01+01:00"], {}, [0, 1000]),
        (["2026-01-31 12:00:00", "2026-01-31T12:00:00.125"], {}, [0, 125]),
        (["1700000000000000", "1700000000250000"], {"timestamp_unit": "us"}, [0, 250]),
        (["1700000000000000000", "1700000000250000000"], {"timestamp_unit": "ns"}, [0, 250]),
        (["1e3", " 1000.5 "], {}, [0, 500]),
        (["0", "10"], {"speed": 4.0}, [0, 2500]),
        (["0", "1"], {"speed": 0.5}, [0, 2000]),
        (["-5", "5"], {}, [0, 10_000]),
        (["7"], {}, [0]),
    ],
)
def test_times_of_every_kind(tmp_path: Path, times: list[str], keys: dict[str, Any], offsets_ms: list[int]) -> None:
    """Numbers in any unit, and ISO 8601 with or without an offset; a speed divides the distances."""
    path = written(tmp_path, "t.csv", "timestamp\n" + "\n".join(times))
    assert read(path, **keys).traces[1].offsets_ns == tuple(offset * MS for offset in offsets_ms)


@settings(max_examples=examples(40), deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1e6), st.integers(0, 4)), min_size=1, max_size=30))
def test_any_order_of_lines_is_put_in_order(
    tmp_path_factory: pytest.TempPathFactory, lines: list[tuple[float, int]]
) -> None:
    """Times rise from zero, each line is there once, and lines of one time keep their order."""
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    path.write_text("".join(f'{{"timestamp": {at!r}, "dataset": "piqa", "row": {row}}}\n' for at, row in lines))
    trace = read(path).traces[1]
    first = min(at for at, _ in lines)
    expected = [(round((at - first) * 1e9), row) for at, row in sorted(lines, key=itemgetter(0))]
    assert trace.prompts is not None
    assert list(zip(trace.offsets_ns, trace.prompts, strict=True)) == expected


def test_csv_and_jsonl_say_the_same(tmp_path: Path) -> None:
    """Line breaks, commas, quotes and U+2028 in a text do not end its line; a byte order mark is none of it."""
    rows = [{"timestamp": number, "prompt": text} for number, text in enumerate(["a,b", 'c"d', "e\nf", "g\u2028h\x0b"])]
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, ["timestamp", "prompt"])
    writer.writeheader()
    writer.writerows(rows)
    as_csv = read(written(tmp_path, "t.csv", b"\xef\xbb\xbf" + table.getvalue().encode()))
    lines = "\r\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\r\n\r\n"
    as_lines = read(written(tmp_path, "t.jsonl", lines))
    assert as_csv.traces == as_lines.traces
    assert as_csv.prompts == as_lines.prompts
    assert [prompt.text for prompt in as_csv.prompts[1]] == [row["prompt"] for row in rows]


def test_a_large_trace_is_read_in_a_breath(tmp_path: Path) -> None:
    """Twenty thousand lines, backwards."""
    path = written(tmp_path, "t.csv", "timestamp\n" + "\n".join(map(str, range(20_000, 0, -1))))
    assert read(path).traces[1].offsets_ns == tuple(range(0, 20_000 * 1000 * MS, 1000 * MS))


@pytest.mark.parametrize(
    ("name", "text", "keys", "sentence"),
    [
        ("t.csv", "", {}, "Trace FILE holds no request."),
        ("t.csv", "timestamp\n", {}, "Trace FILE holds no request."),
        ("t.jsonl", "\n\n", {}, "Trace FILE holds no request."),
        ("t.txt", "timestamp\n1\n", {}, "Trace FILE: a trace is a .csv or a .jsonl file."),
        (
            "t.csv",
            "time,prompt\n1,a\n",
            {},
            (
                "Trace FILE: there is no column 'timestamp'; there are 'time', 'prompt'. Say which one holds the times "
                "with trace.timestamp."
            ),
        ),
        (
            "t.csv",
            "timestamp\n1\nsoon\n",
            {},
            (
                "Trace FILE, row 2 (line 3): timestamp = 'soon' is neither a number nor a time such as "
                "2026-01-31T12:00:00Z."
            ),
        ),
        (
            "t.jsonl",
            '{"timestamp": true}',
            {},
            (
                "Trace FILE, row 1 (line 1): timestamp = True is neither a number nor a time such as "
                "2026-01-31T12:00:00Z."
            ),
        ),
        (
            "t.jsonl",
            '{"timestamp": 1}\n\n{"time": 2}',
            {},
            (
                "Trace FILE, row 2 (line 3): timestamp = null is neither a number nor a time such as "
                "2026-01-31T12:00:00Z."
            ),
        ),
        (
            "t.csv",
            "timestamp\nnan\n",
            {},
            (
                "Trace FILE, row 1 (line 2): timestamp = 'nan' is neither a number nor a time such as "
                "2026-01-31T12:00:00Z."
            ),
        ),
        (
            "t.csv",
            "timestamp\n0\n1e8\n",
            {},
            "Trace FILE lasts 1e+08 s, which is more than a year; check trace.timestamp_unit (now 's').",
        ),
        (
            "t.csv",
            "timestamp,prompt\n1,a\n2,\n3,\n",
            {},
            (
                "Trace FILE, row 2 (line 3) says neither prompt nor dataset and row, and other rows do; all rows must, "
                "or none."
            ),
        ),
        (
            "t.csv",
            "timestamp,prompt\n1,\n2,a\n",
            {},
            (
                "Trace FILE, row 1 (line 2) says neither prompt nor dataset and row, and other rows do; all rows must, "
                "or none."
            ),
        ),
        (
            "t.csv",
            "timestamp,dataset,row\n1,piqa,9\n",
            {},
            (
                "Trace FILE, row 1 (line 2): there is no row piqa/9 among the prompts of this run; check dataset and "
                "row, and that workload.datasets and workload.limit take it in."
            ),
        ),
        (
            "t.jsonl",
            '{"timestamp": 1, "dataset": ["piqa"], "row": 1}',
            {},
            "Trace FILE, row 1 (line 1): column 'dataset' holds a list, and a text is needed.",
        ),
        (
            "t.jsonl",
            '{"timestamp": 1, "prompt": {"text": "a"}}',
            {},
            "Trace FILE, row 1 (line 1): column 'prompt' holds an object, and a text is needed.",
        ),
    ],
)
def test_a_trace_with_a_mistake_is_one_sentence(
    tmp_path: Path, name: str, text: str, keys: dict[str, Any], sentence: str
) -> None:
    """It names file, line and value."""
    assert refusal(written(tmp_path, name, text), **keys) == sentence


@pytest.mark.parametrize(
    ("times", "unit", "sentence"),
    [
        (
            ["2026-01-31T12:00:00", "2026-01-31T12:00:01+01:00"],
            "s",
            (
                "timestamp = '2026-01-31T12:00:01+01:00' is a time with an offset, and the first row has a time "
                "without an offset; write all times in one way."
            ),
        ),
        (
            ["2026-01-31T12:00:00Z", "2026-01-31T12:00:01"],
            "s",
            (
                "timestamp = '2026-01-31T12:00:01' is a time without an offset, and the first row has a time with an "
                "offset; write all times in one way."
            ),
        ),
        (
            ["1769860800", "2026-01-31T12:00:02Z"],
            "s",
            (
                "timestamp = '2026-01-31T12:00:02Z' is a time with an offset, and the first row has a number; write "
                "all times in one way."
            ),
        ),
        *(
            (
                ["0", number],
                unit,
                (f"timestamp = '{number}' is after the year 5000 in {unit}; say trace.timestamp_unit = \"{likely}\"."),
            )
            for number, unit, likely in [
                ("1700000000000", "s", "ms"),
                ("1700000000000000", "s", "us"),
                ("1700000000000000000", "s", "ns"),
                ("1700000000000000", "ms", "us"),
                ("1700000000000000000", "ms", "ns"),
                ("1700000000000000000", "us", "ns"),
            ]
        ),
    ],
)
def test_times_that_mean_different_things_are_refused(
    tmp_path: Path, times: list[str], unit: str, sentence: str
) -> None:
    """Times with and without an offset, numbers beside dates, and epoch times in another unit than the stated one."""
    path = written(tmp_path, "t.csv", "timestamp\n" + "\n".join(times))
    assert refusal(path, timestamp_unit=unit) == f"Trace FILE, row 2 (line 3): {sentence}"


def test_a_prompt_may_be_a_number_and_a_row_a_float(tmp_path: Path) -> None:
    """A number is the text that JSON writes; rows that come as floats are whole numbers."""
    path = written(tmp_path, "t.jsonl", '{"timestamp": 0, "prompt": 10}\n{"timestamp": 1, "prompt": 2.5}')
    assert [prompt.text for prompt in read(path).prompts[1]] == ["10", "2.5"]
    path = written(tmp_path, "t.csv", "timestamp,dataset,row\n0,piqa,3.0\n")
    assert read(path).traces[1].prompts == (3,)


def test_a_file_that_is_not_there_and_one_that_is_a_folder(tmp_path: Path) -> None:
    """The system's own words."""
    assert refusal(tmp_path / "t.csv") == "Trace FILE cannot be read: No such file or directory."
    assert refusal(tmp_path) == "Trace FILE cannot be read: Is a directory."


def test_texts_of_a_phase_that_is_named_as_a_dataset(tmp_path: Path) -> None:
    """Two datasets of one name would be one row."""
    path = written(tmp_path, "t.csv", "timestamp,prompt\n1,a\n")
    with pytest.raises(UsageError) as caught:
        read_traces([Phase(name="piqa", trace=TraceFile(path=str(path)))], PROMPTS)
    assert str(caught.value) == (
        f"phases.0.name: the texts of trace {path} become a dataset of the phase's name, and there is a dataset piqa "
        "already; give the phase another name."
    )
