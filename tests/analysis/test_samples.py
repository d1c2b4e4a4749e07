import errno
import os
import uuid

import pyarrow as pa
import pytest
from aether_load.rundata.sample_reader import SamplePart, compact, read_samples
from aether_load.rundata.samples import ABSENT, CHUNK_ROWS, SCHEMA, SampleBuffer, SampleFile, TextColumn

from aether_load.rundata import sample_reader

EXECUTION = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")


def new_buffer():
    buffer = SampleBuffer(["piqa/7", "piqa/8"], ["piqa", "piqa"])
    assert [buffer.phases.place(name) for name in ("warm", "closed")] == [0, 1]
    return buffer


def add(buffer, **changes):
    """Append one request; what is not said is an answered request of one node."""
    values = {
        "phase": 1, "worker": 0, "request_index": 5, "prompt": 1, "due_ns": 1_000_000, "sent_ns": 2_000_000,
        "ended_ns": 64_345_999, "outcome": 0, "http_status": 200, "server_total_ms": 60, "token_cost": 71,
        "answer_state": 0, "answer": buffer.answers.place("B"), "correct": 1, "error": ABSENT, "nodes": 1, **changes,
    }  # fmt: skip
    for _ in range(values["nodes"]):
        buffer.add_node(60, 0, 0)
        buffer.add_level(60)
    buffer.add_row(**values, levels=values["nodes"], execution_id=EXECUTION.bytes if values["nodes"] else b"")


