"""No file that is read fills the memory, and no path in a run.json leads out of its folder."""

import json
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash

from aether_load.bounded import read_bounded, size_text
from aether_load.datasets import rows, table_file
from aether_load.datasets.rows import Job
from aether_load.errors import UsageError
from aether_load.rundata.folder import MOST_PHASES, RunFolder, encode_manifest
from aether_load.rundata.manifest import PhaseRecord
from aether_load.rundata.records.record_format import (
    ABSENT,
    CHECKSUM,
    DAG,
    FILE_MAGIC,
    FILE_PREFIX,
    MOST_BLOCK_BYTES,
    NODE,
    PHASE,
    REQUEST,
    TEXT,
    Block,
    BlockHead,
    RequestRecord,
    file_header,
    read_block_head,
)
from aether_load.rundata.records.record_reader import RecordReader
from aether_load.rundata.records.record_set import RecordPart
from aether_load.rundata.samples import table_reader
from aether_load.rundata.samples.samples_arrow import read_samples
from aether_load.scenario.check import MOST_STAGES
from aether_load.scenario.load import load_scenario
from aether_load.scenario.workload_plan import FileDataset, WorkloadPlan
from aether_load.schedule import trace
from folders import answered, clock, make_run
from processes import call_command

ENDLESS = Path("/dev/zero")


def test_what_has_no_end_is_read_up_to_its_bound() -> None:
    with pytest.raises(OSError, match="it is larger than 2 MB, the most that is read"):
        read_bounded(ENDLESS, 2 << 20)
    assert size_text(3 << 30) == "3 GB"


