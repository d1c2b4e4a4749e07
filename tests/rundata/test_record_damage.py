"""Record files that are not as they were written: what is refused is named, and never read as other numbers."""

import os
import random
from pathlib import Path

import pytest

from aether_load.errors import UsageError
from aether_load.rundata.manifest import PhaseRecord
from aether_load.rundata.records import record_format
from aether_load.rundata.records.record_buffer import RecordBuffer
from aether_load.rundata.records.record_format import FILE_PREFIX, NODE, RequestRecord, file_header
from aether_load.rundata.records.record_reader import RecordReader
from aether_load.rundata.records.record_set import RecordPart
from aether_load.rundata.samples.samples_arrow import read_samples
from aether_load.rundata.samples.table_reader import read_phases
from folders import clock

BLOCKS = 4
ROWS = 2 * BLOCKS
"""Two rows a block; the second block has a hold and no row, and the last one is the end."""


def blocks() -> list[bytes]:
    """The bytes of a file's header and of each of its blocks."""
    buffer = RecordBuffer(["a/0", "b/0"], ["a", "b"])
    phase = buffer.phases.place("closed")
    pieces = [file_header()]
    for block in range(BLOCKS):
        for row in range(2 * block, 2 * block + 2):
            record = RequestRecord(
                row, 10 * row, 10 * row, 10 * row + 7, prompt=row % 2, nodes=1, phase=phase,
                error=buffer.errors.place(f"error {block}"),
            )  # fmt: skip
            buffer.add(record, NODE.pack(row, 0, 0))
        buffer.seal()
        if block == 0:
            buffer.add_hold(1, 2, 3)
            buffer.seal()
    buffer.finish()
    pieces += [b"".join(block.pieces()) for block in iter(buffer.take, None)]
    assert len(pieces) == 1 + BLOCKS + 2
    return pieces


HEADER, *PIECES = blocks()
WHOLE = HEADER + b"".join(PIECES)


def read(path: Path, content: bytes, expected: int | None = None) -> tuple[list[int], int, bool, list[str]]:
    """What is read of a file with this content."""
    path.write_bytes(content)
    return read_again(path, expected)


