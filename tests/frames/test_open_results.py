"""All runs of a results folder as one frame."""

import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import aether_load
from aether_load.outputs.results import write_results
from aether_load.outputs.summary import SUMMARY_COLUMNS
from aether_load.rundata.folder import RunFolder
from folders import answered, make_run
from rich_run import make_rich_run


def add(results: Path, number: int, *, written: bool = True, **options: Any) -> RunFolder:
    """Make a run of one phase; `written` puts its rows into summary.csv."""
    folder = make_run(results, [answered(10 * place, 60) for place in range(90)], run_id=f"run-{number}", **options)
    if written:
        write_results(aether_load.open_run(folder.path).report, folder)
    return folder


def test_rows_of_the_summary_and_of_runs_beside_it(tmp_path: Path) -> None:
    """The same row whether it was read from summary.csv or made from the run's folder, without a warning."""
    for number in (1, 2):
        add(tmp_path, number)
    add(tmp_path, 3, written=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error", aether_load.RunDataWarning)
        runs = aether_load.open_results(tmp_path)
    assert list(runs) == list(SUMMARY_COLUMNS)
    assert list(zip(runs["run_id"], runs["dataset"], strict=True)) == [
        (f"run-{number}", dataset) for number in (1, 2, 3) for dataset in ("all", "piqa")
    ]
    first, third = (runs[runs["run_id"] == f"run-{number}"].reset_index(drop=True) for number in (1, 3))
    pd.testing.assert_frame_equal(first.drop(columns="run_id"), third.drop(columns="run_id"))
    assert "object" not in set(map(str, runs.dtypes))


def test_a_rich_run_is_the_same_through_the_file(tmp_path: Path) -> None:
    """Numbers, absences and texts of a summary are those of the report."""
    folder = make_rich_run(tmp_path)
    made = aether_load.open_results(tmp_path)
    write_results(aether_load.open_run(folder.path).report, folder)
    pd.testing.assert_frame_equal(aether_load.open_results(tmp_path), made)


def test_runs_that_cannot_be_read_are_left_out_with_a_warning(tmp_path: Path) -> None:
    """A damaged manifest; a summary of another release; a crashed run is there as far as it goes."""
    add(tmp_path, 1)
    broken = add(tmp_path, 2, written=False)
    broken.manifest.write_bytes(broken.manifest.read_bytes().replace(b"abc", b"abd"))
    add(tmp_path, 3, written=False, ended_as="running", window_ms=(0, None))
    (tmp_path / "summary.csv").write_text("time,commit\n")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        runs = aether_load.open_results(tmp_path)
    assert list(runs["run_id"].unique()) == ["run-1", "run-3"]
    said = " ".join(str(warning.message) for warning in caught)
    assert "has other columns than this version of aether-load writes" in said
    assert "run-2: the run is left out" in said
    assert "run-3: the run is still being written, or it crashed" in said


def test_a_folder_without_runs_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(aether_load.UsageError, match="holds no runs"):
        aether_load.open_results(tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [("2026-03-04T", "yesterday"), (",90,", ",many,"), ("run-1", '"run-1')],
    ids=["a time", "a count", "a quotation mark"],
)
def test_a_summary_that_was_changed_by_hand_is_one_sentence(tmp_path: Path, old: str, new: str) -> None:
    add(tmp_path, 1)
    path = tmp_path / "summary.csv"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(aether_load.UsageError, match="is not as aether-load writes it"):
        aether_load.open_results(tmp_path)