def test_an_endless_dag_file_is_a_sentence(tmp_path: Path) -> None:
    done = call_command("scenarios", "show", "eval", "--dag-file", str(ENDLESS), cwd=tmp_path)
    assert done.returncode == 0
    done = call_command("answer-key", "--dag-file", str(ENDLESS), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (
        2, "aether-load: DAG file /dev/zero: it cannot be read: it is larger than 16 MB, the most that is read.\n",
    )  # fmt: skip


def test_endless_files_of_data_are_sentences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trace and a table, whichever name leads to them; the bounds are lowered, to be reached sooner."""
    monkeypatch.setattr(trace, "_MOST_BYTES", 1 << 20)
    monkeypatch.setattr(table_file, "MOST_FILE_BYTES", 1 << 20)
    (tmp_path / "endless.jsonl").symlink_to(ENDLESS)
    with pytest.raises(UsageError, match="it is larger than 1 MB"):
        trace._read(str(tmp_path / "endless.jsonl"))
    with pytest.raises(ValueError, match="cannot be read: it is larger than 1 MB"):
        table_file.read_table(tmp_path / "endless.jsonl")


def bomb(path: Path, count: int) -> Path:
    """A Parquet file of some kilobytes that holds any number of rows: one value, said once."""
    at_once = min(count, 100_000)
    value = pa.DictionaryArray.from_arrays(pa.array([0] * at_once, pa.int32()), ["x" * 1000])
    table = pa.table({"q": value})
    with pq.ParquetWriter(path, table.schema, compression="zstd") as writer:
        for _ in range(count // at_once):
            writer.write_table(table)
    return path


def test_a_parquet_file_that_says_how_much_it_holds_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its own count of rows, before any of them is decoded."""
    monkeypatch.setattr(table_file, "_MOST_PARQUET_ROWS", 1_000_000)
    path = bomb(tmp_path / "bomb.parquet", 2_000_000)
    assert path.stat().st_size < 1_000_000
    with pytest.raises(ValueError, match=r"it holds 2000000 rows, and .* before it is decoded; at most 1000000 rows"):
        table_file.read_table(path)


@pytest.mark.parametrize(("count", "fits"), [(1000, True), (1_000_000, False)])
def test_rows_that_take_too_much_memory_are_a_sentence(tmp_path: Path, count: int, fits: bool) -> None:
    """The child that reads them has a limit of memory, whatever a file says of itself."""
    path = bomb(tmp_path / "bomb.parquet", count)
    plan = WorkloadPlan(datasets=("mine",), files={"mine": FileDataset(path=str(path), text="q")})
    job = Job(plan=plan, seed=1, prompts_file=str(tmp_path / "prompts.jsonl"))
    program = (
        "import os; from aether_load.datasets import rows; real = os.sysconf; rows.LEAST_MEMORY_BYTES = 400 << 20;"
        "os.sysconf = lambda name: 1 if name == 'SC_PHYS_PAGES' else real(name); rows.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input=msgspec.json.encode(job), capture_output=True, timeout=60, check=False
    )
    sentence = None if fits else "The datasets take more than 400 MB of memory to read; take smaller files."
    assert json.loads(done.stdout.splitlines()[-1])["error"] == sentence


def test_prompts_have_a_bound_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MOST_PROMPT_BYTES", 1000)
    path = tmp_path / "prompts.jsonl"
    assert rows._write([{"text": "x" * 100}] * 100, path) > 1000  # type: ignore[list-item]
    assert path.stat().st_size < 1200


def scenario_with(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "own.toml"
    path.write_text(text)
    return path


ONE_PHASE = "[[phases]]\nduration = '1s'\nusers = 1\n"
SWEEP = f"[[phases]]\nduration = '1s'\nsweep = [{', '.join(map(str, range(1, MOST_STAGES + 2)))}]\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (f"repeat = 1000\n{ONE_PHASE * 31}", "31 phases, 1000 times: at most 30000 are possible"),
        (SWEEP, "phases: with loads and repetitions there are 30001; at most 30000 are possible"),
    ],
)  # fmt: skip
def test_a_scenario_has_a_bound_of_phases(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        load_scenario(scenario_with(tmp_path, text))


@pytest.mark.parametrize("name", ["a b", "=1+1", "a\x1b[2J", "../x", "<b>", "", "x" * 65, "-x", "a:b", "ä"])
def test_a_dataset_is_named_as_phases_and_scenarios_are(tmp_path: Path, name: str) -> None:
    """It stands in tables, in metrics, in Locust's own statistics, and in file names."""
    escaped = json.dumps(name)
    text = f"[workload]\ndatasets = [{escaped}]\n[workload.files.{escaped}]\npath = 'x'\ntext = 'y'\n"
    text += "[[phases]]\npasses = 1\n"
    with pytest.raises(UsageError, match="a dataset's name has letters, digits and") as raised:
        load_scenario(scenario_with(tmp_path, text))
    assert "\x1b" not in str(raised.value)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return make_run(tmp_path / "results", [answered(9 * place, 62) for place in range(5)])


def changed(folder: RunFolder, **changes: dict[str, Any] | list[dict[str, Any]] | None) -> dict[str, Any]:
    """Write a manifest as somebody else might, with the right checksum, and return what it was."""
    plain: dict[str, Any] = json.loads(folder.manifest.read_bytes())
    del plain["checksum"]
    folder.manifest.write_bytes(encode_manifest({**plain, **changes}))  # type: ignore[arg-type]
    return plain


def test_a_manifest_has_a_bound_of_phases(run: RunFolder) -> None:
    """Each phase of a run costs the report milliseconds and kilobytes."""
    plain = changed(run)
    changed(run, phases=plain["phases"] * (MOST_PHASES + 1))
    with pytest.raises(UsageError, match=f"has {MOST_PHASES + 1} phases; at most {MOST_PHASES} are read"):
        run.read_manifest()


@pytest.mark.parametrize("day", ["../../../../", "/etc/pass", "2026-03-04\n"])
def test_no_path_is_made_of_what_a_manifest_says(run: RunFolder, tmp_path: Path, day: str) -> None:
    """Its day is part of a file's name, and so it has to be one."""
    plain = changed(run)
    changed(run, began={**plain["began"], "utc": day + "T05:06:07.000Z"})
    done = call_command("report", str(run.path), "--no-page", cwd=tmp_path)
    assert done.returncode == 5
    assert "run.json is not what this release writes: " in done.stderr
    assert not list(tmp_path.rglob("nightly*"))


def test_no_link_leads_out_of_a_run_folder(run: RunFolder, tmp_path: Path) -> None:
    """What somebody else's folder links to is not read as a part of it."""
    elsewhere = tmp_path / "elsewhere.json"
    run.manifest.rename(elsewhere)
    run.manifest.symlink_to(elsewhere)
    with pytest.raises(UsageError, match=r"run.json cannot be read: it is no regular file"):
        RunFolder.open(run.path).read_manifest()


def grown(path: Path, size: int) -> None:
    """Make a file larger by a hole."""
    with path.open("r+b") as file:
        file.truncate(size)


@pytest.mark.parametrize(
    ("rows", "size", "sentence"),
    [
        (5, 100 << 30, "records.bin has 100 GB; at most 256 MB are read for the 5 rows that run.json names."),
        (None, 100 << 30, "records.bin has 100 GB; at most 64 GB are read."),
        (10**12, 60 << 30, "records.bin has 60 GB, of which the disk holds 0.0039"),
    ],
)  # fmt: skip
def test_a_record_file_has_a_bound_by_the_rows_that_are_claimed(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int | None, size: int, sentence: str
) -> None:
    """A file of holes is refused by its size alone: nothing of it is read, and no room is made for it."""
    changed(run, rows_total=None if rows is None else {run.records.name: rows})
    grown(run.records, size)
    monkeypatch.setattr(table_reader, "RecordSet", None)
    done = call_command("report", str(run.path), "--no-page", cwd=tmp_path)
    assert done.returncode == 5
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_link_is_no_record_file(run: RunFolder, tmp_path: Path) -> None:
    run.records.rename(tmp_path / "elsewhere.bin")
    run.records.symlink_to(tmp_path / "elsewhere.bin")
    done = call_command("report", str(run.path), "--no-page", cwd=tmp_path)
    assert (done.returncode, "records.bin cannot be read: it is no regular file" in done.stderr) == (5, True)


def foreign_block(**wrong: int) -> bytes:
    """The bytes of a record file whose only block is whole, with one number in it that no sender writes."""
    fields: dict[str, Any] = {
        "prompt": 0,
        "nodes": 1,
        "outcome": 0,
        "answer_state": -1,
        "place": 0,
        "length": 3,
        "state": 0,
    } | wrong
    request = REQUEST.pack(
        *RequestRecord(0, 1, 1, 2, **{key: fields[key] for key in RequestRecord._fields if key in fields})
    )
    texts = TEXT.pack(PHASE, fields["place"], ABSENT, fields["length"]) + b"one"
    block = Block(texts, request, NODE.pack(3, fields["state"], 0), b"", b"", b"", 0, 0)
    return b"".join([file_header(), *block.pieces()])


@pytest.mark.parametrize(
    ("wrong", "rows"),
    [
        ({}, 1), ({"prompt": 2**31 - 1}, 1), ({"prompt": -7}, 1), ({"outcome": 99}, 0), ({"answer_state": 9}, 0),
        ({"nodes": 2}, 0), ({"nodes": -1}, 0), ({"nodes": 2**31 - 1}, 0), ({"place": 2**31 - 1}, 0),
        ({"length": 65_535}, 0), ({"state": 77}, 0),
    ],
)  # fmt: skip
def test_a_whole_block_of_impossible_numbers_is_refused(tmp_path: Path, wrong: dict[str, int], rows: int) -> None:
    """Its checksum is right: whoever makes a file can make that too. No place in a table makes room for itself."""
    path = tmp_path / "records.bin"
    path.write_bytes(foreign_block(**wrong))
    tracemalloc.start()
    phases = [PhaseRecord(name="one", users=1, began=clock(0))]
    read = table_reader.read_phases([RecordPart(path)], phases, ["piqa"], ["answer"], (0,))
    table = read_samples([RecordPart(path)]).table
    assert tracemalloc.get_traced_memory()[1] < 50 << 20
    tracemalloc.stop()
    assert (read.rows, len(table)) == (rows, rows)
    refused = ("records.bin has rows 0 to 0 that are not what this release writes; they were refused",)
    assert read.damage == (() if rows else refused)


def test_no_block_is_larger_than_what_is_written() -> None:
    head = BlockHead(0, MOST_BLOCK_BYTES + 1, 0, 0, 0, 0, 0, 0, 0)
    assert read_block_head(memoryview(head.pack())) is None


@pytest.mark.parametrize("described", [b"", b"[]", b"{}", b'{"version": "one"}', b"[" * 100_000, b"\xff"])
def test_a_header_that_describes_nothing_is_damage(tmp_path: Path, described: bytes) -> None:
    """The blocks behind it are read."""
    head = FILE_PREFIX.pack(FILE_MAGIC, len(described)) + described
    whole = foreign_block()
    path = tmp_path / "records.bin"
    path.write_bytes(head + CHECKSUM.pack(xxhash.xxh3_64_intdigest(head)) + whole[len(file_header()) :])
    reader = RecordReader(path)
    assert [len(batch.requests) for batch in reader] == [1]
    assert reader.damage == ["records.bin has a header that is not as it was written"]


@pytest.mark.parametrize(
    ("place", "text", "rows"),
    [
        (0, b'{"nodes":["one"]}', 1), (100, b'{"nodes":["one"]}', 0), (0, b'{"nodes":["one"],"listed":["a","b"]}', 0),
        (0, b"{}", 0), (0, b"\xff", 0), (0, b'{"nodes":' + b"[" * 100_000, 0),
    ],
)  # fmt: skip
def test_a_dag_that_no_sender_writes_is_refused(tmp_path: Path, place: int, text: bytes, rows: int) -> None:
    path = tmp_path / "records.bin"
    request = REQUEST.pack(*RequestRecord(0, 1, 1, 2, nodes=1, dag=0))
    texts = TEXT.pack(PHASE, 0, ABSENT, 3) + b"one" + TEXT.pack(DAG, place, ABSENT, len(text)) + text
    block = Block(texts, request, NODE.pack(3, 0, 0), b"", b"", b"", 0, 0)
    path.write_bytes(b"".join([file_header(), *block.pieces()]))
    phases = [PhaseRecord(name="one", users=1, began=clock(0))]
    read = table_reader.read_phases([RecordPart(path)], phases, ["piqa"], ["one"], (0,))
    assert (read.rows, len(read.damage)) == (rows, 1 - rows)
