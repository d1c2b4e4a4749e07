"""Arrow arrays made from buffers are those that pyarrow's own ways make, which load what a sender has no use for."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aether_load.rundata import arrow


@given(st.lists(st.text()))
def test_texts(values):
    assert arrow.texts(values).equals(pa.array(values, pa.string()))


@pytest.mark.parametrize("kind", [np.int8, np.int16, np.int32, np.int64])
@given(st.lists(st.tuples(st.integers(-100, 100), st.booleans())))
def test_numbers_there_and_back(kind, rows):
    values = np.array([value for value, _ in rows], kind)
    absent = np.array([gone for _, gone in rows], np.bool_)
    made = arrow.numbers(values, absent)
    assert made.equals(pa.array([None if gone else value for value, gone in rows], made.type))
    assert arrow.filled(made, -101).tolist() == [-101 if gone else value for value, gone in rows]
    assert arrow.filled(made[1:], -101).tolist() == [-101 if gone else value for value, gone in rows][1:]


@given(st.lists(st.sampled_from([True, False, None])))
def test_flags_there_and_back(rows):
    values = np.array([row is True for row in rows], np.bool_)
    made = arrow.flags(values, np.array([row is None for row in rows], np.bool_))
    assert made.equals(pa.array(rows, pa.bool_()))
    assert arrow.filled_flags(made).tolist() == [-1 if row is None else int(row) for row in rows]


@given(st.lists(st.one_of(st.none(), st.lists(st.integers(-9, 9), min_size=1))))
def test_lists(rows):
    values = np.array([value for row in rows for value in row or ()], np.int64)
    lengths = np.array([len(row or ()) for row in rows], np.int32)
    made = arrow.lists(lengths, arrow.numbers(values), lengths == 0)
    assert made.equals(pa.array(rows, pa.list_(pa.int64())))


@given(st.lists(st.one_of(st.none(), st.binary(min_size=16, max_size=16))))
def test_identifiers(rows):
    whole = np.array([row or bytes(16) for row in rows], "V16")
    made = arrow.bytes_of_16(whole, np.array([row is None for row in rows], np.bool_))
    assert made.equals(pa.array(rows, pa.binary(16)))


def test_a_sample_is_written_and_read_without_pandas_or_scipy(tmp_path):
    """From the buffer into a file and back into a report, in a process of its own."""
    made = tmp_path / "make.py"
    made.write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "from folders import answered, make_run\n"
        "from aether_load.analysis.report import build_report\n"
        "report = build_report(make_run(Path(sys.argv[1]), [answered(0, 60), answered(100, 70)]))\n"
        "assert report.phases[0].all.ok_total == 2\n"
        "print(sorted({'pandas', 'scipy'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, str(made), str(tmp_path / "results")],
        env={"PYTHONPATH": ":".join(path for path in sys.path if path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("[]\n", "")
