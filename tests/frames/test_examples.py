"""The examples are executed: each shows what it says it shows."""

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from processes import REPOSITORY
from rich_run import make_rich_run

EXAMPLES = REPOSITORY / "examples"


def run_script() -> None:
    runpy.run_path(str(EXAMPLES / "analysis.py"))


def run_notebook() -> None:
    book = json.loads((EXAMPLES / "analysis.ipynb").read_text(encoding="utf-8"))
    names: dict[str, Any] = {}
    for cell in book["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)


@pytest.mark.parametrize("execute", [run_script, run_notebook])
def test_the_analysis_draws_and_explains(
    execute: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From a folder with a run: two charts in it, and a line for each of the ten slowest requests."""
    folder = make_rich_run(tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    execute()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{folder.path.name} failed"
    assert [line[:3] for line in lines[1:]] == [f"{place:2}." for place in range(1, 11)]
    for name, word in {"latency_by_dataset.svg": "arc_easy", "slowest_requests.svg": "unanswered_ms"}.items():
        picture = (folder.path / name).read_text()
        assert picture.startswith("<svg")
        assert word in picture
