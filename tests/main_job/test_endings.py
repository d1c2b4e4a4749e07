"""A run that does not end as planned: interrupted, killed, out of disk, or left by its runtime."""

from __future__ import annotations

import csv
import json
import os
import pty
import re
import resource
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from aether_load.rundata.folder import RunFolder
from processes import EVAL, REPOSITORY, UNSEEN, Finished, LocustProcess, Simulator, call_command, wait_for
from recorded import records_table

if TYPE_CHECKING:
    from locust_forks import LocustFork

LONG = ("--headless", "--limit", "20", "-t", "60s", *UNSEEN)


def test_an_interrupt_before_the_load_is_no_traceback(start_locust: Callable[..., LocustProcess]) -> None:
    """Ctrl-C while prompts load or the runtime starts ends everything with exit 130."""
    process = start_locust(*LONG)
    wait_for(process.children, "a child of the run")
    process.send(signal.SIGINT)
    finished = process.finish()
    assert (finished.code, process.left_behind()) == (130, []), finished.err
    assert "Traceback" not in finished.err
    assert "interrupted before the load began" in finished.err


def test_a_second_interrupt_does_not_wait_for_answers(
    start_fork: Callable[..., LocustFork], simulator: Callable[..., Simulator]
) -> None:
    """Whoever presses Ctrl-C twice has the results at once, without the answers that were still due."""
    runtime = simulator("--latency", "constant:30s")
    process = start_fork("--headless", "--host", runtime.url, "--limit", "4", "--stop-timeout", "300")
    wait_for(lambda: runtime.record()["in_flight"] == 8, "requests in flight")
    process.send(signal.SIGINT)
    wait_for(lambda: "ending the run" in process.said(), "the first interrupt to be taken")
    process.send(signal.SIGINT)
    finished = process.finish()
    (phase,) = json.loads(finished.nightly.read_bytes())["phases"]
    assert "Traceback" not in finished.err
    assert phase["all"]["outcomes"]["cancelled"] == 8


def test_requests_in_flight_get_the_stop_timeout_and_are_booked(
    start_fork: Callable[..., LocustFork], simulator: Callable[..., Simulator]
) -> None:
    """Answers that do not come within --stop-timeout are given up, and stand in the samples as cut off."""
    runtime = simulator("--latency", "constant:30s")
    process = start_fork("--headless", "--host", runtime.url, "--limit", "4", "--stop-timeout", "1")
    wait_for(lambda: '"window_began_ns"' in process.manifest_text(), "the phase to begin")
    wait_for(lambda: runtime.record()["in_flight"] == 8, "requests in flight")
    process.send(signal.SIGINT)
    finished = process.finish()
    (phase,) = json.loads(finished.nightly.read_bytes())["phases"]
    assert finished.code == 5, finished.err
    assert phase["all"]["outcomes"]["cancelled"] == phase["all"]["requests_total"] == 8
    assert phase["all"]["error_rate"] is None


def test_a_killed_run_keeps_what_was_measured(start_locust: Callable[..., LocustProcess]) -> None:
    """After kill -9 no process is left, and the folder reports what was written until the last second."""
    watched = """thresholds=[{condition="p(50)<60000", abort_on_fail=true}]"""
    process = start_locust(*LONG, "--set", watched)
    process.wait_for_samples(30_000)
    assert len(process.children()) == 2
    process.send(signal.SIGKILL)
    finished = process.finish()
    wait_for(
        lambda: process.left_behind() == [],
        "the runtime and the watch over thresholds to end with their parent",
    )
    done = call_command("report", str(finished.run_folder), "--no-page", cwd=process.folder)
    report = json.loads(finished.nightly.read_bytes())
    (phase,) = report["phases"]
    table = records_table(finished.run_folder)
    last_scrape = json.loads((finished.run_folder / "scrapes.jsonl").read_text().splitlines()[-1])
    assert done.returncode == 5, done.stderr
    assert phase["all"]["requests_total"] == table.num_rows > 100
    assert report["run"]["ended_as"] == "running"
    assert "crashed" in [warning["code"] for warning in report["warnings"]]
    assert phase["reconciliation"]["trust"] == "no_server_data"
    assert pa.compute.max(table["ended_ns"]).as_py() > last_scrape["began_ns"] - 1.5e9


