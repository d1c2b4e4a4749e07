"""What a command line may call a run: its folder, its id, `latest`, a folder of runs."""

import json
from pathlib import Path

import pytest

from aether_load.errors import UsageError
from aether_load.rundata.locate import find_run, find_runs

OLD, NEW, OTHER = "20260101T000000Z-a-0000", "20260102T000000Z-b-0000", "renamed"


def make_run(folder: Path, began: str) -> None:
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"began": {"utc": began}}))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with results of two runs, and another folder of runs with one."""
    make_run(tmp_path / "results" / "runs" / NEW, "2026-01-02T00:00:00.000000Z")
    make_run(tmp_path / "results" / "runs" / OLD, "2026-01-01T00:00:00.000000Z")
    make_run(tmp_path / "nights" / OTHER, "2025-12-31T00:00:00.000000Z")
    (tmp_path / "nights" / "notes").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("latest", f"results/runs/{NEW}"),
        ("results/latest", f"results/runs/{NEW}"),
        ("results/runs/latest", f"results/runs/{NEW}"),
        ("nights/latest", f"nights/{OTHER}"),
        (f"results/runs/{OLD}", f"results/runs/{OLD}"),
        (OLD, f"results/runs/{OLD}"),
        ("nights", f"nights/{OTHER}"),
    ],
)
def test_one_run_is_found(here: Path, name: str, folder: str) -> None:
    """By its folder, its id, as the newest, or as the only one of a folder."""
    assert find_run(name).path == here / folder


def test_a_folder_of_runs_stands_for_all_of_them_in_order(here: Path) -> None:
    """The oldest comes first, whatever the folders are called."""
    found = [run.path.relative_to(here) for run in find_runs(["results", "nights", "latest"])]
    assert [str(path) for path in found] == [
        f"results/runs/{OLD}", f"results/runs/{NEW}", f"nights/{OTHER}", f"results/runs/{NEW}",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("results", "results holds 2 runs: name one of them, or the newest with results/latest."),
        ("nights/notes", "nights/notes is not a run's folder: it holds no run.json."),
        ("nowhere", "nowhere is not a run's folder: it holds no run.json."),
        ("nowhere/latest", "nowhere/latest: there is no run in nowhere yet."),
    ],
)
def test_what_is_no_one_run_is_a_sentence(here: Path, name: str, sentence: str) -> None:
    """None, or several where one is wanted."""
    with pytest.raises(UsageError) as refused:
        find_run(name)
    assert str(refused.value).startswith(sentence)
