"""What is written to a record file is what is read from it."""

import errno
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aether_load.rundata.records import record_reader
from aether_load.rundata.records.record_buffer import BLOCK_ROWS, RecordBuffer, TextTable
from aether_load.rundata.records.record_format import ABSENT, ERROR, HOLD, LEVEL, NODE, PHASE, REQUEST, RequestRecord
from aether_load.rundata.records.record_reader import RecordReader
from aether_load.rundata.records.record_set import RecordPart
from aether_load.rundata.records.record_writer import RecordWriter
from aether_load.rundata.samples import samples_arrow
from aether_load.rundata.samples.samples_arrow import SCHEMA, read_samples, write_samples

EXECUTION = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")
INSTANTS = st.integers(ABSENT, 2**63 - 1)
MILLISECONDS = st.integers(ABSENT, 2**31 - 1)
RECORDS = st.builds(
    RequestRecord,
    request_index=st.integers(0, 2**63 - 1), due_ns=INSTANTS, sent_ns=INSTANTS, ended_ns=INSTANTS, tokens=INSTANTS,
    server_total_ms=MILLISECONDS, prompt=st.integers(0, 1), length=st.integers(0, 2**31 - 1), worker=st.integers(0, 99),
    http_status=st.integers(ABSENT, 999), outcome=st.integers(0, 9), answer_state=st.integers(ABSENT, 2),
    correct=st.integers(ABSENT, 1), execution_id=st.binary(min_size=16, max_size=16),
    phase=st.just(1), answer=st.just(ABSENT), name=st.just(ABSENT), dag=st.just(0),
)  # fmt: skip
NODES = st.lists(st.tuples(MILLISECONDS, st.integers(0, 4), st.integers(ABSENT, 1)), max_size=3)
LEVELS = st.lists(st.integers(0, 2**31 - 1), max_size=3)
HOLDS = st.lists(st.tuples(*[st.integers(0, 2**63 - 1)] * 3), max_size=2)
REQUESTS = st.lists(st.tuples(RECORDS, NODES, LEVELS, HOLDS, st.none() | st.text(max_size=8), st.booleans()))


def new_buffer() -> RecordBuffer:
    buffer = RecordBuffer(["piqa/7", "piqa/8"], ["piqa", "piqa"], worker=3)
    assert [buffer.phases.place(name) for name in ("warm", "closed")] == [0, 1]
    return buffer


def add(buffer: RecordBuffer, **changes: int | bytes) -> None:
    """Append one request; what is not said is an answered request of one node."""
    values: dict[str, Any] = {
        "phase": 1, "worker": 0, "request_index": 5, "prompt": 1, "due_ns": 1_000_000, "sent_ns": 2_000_000,
        "ended_ns": 64_345_999, "outcome": 0, "http_status": 200, "server_total_ms": 60, "tokens": 71,
        "answer_state": 0, "answer": buffer.answers.place("B"), "correct": 1, "nodes": 1,
        "execution_id": EXECUTION.bytes, **changes,
    }  # fmt: skip
    nodes = values["nodes"]
    assert nodes is not None
    buffer.add(RequestRecord(**values, levels=nodes), NODE.pack(60, 0, 0) * nodes, LEVEL.pack(60) * nodes)