def test_damaged_records_leave_the_earlier_report_alone(fork_locust: Callable[..., Finished], tmp_path: Path) -> None:
    """A run whose records cannot be read any more is exit 5 with the file's name, and nothing is written over."""
    finished = fork_locust("--limit", "4")
    records = finished.run_folder / "records.bin"
    records.write_bytes(records.read_bytes()[:1000])
    before = finished.nightly.read_bytes()
    done = call_command("report", str(finished.run_folder), "--no-page", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (5, ""), done.stderr
    assert done.stderr.startswith(f"aether-load: No row of {finished.run_folder} can be read (records.bin lacks rows")
    assert finished.nightly.read_bytes() == before


@pytest.mark.slow
def test_a_runtime_that_dies_is_booked_and_fails_the_run(
    start_fork: Callable[..., LocustFork], simulator: Callable[..., Simulator]
) -> None:
    """Requests to a dead runtime are connection errors, few a second and not a storm; the samples before stay."""
    runtime = simulator("--latency", "constant:20ms")
    process = start_fork("--headless", "--host", runtime.url, "--limit", "20", "-t", "4s", *UNSEEN)
    process.wait_for_samples()
    runtime.process.kill()
    finished = process.finish()
    (phase,) = json.loads(finished.nightly.read_bytes())["phases"]
    outcomes = phase["all"]["outcomes"]
    assert (finished.code, phase["reconciliation"]["trust"]) == (1, "no_server_data"), finished.err
    assert outcomes["ok"] > 50
    assert 8 <= outcomes["connection_error"] < 400
    assert "Traceback" not in finished.err


@pytest.mark.slow
def test_a_restart_in_the_middle_voids_the_servers_side(
    start_fork: Callable[..., LocustFork], simulator: Callable[..., Simulator]
) -> None:
    """Counters that fall are noticed by the readings in between, whatever the ends say."""
    runtime = simulator("--latency", "constant:20ms")
    process = start_fork("--headless", "--host", runtime.url, "--limit", "20", "-t", "4s", *UNSEEN)
    wait_for(lambda: process.readings() >= 3, "readings of /metrics to fall below")
    runtime.order({"kind": "restart"})
    finished = process.finish()
    report = json.loads(finished.nightly.read_bytes())
    assert report["phases"][0]["reconciliation"]["trust"] == "restarted", finished.err
    assert report["phases"][0]["server"] is None
    assert finished.code in {1, 5}


def test_a_full_disk_ends_the_run_and_loses_nothing(small_disk: Path, start_fork: Callable[..., LocustFork]) -> None:
    """When the disk refuses, the run ends early with its results, and every booked request is in its samples."""
    process = start_fork("--headless", "--limit", "20", "-t", "60s", "-u", "64", folder=small_disk)
    finished = process.finish()
    report = json.loads(finished.nightly.read_bytes())
    table = records_table(finished.run_folder)
    (phase,) = report["phases"]
    rows = csv.DictReader((small_disk / "results/summary.csv").open())
    booked = sum(int(row["requests_total"]) for row in rows if row["dataset"] == "all")
    assert phase["ended_by"] == "refused by the disk"
    assert "The disk refused to take more (No space left on device)" in finished.out
    assert table.num_rows == phase["reconciliation"]["counted_nodes_total"] == booked
    assert phase["reconciliation"]["unexplained_nodes_total"] == 0
    assert finished.code == 130


@pytest.mark.slow
def test_what_the_disk_refuses_is_rescued_elsewhere(tmp_path: Path) -> None:
    """Where even the ballast makes no room, the last samples go to the temporary folder and the report says so."""
    elsewhere = tmp_path / "tmp"
    elsewhere.mkdir()

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    done = subprocess.run(
        [sys.executable, "-m", "locust", "-f", str(EVAL), *LONG, "-u", "32", "--no-page", "--no-self-check"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "TMPDIR": str(elsewhere)},
        preexec_fn=small_files,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    (run,) = (tmp_path / "results" / "runs").iterdir()
    (tail,) = elsewhere.glob("*-records-tail.bin")
    assert "Traceback" not in done.stderr
    assert any(str(tail) in note for note in RunFolder(run).read_manifest().notes)
    records = run / "records.bin"
    records.write_bytes(records.read_bytes() + tail.read_bytes())
    table = records_table(run)
    assert table.num_rows == pa.compute.max(table["request_index"]).as_py() + 1


@pytest.mark.slow
def test_a_progress_line_is_shown_on_a_terminal(tmp_path: Path) -> None:
    """On a terminal one line tells of the prompts that load, then done of all, rate, failures and time left."""
    main, other = pty.openpty()
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "locust",
            "-f",
            str(EVAL),
            "--headless",
            "--limit",
            "30",
            "-u",
            "4",
            "--no-page",
            "--no-self-check",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=other,
        start_new_session=True,
    )
    os.close(other)
    shown = b""
    try:
        while process.poll() is None or select.select([main], [], [], 0)[0]:
            if select.select([main], [], [], 0.1)[0]:
                try:
                    shown += os.read(main, 65536)
                except OSError:
                    break
    finally:
        process.kill()
        process.wait()
        os.close(main)
    text = shown.decode()
    assert process.returncode == 0, text
    assert re.search(r"\r\x1b\[Kloading the prompts: \d of 5 datasets, \d+ prompts", text), text
    assert re.search(r"closed: +\d+ of 150 +\d+/s +p95 \d+ ms +0 failed +\d+ s left +4 users", text), text
