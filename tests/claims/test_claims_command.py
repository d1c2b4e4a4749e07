"""`aether-load claims` as its users run it: real runs against a simulated runtime, and what it refuses."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from claims_folders import SCENARIO
from processes import LIMIT_S, REPOSITORY, call_command, wait_for

CLAIMS = """\
[[runs]]
scenario = "first.toml"
simulated = ["workload.limit=1"]

[[runs]]
scenario = "second.toml"
simulated = ["workload.limit=1"]

[[claims]]
id = "p50"
claim = "Parallel, p50"
source = "our page"
published = "50 ms"
quantity = "latency_p50_ms"
of = "first/parallel"
at_most = 50
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Start the command in the test's folder; it ends with the test, and its load with it."""
    processes = []

    def started(*arguments: str) -> subprocess.Popen[str]:
        processes.append(
            subprocess.Popen(
                [sys.executable, "-m", "aether_load", "claims", "--claims", "claims.toml", "--no-page", *arguments],
                cwd=tmp_path,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            )
        )
        return processes[-1]

    yield started
    for process in processes:
        if process.poll() is None:
            children = psutil.Process(process.pid).children(recursive=True)
            process.kill()
            for child in children:
                child.kill()
            process.communicate()


@pytest.fixture
def claims(tmp_path: Path) -> Path:
    for name in ("first", "second"):
        (tmp_path / f"{name}.toml").write_text(SCENARIO)
    path = tmp_path / "claims.toml"
    path.write_text(CLAIMS)
    return path


@pytest.mark.slow
def test_an_interrupted_measurement_reports_what_is_complete(
    claims: Path, start: Callable[..., Any], tmp_path: Path
) -> None:
    """The first run whole, the second as far as it came; the same results come of the folder again."""
    (tmp_path / "second.toml").write_text(SCENARIO.replace("repeat = 6", "repeat = 1000"))
    process = start("--markdown", "claims.md")

    def second_phase_runs() -> bool:
        runs = list(tmp_path.glob("results/claims-*/runs/*-second-*/run.json"))
        return bool(runs) and '"parallel#1"' in runs[0].read_text()

    wait_for(second_phase_runs, "the second run's second phase", limit_s=60)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    (folder,) = (tmp_path / "results").glob("claims-*")
    report = json.loads((folder / "claims.json").read_bytes())
    assert (report["ended_as"], report["simulated"]) == ("interrupted", True)
    assert [run["ended_as"] for run in report["runs"]] == ["completed", "interrupted"]
    assert report["claims"][0]["measured"]["repetitions_total"] == 6
    assert {"claims.json", "claims.md", "claims.tex", "runs"} <= {path.name for path in folder.iterdir()}
    assert (tmp_path / "claims.md").read_text() == (folder / "claims.md").read_text()
    assert "SIMULATED runtime: the figure says nothing about Aether" in out
    again = call_command("claims", "--claims", str(claims), "--report", str(folder), "--no-page", cwd=tmp_path)
    assert again.returncode == 130
    assert json.loads((folder / "claims.json").read_bytes()) == report


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--only", "third"), "--only third: the claims' scenarios are first, second."),
        (("--report", "nowhere"), "--report nowhere: there is no such folder."),
        (("--report", ".", "--host", "http://127.0.0.1:1"), "--report sends nothing: leave --host away."),
        (("--report", "."), ". holds no run that can be read."),
        (("--label", "no"), "--label no: expected KEY=VALUE, as in build=1.4.2."),
    ],
)
def test_what_does_not_go_together_is_refused(
    claims: Path, tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    """In one sentence, with exit code 2, and nothing is sent."""
    refused = call_command("claims", "--claims", str(claims), *arguments, cwd=tmp_path)
    assert (refused.returncode, refused.stdout, refused.stderr) == (2, "", f"aether-load: {sentence}\n")
    assert not list(tmp_path.glob("results/claims-*"))


def test_a_checkout_without_datasets_is_refused(tmp_path: Path) -> None:
    """With the path of the file that is missing."""
    refused = call_command("claims", "--runtime-checkout", str(tmp_path), cwd=tmp_path)
    missing = tmp_path / "bench" / "datasets" / "customer_support_100.jsonl"
    assert (refused.returncode, refused.stderr) == (
        2,
        f"aether-load: --runtime-checkout: there is no file {missing}, which scenario claims sends.\n",
    )


def test_a_target_that_does_not_answer_ends_the_measurement(
    claims: Path, start: Callable[..., Any], tmp_path: Path
) -> None:
    """Exit code 3, said once, and no results."""
    process = start("--host", "http://127.0.0.1:1")
    out, err = process.communicate(timeout=LIMIT_S)
    assert (process.returncode, out) == (3, "")
    assert "Traceback" not in err
    assert not list(tmp_path.glob("results/claims-*/claims.json"))
