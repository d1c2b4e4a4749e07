"""Which blocks of a record file are read, and what is said of those that are not."""

import pytest

from aether_load.rundata.records.block_reader import BlockSequence
from aether_load.rundata.records.record_format import BlockHead


def head(number: int, first_row: int, rows: int = 2) -> BlockHead:
    return BlockHead(number, 0, rows, 0, 0, 0, 0, first_row, 0)


WHOLE = [head(0, 0), head(1, 2), head(2, 4, 0)]


def judged(
    heads: list[BlockHead], expected: int, damaged: tuple[int, ...] = (), *, needs_end: bool = True
) -> list[str]:
    """What is said of a file with these blocks, of which some are damaged."""
    sequence = BlockSequence("r.bin")
    for place, each in enumerate(heads):
        assert sequence.accepts(each, is_whole=place not in damaged) == (
            place not in damaged and each not in heads[:place]
        )
    sequence.end(expected, needs_end=needs_end)
    return sequence.damage


@pytest.mark.parametrize(
    ("heads", "expected", "damaged", "said"),
    [
        (WHOLE, 4, (), []),
        ([WHOLE[0], WHOLE[0], *WHOLE[1:]], 4, (), ["r.bin has rows 0 to 1 twice; one copy was read"]),
        (WHOLE[1:], 4, (), ["r.bin lacks rows 0 to 1, or they are not as they were written"]),
        (WHOLE, 4, (1,), ["r.bin has rows 2 to 3 not as they were written; they were refused"]),
        (WHOLE, 3, (), ["r.bin has 4 rows, and had 3 when the run ended"]),
        (WHOLE[:1], 4, (), ["r.bin lacks rows 2 to 3, at its end"]),
        (WHOLE[:2], 4, (), ["r.bin lacks its end, behind row 3"]),
        (WHOLE, 4, (2,), ["r.bin has readings before row 4 not as they were written; they were refused",
                          "r.bin lacks its end, behind row 3"]),
        ([], 0, (), ["r.bin lacks its end, behind its header"]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_by_its_rows(
    heads: list[BlockHead], expected: int, damaged: tuple[int, ...], said: list[str]
) -> None:
    """Blocks that come twice, are missing, are damaged, or end too early or too late."""
    assert judged(heads, expected, damaged) == said


def test_the_file_of_a_worker_that_was_lost_needs_no_end() -> None:
    """It was cut off."""
    assert judged(WHOLE[:2], 4, needs_end=False) == []