def refuse(*_: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def write(path: Path, buffer: RecordBuffer) -> None:
    writer = RecordWriter(buffer, path)
    writer.finish()
    writer.close()


def table_of(path: Path, buffer: RecordBuffer) -> pa.Table:
    write(path, buffer)
    return read_samples([RecordPart(path, expected=buffer.rows_total)]).table


def test_a_record_is_a_row_of_typed_columns(tmp_path: Path) -> None:
    """What was measured comes out in its unit, and by name."""
    buffer = new_buffer()
    add(buffer)
    (row,) = table_of(tmp_path / "records.bin", buffer).to_pylist()
    assert row == {
        "phase": "closed",
        "worker": 0,
        "request_index": 5,
        "prompt_id": "piqa/8",
        "dataset": "piqa",
        "request_name": None,
        "intended_start_ns": 1_000_000,
        "sent_ns": 2_000_000,
        "ended_ns": 64_345_999,
        "service_latency_us": 62_345,
        "response_latency_us": 63_345,
        "outcome": "ok",
        "http_status": 200,
        "server_total_ms": 60,
        "node_ids": None,
        "node_times_ms": [60],
        "node_states": ["succeeded"],
        "node_cached": [False],
        "token_cost": 71,
        "answer_state": "answered",
        "answer": "B",
        "correct": True,
        "execution_id": EXECUTION.bytes,
        "error": None,
        "level_times_ms": [60],
    }


def test_what_was_not_measured_is_null(tmp_path: Path) -> None:
    """A request without an answer has no server time, no nodes, no score: null, never zero."""
    buffer = new_buffer()
    add(
        buffer, http_status=ABSENT, server_total_ms=ABSENT, tokens=ABSENT, answer_state=ABSENT, answer=ABSENT,
        correct=ABSENT, nodes=0, outcome=6, error=buffer.errors.place("no answer within 30 s"), execution_id=b"",
    )  # fmt: skip
    (row,) = table_of(tmp_path / "records.bin", buffer).to_pylist()
    absent = [name for name, value in row.items() if value is None]
    assert absent == [
        "request_name", "http_status", "server_total_ms", "node_ids", "node_times_ms", "node_states", "node_cached",
        "token_cost",
        "answer_state", "answer", "correct", "execution_id", "level_times_ms",
    ]  # fmt: skip
    assert (row["outcome"], row["error"]) == ("timeout", "no answer within 30 s")


def test_blocks_are_small(tmp_path: Path) -> None:
    """No block has more rows than are written in one piece; none is lost and the order stays."""
    buffer = new_buffer()
    for index in range(BLOCK_ROWS * 2 + 1):
        add(buffer, request_index=index, nodes=index % 2)
    assert len(buffer) == buffer.rows_total == BLOCK_ROWS * 2 + 1
    writer = RecordWriter(buffer, tmp_path / "records.bin")
    assert [writer.write_block(), writer.write_block(), writer.write_block()] == [True, True, False]
    assert len(buffer) == 1
    writer.finish()
    assert (len(buffer), buffer.rows_total) == (0, BLOCK_ROWS * 2 + 1)
    table = read_samples([RecordPart(tmp_path / "records.bin")]).table
    assert table["request_index"].to_pylist() == list(range(BLOCK_ROWS * 2 + 1))
    assert table["node_times_ms"].to_pylist() == [[60] if index % 2 else None for index in range(BLOCK_ROWS * 2 + 1)]


def test_many_nodes_close_a_block_too() -> None:
    """A DAG of a thousand nodes makes no block of megabytes."""
    buffer = new_buffer()
    for _ in range(40):
        add(buffer, nodes=1000)
    assert max(block.rows for block in iter(buffer.take, None)) < 12


def test_texts_that_never_end_do_not_fill_the_memory() -> None:
    """The first thousand different errors are kept, the rest share a place; long ones are cut."""
    table = new_buffer().errors
    places = [table.place(f"error {number}") for number in range(1500)]
    assert places[:1000] == list(range(1000))
    assert set(places[1000:]) == {1000}
    assert table.place(None) == ABSENT
    assert table.place("error 7") == 7


def test_a_long_text_is_cut_once(tmp_path: Path) -> None:
    """Errors are cut, so that two which differ behind the cut share a place; names of the run's own parts are not."""
    buffer = new_buffer()
    long = "x" * 299 + "é"
    assert buffer.errors.place(long + "1") == buffer.errors.place(long + "2") == buffer.errors.place(long)
    place = buffer.phases.place(long + "1")
    write(tmp_path / "records.bin", buffer)
    reader = RecordReader(tmp_path / "records.bin")
    list(reader)
    assert (reader.tables.errors, reader.tables.phases[place]) == ([long], long + "1")


@given(requests=REQUESTS, batch_rows=st.integers(1, 5))
def test_what_is_written_is_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, requests: list[tuple[Any, ...]], batch_rows: int
) -> None:
    """Whatever the values, however the rows fall into blocks and batches, and whatever texts come up on the way."""
    path = tmp_path_factory.mktemp("written") / "records.bin"
    buffer = new_buffer()
    writer = RecordWriter(buffer, path)
    rows = []
    for values, nodes, levels, holds, error, is_last in requests:
        record = values._replace(nodes=len(nodes), levels=len(levels), error=buffer.errors.place(error))
        buffer.add(record, b"".join(NODE.pack(*node) for node in nodes), b"".join(map(LEVEL.pack, levels)))
        for hold in holds:
            buffer.add_hold(*hold)
        rows.append(record)
        if is_last:
            writer.write_out()
    writer.finish()
    writer.close()
    reader = RecordReader(path, len(rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record_reader, "BATCH_ROWS", batch_rows)
        batches = list(reader)
    assert (reader.rows, reader.torn, reader.damage) == (len(rows), False, [])
    read = [tuple(row) for batch in batches for row in batch.requests.tolist()]
    assert [(*row[:-1], bytes(row[-1])) for row in read] == rows
    assert [node for batch in batches for node in batch.nodes.tolist()] == [
        node for _, nodes, *_ in requests for node in nodes
    ]
    assert [level for batch in batches for level in batch.levels.tolist()] == [
        level for _, _, levels, *_ in requests for level in levels
    ]
    assert [hold for batch in batches for hold in batch.holds.tolist()] == [
        (3, *hold) for _, _, _, holds, *_ in requests for hold in holds
    ]
    errors = [None if row.error == ABSENT else reader.tables.errors[row.error] for row in rows]
    assert errors == [error for *_, error, _ in requests]


def test_a_file_that_grows_is_read_from_where_reading_ended(tmp_path: Path) -> None:
    """Every row once and in order, whichever bytes were there at each look."""
    path = tmp_path / "records.bin"
    buffer = new_buffer()
    writer = RecordWriter(buffer, path)
    for index in range(40):
        add(buffer, request_index=index, error=buffer.errors.place(f"error {index // 7}"))
        if index % 3 == 2:
            writer.write_out()
    writer.finish()
    whole = path.read_bytes()
    growing = tmp_path / "growing.bin"
    reader = RecordReader(growing, follow=True)
    assert list(reader) == []
    rows = []
    for length in range(0, len(whole) + 97, 97):
        growing.write_bytes(whole[:length])
        rows += [index for batch in reader for index in batch.requests["request_index"].tolist()]
    assert rows == list(range(40))
    assert (reader.torn, reader.damage) == (False, [])
    assert reader.tables.errors == [f"error {number}" for number in range(6)]


def test_a_refused_write_is_made_good_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk takes half a block and then no more, the file ends at a whole block, and later has all."""
    path = tmp_path / "records.bin"
    buffer = new_buffer()
    writer = RecordWriter(buffer, path)
    add(buffer, request_index=0)
    writer.write_out()
    before = path.stat().st_size
    real_write = os.write

    def half(descriptor: int, pieces: list[bytes | bytearray]) -> int:
        return real_write(descriptor, b"".join(pieces)[:40])

    monkeypatch.setattr(os, "writev", half)
    monkeypatch.setattr(os, "write", refuse)
    add(buffer, request_index=1)
    with pytest.raises(OSError, match="No space left"):
        writer.finish()
    assert path.stat().st_size == before
    monkeypatch.setattr(os, "write", real_write)
    writer.finish()
    reader = RecordReader(path, 2)
    assert [batch.requests["request_index"].tolist() for batch in reader] == [[0, 1]]
    assert (reader.torn, reader.damage) == (False, [])


def test_what_is_rescued_elsewhere_completes_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks that wait, the last one with its end, are written to another file, to be appended to the first."""
    path, elsewhere = tmp_path / "records.bin", tmp_path / "tail.bin"
    buffer = new_buffer()
    writer = RecordWriter(buffer, path)
    add(buffer, request_index=0)
    writer.write_out()
    add(buffer, request_index=1)
    with monkeypatch.context() as patch:
        patch.setattr(os, "writev", refuse)
        with pytest.raises(OSError, match="No space left"):
            writer.finish()
    assert writer.rescue(elsewhere)
    assert not writer.rescue(elsewhere)
    alone = RecordReader(path, 2)
    assert [batch.requests["request_index"].tolist() for batch in alone] == [[0]]
    assert alone.damage == ["records.bin lacks rows 1 to 1, at its end"]
    path.write_bytes(path.read_bytes() + elsewhere.read_bytes())
    whole = RecordReader(path, 2)
    assert [batch.requests["request_index"].tolist() for batch in whole] == [[0, 1]]
    assert whole.damage == []


def test_prompts_may_be_added_later(tmp_path: Path) -> None:
    """An evaluation's calls come one after the other, each with prompts of its own."""
    buffer = new_buffer()
    add(buffer)
    buffer.add_prompts(["boolq/1", "boolq/2"], ["boolq", "boolq"])
    add(buffer, prompt=3)
    table = table_of(tmp_path / "records.bin", buffer)
    assert table["prompt_id"].to_pylist() == ["piqa/8", "boolq/2"]
    assert table["dataset"].to_pylist() == ["piqa", "boolq"]


class TestSamplesArrow:
    def test_it_is_a_stream_that_anybody_reads(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """pyarrow.ipc.open_stream(path).read_pandas() reads it; vocabularies that grew included."""
        monkeypatch.setattr(record_reader, "BATCH_ROWS", 1)
        buffer = new_buffer()
        for number in range(3):
            add(buffer, request_index=number, error=buffer.errors.place(f"error {number}"))
            buffer.seal()
        write(tmp_path / "records.bin", buffer)
        write_samples([RecordPart(tmp_path / "records.bin")], tmp_path / "samples.arrow")
        table = pa.ipc.open_stream(tmp_path / "samples.arrow").read_pandas()
        assert table["request_index"].tolist() == [0, 1, 2]
        assert table["error"].tolist() == ["error 0", "error 1", "error 2"]
        assert [path.name for path in sorted(tmp_path.iterdir())] == ["records.bin", "samples.arrow"]

    def test_a_run_without_a_request_has_a_table_without_a_row(self, tmp_path: Path) -> None:
        write_samples([RecordPart(tmp_path / "records.bin")], tmp_path / "samples.arrow")
        assert pa.ipc.open_stream(tmp_path / "samples.arrow").read_all() == SCHEMA.empty_table()

    def test_the_files_of_several_workers_are_one_table(self, tmp_path: Path) -> None:
        """Each file has its own tables of texts, and the same text may have another place in each."""
        parts = []
        for worker, words in enumerate((("one", "two"), ("two", "three"))):
            buffer = new_buffer()
            for word in words:
                add(buffer, worker=worker, error=buffer.errors.place(word))
            parts.append(RecordPart(tmp_path / f"records-{worker}.bin"))
            write(parts[-1].path, buffer)
        table = read_samples(parts).table
        assert list(zip(table["worker"].to_pylist(), table["error"].to_pylist(), strict=True)) == [
            (0, "one"), (0, "two"), (1, "two"), (1, "three")
        ]  # fmt: skip

    def test_a_disk_that_refuses_leaves_the_older_table(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        buffer = new_buffer()
        add(buffer)
        write(tmp_path / "records.bin", buffer)
        (tmp_path / "samples.arrow").write_bytes(b"older")
        monkeypatch.setattr(samples_arrow, "RecordSet", refuse)
        with pytest.raises(OSError, match="No space left"):
            write_samples([RecordPart(tmp_path / "records.bin")], tmp_path / "samples.arrow")
        assert (tmp_path / "samples.arrow").read_bytes() == b"older"
        assert [path.name for path in sorted(tmp_path.iterdir())] == ["records.bin", "samples.arrow"]


def test_types_agree_with_what_is_packed() -> None:
    """NumPy's records are as long as the packed ones."""
    packed = (REQUEST, NODE, HOLD)
    types = (record_reader.REQUEST_TYPE, record_reader.NODE_TYPE, record_reader.HOLD_TYPE)
    assert [kind.itemsize for kind in types] == [each.size for each in packed]
    assert record_reader.LEVEL_TYPE.itemsize == LEVEL.size
    assert np.frombuffer(NODE.pack(7, 2, -1), record_reader.NODE_TYPE).tolist() == [(7, 2, -1)]


def test_tables_are_apart() -> None:
    """A text has a place of its own in each table."""
    buffer = new_buffer()
    assert TextTable(buffer, ERROR).place("closed") == TextTable(buffer, PHASE).place("closed") == 0


def test_a_record_is_written_and_read_without_pandas_or_scipy(tmp_path: Path) -> None:
    """From the buffer into a file and back into a report, in a process of its own."""
    made = tmp_path / "make.py"
    made.write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "from folders import answered, make_run\n"
        "from aether_load.analysis.report import build_report\n"
        "report = build_report(make_run(Path(sys.argv[1]), [answered(0, 60), answered(100, 70)]))\n"
        "assert report.phases[0].all.ok_total == 2\n"
        "print(sorted({'pandas', 'scipy', 'pyarrow'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, str(made), str(tmp_path / "results")],
        env={"PYTHONPATH": ":".join(path for path in sys.path if path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("[]\n", "")
