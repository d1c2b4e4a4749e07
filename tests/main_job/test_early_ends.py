"""Thresholds that end a run early, against the simulated runtime."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from processes import Finished, LocustProcess, Simulator


def run_of(finished: Finished) -> tuple[dict[str, Any], dict[str, Any]]:
    report = json.loads((finished.run_folder / "report.json").read_bytes())
    return report, json.loads((finished.run_folder / "run.json").read_bytes())


def test_a_broken_threshold_ends_the_run_in_order(start_locust: Callable[..., LocustProcess], tmp_path: Path) -> None:
    """Answers in flight come in, later phases do not begin, results are written; exit 4, no process left."""
    (tmp_path / "two.toml").write_text(
        'thresholds = ["p(50)<60000", "later:error_rate<0.5"]\n'
        '[[phases]]\nname = "first"\nusers = 4\nduration = "60s"\n'
        '[[phases]]\nname = "later"\nusers = 4\nduration = "60s"\n'
    )
    watched = (
        """thresholds=[{condition="p(50)<5", abort_on_fail=true, delay_abort_eval="500ms"}, "later:error_rate<0.5"]"""
    )
    options = ("--headless", "--scenario", "two.toml", "--set", watched, "--threshold", "p(50)<60000")
    process = start_locust(*options)
    finished = process.finish()
    report, manifest = run_of(finished)
    (phase,) = report["phases"]
    assert (finished.code, process.left_behind()) == (4, []), finished.err
    assert (phase["name"], phase["ended_by"], report["run"]["ended_as"]) == ("first", "threshold", "aborted")
    assert phase["all"]["ok_total"] == phase["all"]["requests_total"] > 20
    assert (phase["reconciliation"]["trust"], phase["reconciliation"]["unexplained_nodes_total"]) == ("trusted", 0)
    assert 0.5 <= manifest["aborted"]["after_s"] < phase["window_s"] < 30
    assert {key: manifest["aborted"][key] for key in ("condition", "phase", "dataset", "confidence")} == {
        "condition": "p(50)<5", "phase": "first", "dataset": None, "confidence": 0.999,
    }  # fmt: skip
    states = {asked["condition"]: asked["state"] for asked in report["thresholds"]}
    assert states == {"p(50)<5": "broken", "later:error_rate<0.5": "undecided", "p(50)<60000": "holds"}
    assert report["thresholds"][0]["ended_the_run"] == manifest["aborted"]
    assert report["verdict"]["status"] == "threshold_failed"
    assert "which ended the run early" in report["verdict"]["reasons"][0]
    assert "threshold p(50)<5 is broken in phase first: " in finished.err
    assert "which ended the run early" in " ".join(finished.out.split())
    assert manifest["notes"] == []


@pytest.mark.slow
def test_open_load_in_steps_is_ended_by_one_datasets_threshold(
    fork_locust: Callable[..., Finished], simulator: Callable[..., Simulator], tmp_path: Path
) -> None:
    """What was due is sent and answered or booked as dropped; the steps that would follow are not driven."""
    runtime = simulator("--latency", "constant:20ms")
    (tmp_path / "steps.toml").write_text(
        '[[thresholds]]\ncondition = "steps:piqa:service_latency_ms:p(50)<5"\nabort_on_fail = true\n'
        '[[phases]]\nname = "steps"\nload_unit = "rate"\nsteps = [60, 90]\nduration = "60s"\n'
    )
    finished = fork_locust("--host", runtime.url, "--scenario", "steps.toml")
    report, manifest = run_of(finished)
    (phase,) = report["phases"]
    assert finished.code == 4, finished.err
    assert (phase["name"], phase["ended_by"], manifest["aborted"]["dataset"]) == ("steps-60", "threshold", "piqa")
    assert phase["reconciliation"]["trust"] == "trusted"
    row = phase["all"]
    assert row["ok_total"] == runtime.record()["nodes"]["succeeded"]
    assert row["requests_total"] == row["ok_total"] + row["outcomes"]["dropped"]
