"""kill -9 of the sender, of the observer, and of both: how the run ends, and what is left of it."""

import json
import signal
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from processes import UNSEEN, LocustProcess, Simulator, call_command, wait_for
from recorded import records_table

LONG = ("--headless", "--limit", "20", "-t", "60s", "-u", "16", *UNSEEN)
LOST_AT_MOST_NS = 1_000_000_000
LATE_NS = 1_000_000_000
"""What a busy machine may add to the second in which everything that was measured is written."""


@pytest.fixture
def under_load(
    start_locust: Callable[..., LocustProcess], simulator: Callable[..., Simulator], tmp_path: Path
) -> tuple[LocustProcess, Path]:
    """Return a run under load that has written for a second, and the record of the runtime that it loads."""
    record = tmp_path / "record.jsonl"
    runtime = simulator("--record", str(record), "--latency", "constant:20ms")
    process = start_locust("--host", runtime.url, *LONG)
    process.wait_for_samples(60_000)
    return process, record


def observer_of(process: LocustProcess) -> int:
    """Return the process id of a run's observer."""
    (pid,) = [
        child.pid
        for child in psutil.Process(process.process.pid).children(recursive=True)
        if "aether_load.observer" in child.cmdline()
    ]
    return pid


def kill(*pids: int) -> int:
    """End processes at once, and return the instant before it."""
    at_ns = time.monotonic_ns()
    for pid in pids:
        psutil.Process(pid).kill()
    return at_ns


def lost_answers(run_folder: Path, record: Path, before_ns: int) -> list[Any]:
    """Return the requests that the runtime had answered before an instant and that the run's records lack."""
    kept = {str(uuid.UUID(bytes=id_)) for id_ in records_table(run_folder)["execution_id"].to_pylist() if id_}
    entries = [json.loads(line) for line in record.open()]
    return [
        entry["execution_id"]
        for entry in entries
        if entry["execution_id"] and entry["end_ns"] < before_ns and entry["execution_id"] not in kept
    ]


def reported(process: LocustProcess, run_folder: Path) -> tuple[int, dict[str, Any]]:
    """Return what `aether-load report` makes of a run's folder, and its exit code."""
    done = call_command("report", str(run_folder), "--no-page", cwd=process.folder)
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads((run_folder / "report.json").read_bytes())


def test_a_run_whose_observer_is_killed_ends_in_order(under_load: tuple[LocustProcess, Path]) -> None:
    """No request is lost; the run says in one sentence what happened, and its folder is reported afterwards."""
    process, record = under_load
    kill(observer_of(process))
    finished = process.finish()
    said = [line for line in finished.err.splitlines() if line.startswith("aether-load: ")]
    assert (finished.code, process.left_behind()) == (5, []), finished.err
    assert "Traceback" not in finished.err
    assert [line for line in said if "observer" in line] == said[-1:], finished.err
    assert lost_answers(finished.run_folder, record, time.monotonic_ns()) == []
    code, report = reported(process, finished.run_folder)
    rows = records_table(finished.run_folder).num_rows
    assert (code, report["verdict"]["status"]) == (5, "invalid")
    assert report["phases"][0]["all"]["requests_total"] == rows > 100


def test_a_run_whose_sender_is_killed_is_written_by_its_observer(under_load: tuple[LocustProcess, Path]) -> None:
    """What was measured until a second before stands in the results, which say that the run crashed."""
    process, record = under_load
    killed_ns = kill(process.process.pid)
    finished = process.finish()
    wait_for(lambda: process.left_behind() == [], "the observer to end", limit_s=60)
    report = json.loads((finished.run_folder / "report.json").read_bytes())
    rows = records_table(finished.run_folder).num_rows
    assert finished.code == -signal.SIGKILL
    assert lost_answers(finished.run_folder, record, killed_ns - LOST_AT_MOST_NS - LATE_NS) == []
    assert (report["verdict"]["status"], "crashed" in [one["code"] for one in report["warnings"]]) == ("invalid", True)
    assert report["phases"][0]["all"]["requests_total"] == rows > 100
    assert reported(process, finished.run_folder) == (5, report)


@pytest.mark.slow
def test_a_run_whose_two_processes_are_killed_can_be_reported(under_load: tuple[LocustProcess, Path]) -> None:
    """What was measured until a second before is in the folder, for `aether-load report` to read."""
    process, record = under_load
    killed_ns = kill(observer_of(process), process.process.pid)
    finished = process.finish()
    wait_for(lambda: process.left_behind() == [], "all processes to be gone")
    code, report = reported(process, finished.run_folder)
    rows = records_table(finished.run_folder).num_rows
    assert code == 5
    assert lost_answers(finished.run_folder, record, killed_ns - LOST_AT_MOST_NS - LATE_NS) == []
    assert (report["verdict"]["status"], "crashed" in [one["code"] for one in report["warnings"]]) == ("invalid", True)
    assert report["phases"][0]["all"]["requests_total"] == rows > 100