def read_again(path: Path, expected: int | None = None) -> tuple[list[int], int, bool, list[str]]:
    """The rows that are read, the number of holds, whether the end is torn off, and the damage."""
    reader = RecordReader(path, expected)
    batches = list(reader)
    rows = [row for batch in batches for row in batch.requests["request_index"].tolist()]
    assert rows == [row for batch in batches for row in (batch.requests["due_ns"] // 10).tolist()]
    assert rows == [node for batch in batches for node in batch.nodes["time_ms"].tolist()]
    assert reader.rows == len(rows)
    return rows, sum(len(batch.holds) for batch in batches), reader.torn, reader.damage


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "records.bin"


def test_a_whole_file_is_read_whole(path: Path) -> None:
    assert read(path, WHOLE, ROWS) == (list(range(ROWS)), 1, False, [])
    assert read(path, WHOLE) == (list(range(ROWS)), 1, False, [])


def test_cut_at_any_byte_it_gives_back_what_is_whole(path: Path) -> None:
    """After a crash a cut is a note; in a file of a run that ended in order it is damage, whatever was cut off."""
    ends = [len(HEADER)]
    for piece in PIECES:
        ends.append(ends[-1] + len(piece))
    path.write_bytes(WHOLE)
    for length in reversed(range(len(WHOLE))):
        os.truncate(path, length)
        rows, _, torn, damage = read_again(path)
        whole_blocks = sum(end <= length for end in ends) - 1
        expected_rows = [0, 2, 2, 4, 6, 8, 8][max(0, whole_blocks)]
        assert (rows, torn, damage) == (list(range(expected_rows)), length not in ends, [])
        rows, _, torn, damage = read_again(path, ROWS)
        assert (rows, torn) == (list(range(expected_rows)), False)
        assert damage == [
            "records.bin lacks its end, behind row 7"
            if expected_rows == ROWS
            else f"records.bin lacks rows {expected_rows} to 7, at its end"
        ]


def test_a_flipped_bit_in_any_byte_is_damage(path: Path) -> None:
    """Rows that are read are rows that were written, and those that are not are named, after a crash too."""
    path.write_bytes(WHOLE)
    for at in range(len(WHOLE)):
        overwrite(path, at, bytes([WHOLE[at] ^ 1 << (at % 8)]))
        rows, holds, _, damage = read_again(path, ROWS if at % 2 else None)
        overwrite(path, at, WHOLE[at : at + 1])
        assert rows == sorted(set(rows))
        assert damage, at
        named = [row for row in range(ROWS) if any(names(sentence, row) for sentence in damage)]
        assert sorted(rows + named) == list(range(ROWS)), (at, damage)
        assert holds == 1 or len(rows) == ROWS


def overwrite(path: Path, at: int, piece: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(piece)


def names(sentence: str, row: int) -> bool:
    """Tell whether a sentence's range of rows holds a row."""
    if "behind row" in sentence:
        return row > int(sentence.split("behind row ")[1])
    words = sentence.replace(",", "").replace(";", "").split()
    if "rows" not in words:
        return False
    first = words.index("rows") + 1
    return int(words[first]) <= row <= int(words[first + 2])


def test_zeroed_stretches_are_damage(path: Path) -> None:
    """Wherever they lie and however long they are."""
    chance = random.Random(3)
    for _ in range(100):
        begin = chance.randrange(len(WHOLE))
        end = min(len(WHOLE), begin + chance.choice([1, 8, 100, 700]))
        zeroed = WHOLE[:begin] + bytes(end - begin) + WHOLE[end:]
        rows, _, _, damage = read(path, zeroed, ROWS)
        assert (rows == list(range(ROWS)) and not damage) == (zeroed == WHOLE) or damage
        assert set(rows) <= set(range(ROWS))


def test_damaged_blocks_are_named_each_by_its_rows(path: Path) -> None:
    """Two in one file; the blocks around them are read."""
    first, second = (bytearray(PIECES[number]) for number in (0, 3))
    first[-1] ^= 1
    second[0] ^= 1
    content = HEADER + first + PIECES[1] + PIECES[2] + second + PIECES[4] + PIECES[5]
    assert read(path, content, ROWS) == (
        [2, 3, 6, 7],
        1,
        False,
        [
            "records.bin has rows 0 to 1 not as they were written; they were refused",
            "records.bin lacks rows 4 to 5, or they are not as they were written",
        ],
    )


@pytest.mark.parametrize("number", range(len(PIECES)))
def test_a_block_that_stands_there_twice_is_read_once(path: Path, number: int) -> None:
    """And the run is invalid, whatever the block holds."""
    content = HEADER + b"".join(PIECES[: number + 1] + PIECES[number:])
    rows, holds, torn, damage = read(path, content, ROWS)
    assert (rows, holds, torn) == (list(range(ROWS)), 1, False)
    (sentence,) = damage
    assert "twice; one copy was read" in sentence


@pytest.mark.parametrize("number", range(len(PIECES)))
def test_a_missing_block_is_named(path: Path, number: int) -> None:
    """One without rows too, since its holds bound the latencies of others."""
    rows, _, _, damage = read(path, HEADER + b"".join(PIECES[:number] + PIECES[number + 1 :]), ROWS)
    (sentence,) = damage
    missing = sorted(set(range(ROWS)) - set(rows))
    if missing:
        assert sentence.startswith(f"records.bin lacks rows {missing[0]} to {missing[-1]}")
    else:
        assert sentence in {
            "records.bin lacks readings before row 2, or they are not as they were written",
            "records.bin lacks its end, behind row 7",
        }


def test_a_missing_file_is_torn_or_damage(path: Path) -> None:
    """A run that was killed before its first block reports with nothing in it; one that ended has lost its rows."""
    nothing = RecordReader(path)
    assert (list(nothing), nothing.torn, nothing.damage) == ([], True, [])
    lost = RecordReader(path, 8)
    assert (list(lost), lost.torn, lost.damage) == ([], False, ["records.bin lacks rows 0 to 7, at its end"])
    empty = RecordReader(path, 0)
    assert (list(empty), empty.torn, empty.damage) == ([], False, [])


def test_rows_behind_the_stated_end_are_damage(path: Path) -> None:
    _, _, _, damage = read(path, WHOLE, 6)
    assert damage == ["records.bin has 8 rows, and had 6 when the run ended"]


def test_another_version_is_refused_by_name(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_format, "VERSION", 9)
    path.write_bytes(file_header() + b"".join(PIECES))
    with pytest.raises(
        UsageError, match=r"records\.bin has version 9 of the record format; this aether-load reads 2\."
    ):
        list(RecordReader(path))


def test_a_header_whose_length_is_wrong_is_not_a_torn_one(path: Path) -> None:
    """Blocks behind it show that the file goes on."""
    length = FILE_PREFIX.unpack(WHOLE[: FILE_PREFIX.size])[1]
    content = FILE_PREFIX.pack(WHOLE[:8], length | 1 << 30) + WHOLE[FILE_PREFIX.size :]
    rows, _, torn, damage = read(path, content)
    assert (rows, torn) == (list(range(ROWS)), False)
    assert damage == ["records.bin has a header that is not as it was written"]


class TestTextsThatWentWithADamagedBlock:
    @pytest.fixture
    def without_the_first(self, path: Path) -> list[RecordPart]:
        path.write_bytes(HEADER + b"".join(PIECES[1:]))
        return [RecordPart(path, expected=ROWS)]

    def test_rows_of_a_phase_without_a_name_are_refused(self, without_the_first: list[RecordPart]) -> None:
        """The first block had the phase's name, so that no row is known to be of it."""
        record = PhaseRecord(name="closed", users=1, began=clock(0))
        found = read_phases(without_the_first, [record], ["a", "b"], ["answer"], [0])
        assert (found.rows, len(found.phases[0])) == (0, 0)
        assert found.damage == (
            "records.bin lacks rows 0 to 1, or they are not as they were written",
            "6 rows are of phases whose names were in damaged blocks; they were refused",
        )

    def test_the_table_says_that_they_are_lost(self, without_the_first: list[RecordPart]) -> None:
        table = read_samples(without_the_first).table
        assert set(table["phase"].to_pylist()) == {"(lost to damage)"}
        assert set(table["prompt_id"].to_pylist()) == {"(lost to damage)"}
        assert table["dataset"].to_pylist() == [None] * 6
        assert table["error"].to_pylist() == [f"error {block}" for block in range(1, BLOCKS) for _ in range(2)]