def test_a_sample_is_a_row_of_typed_columns():
    """What was measured comes out in its unit, and by name."""
    buffer = new_buffer()
    add(buffer)
    (row,) = buffer.take().to_pylist()
    assert row == {
        "phase": "closed",
        "worker": 0,
        "request_index": 5,
        "prompt_id": "piqa/8",
        "dataset": "piqa",
        "intended_start_ns": 1_000_000,
        "sent_ns": 2_000_000,
        "ended_ns": 64_345_999,
        "service_latency_us": 62_345,
        "response_latency_us": 63_345,
        "outcome": "ok",
        "http_status": 200,
        "server_total_ms": 60,
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


def test_what_was_not_measured_is_null():
    """A request without an answer has no server time, no nodes, no score: null, never zero."""
    buffer = new_buffer()
    add(
        buffer, http_status=ABSENT, server_total_ms=ABSENT, token_cost=ABSENT, answer_state=ABSENT, answer=ABSENT,
        correct=ABSENT, nodes=0, outcome=6, error=buffer.errors.place("no answer within 30 s"),
    )  # fmt: skip
    (row,) = buffer.take().to_pylist()
    absent = [name for name, value in row.items() if value is None]
    assert absent == [
        "http_status", "server_total_ms", "node_times_ms", "node_states", "node_cached", "token_cost", "answer_state",
        "answer", "correct", "execution_id",
        "level_times_ms",
    ]  # fmt: skip
    assert (row["outcome"], row["error"]) == ("timeout", "no answer within 30 s")


def test_batches_are_small():
    """No batch is larger than what is built between two answers; none is lost and the order stays."""
    buffer = new_buffer()
    for index in range(CHUNK_ROWS * 2 + 1):
        add(buffer, request_index=index, nodes=index % 2)
    batches = [buffer.take(), buffer.take(), buffer.take()]
    assert [batch.num_rows for batch in batches] == [CHUNK_ROWS, CHUNK_ROWS, 1]
    assert buffer.take() is None
    table = pa.Table.from_batches(batches)
    assert table["request_index"].to_pylist() == list(range(CHUNK_ROWS * 2 + 1))
    assert table["node_times_ms"].to_pylist() == [[60] if index % 2 else None for index in range(CHUNK_ROWS * 2 + 1)]


def test_texts_that_never_end_do_not_fill_the_memory():
    """The first thousand different errors are kept, the rest share a place; long ones are cut."""
    column = TextColumn()
    places = [column.place(f"error {number}") for number in range(1500)]
    assert places[:1000] == list(range(1000))
    assert set(places[1000:]) == {1000}
    assert column.place(None) == ABSENT
    assert TextColumn().texts().to_pylist() == []
    longest = TextColumn()
    longest.place("x" * 999)
    assert longest.texts().to_pylist() == ["x" * 300]


def written(path, batches, *, close=True):
    """A sample file of several flushes, each with another error text, so that its vocabulary grows."""
    buffer, file = new_buffer(), SampleFile(path)
    for number in range(batches):
        add(buffer, request_index=number, error=buffer.errors.place(f"error {number}"))
        file.append(buffer.take())
        file.write_out()
    if close:
        file.close()
    return file


def test_the_file_is_an_arrow_stream_that_anybody_reads(tmp_path):
    """pyarrow.ipc.open_stream(path).read_pandas() reads it; vocabularies that grew included."""
    written(tmp_path / "samples.arrow", 3)
    table = pa.ipc.open_stream(tmp_path / "samples.arrow").read_pandas()
    assert table["request_index"].tolist() == [0, 1, 2]
    assert table["error"].tolist() == ["error 0", "error 1", "error 2"]


def test_every_whole_batch_of_a_torn_file_is_read(tmp_path):
    """Cut at any byte, the file gives back each batch that is whole, and says that it is torn."""
    path = tmp_path / "samples.arrow"
    written(path, 3)
    whole = path.read_bytes()
    lengths = []
    for length in range(0, len(whole), 4):
        path.write_bytes(whole[:length])
        table, torn = read_samples(path)
        assert torn
        assert table["request_index"].to_pylist() == list(range(table.num_rows))
        lengths.append(table.num_rows)
    path.write_bytes(whole)
    table, torn = read_samples(path)
    assert (table.num_rows, torn) == (3, False)
    assert lengths == sorted(lengths)
    assert set(lengths) >= {0, 1, 2}


def test_a_missing_file_is_an_empty_torn_one(tmp_path):
    """A run that was killed before its first flush reports, with nothing in it."""
    table, torn = read_samples(tmp_path / "samples.arrow")
    assert (table.num_rows, table.schema, torn) == (0, SCHEMA, True)


def test_a_refused_write_is_made_good_later(tmp_path, monkeypatch):
    """When the disk takes half a batch and then no more, the file ends at a whole batch, and later has all."""
    path = tmp_path / "samples.arrow"
    buffer, file = new_buffer(), written(path, 2, close=False)
    before = path.stat().st_size
    real_write = os.write
    room = [40]

    def full_disk(descriptor, data):
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken, room[0] = min(room[0], len(data)), 0
        return real_write(descriptor, bytes(data)[:taken])

    monkeypatch.setattr(os, "write", full_disk)
    add(buffer, request_index=2)
    file.append(buffer.take())
    with pytest.raises(OSError, match="No space left"):
        file.write_out()
    assert path.stat().st_size == before
    monkeypatch.undo()
    file.close()
    table, torn = read_samples(path)
    assert (table["request_index"].to_pylist(), torn) == ([0, 1, 2], False)


@pytest.mark.parametrize("rows", [7, 65_536])
def test_compacting_changes_no_row(tmp_path, monkeypatch, rows):
    """Many small batches become few, as large as allowed, with the same rows and still readable by anybody."""
    monkeypatch.setattr(sample_reader, "_COMPACT_ROWS", rows)
    path = tmp_path / "samples.arrow"
    written(path, 50)
    before, _ = read_samples(path)
    size = path.stat().st_size
    compact([SamplePart(path)], path)
    after, torn = read_samples(path)
    assert after.to_pylist() == before.to_pylist()
    assert pa.ipc.open_stream(path).read_all()["error"].to_pylist() == before["error"].to_pylist()
    assert len(list(sample_reader.SampleReader(path))) == -(-50 // rows)
    assert not torn
    assert path.stat().st_size < size
    assert [file.name for file in tmp_path.iterdir()] == ["samples.arrow"]
