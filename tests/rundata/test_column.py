"""Columns of samples, in memory and in files."""

from pathlib import Path

import numpy as np
import pytest

from aether_load.rundata.samples.column import Column


@pytest.mark.parametrize("in_file", [False, True])
@pytest.mark.parametrize("room", [0, 2, 10])
def test_a_column_has_what_was_appended(tmp_path: Path, in_file: bool, room: int) -> None:
    """It grows beyond its first room, and cannot be written to when it is finished."""
    column = Column(np.int16, room, tmp_path if in_file else None)
    for values in ([1, 2, 3], [], [4, 5]):
        column.append(np.array(values, np.int16))
    found = column.finish()
    assert (found.tolist(), found.dtype.name, found.flags.writeable) == ([1, 2, 3, 4, 5], "int16", False)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_takes_no_file_is_done_without(tmp_path: Path) -> None:
    """The column lies in memory then."""
    column = Column(np.int16, 2, tmp_path / "missing")
    column.append(np.array([1, 2, 3], np.int16))
    assert column.finish().tolist() == [1, 2, 3]
