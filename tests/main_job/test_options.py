"""Locust's own options and ours, on real processes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from processes import Finished, Simulator


@pytest.mark.parametrize("generation", [pytest.param("v1", marks=pytest.mark.slow), "v2"])
def test_real_rows_of_four_sets_reconcile(
    fork_locust: Callable[..., Finished], real_rows: Path, generation: str
) -> None:
    """The main job on real rows, against either generation, accounts for every node that the server counted."""
    finished = fork_locust(
        "--simulate", generation, "--dataset-dir", str(real_rows), "--limit", "40", "-u", "20",
        "--set", 'workload.datasets=["hellaswag", "piqa", "winogrande", "arc_challenge"]',
    )  # fmt: skip
    report = json.loads(finished.nightly.read_bytes())
    (phase,) = report["phases"]
    assert finished.code == 0, finished.err
    assert report["target"]["generation"] == generation
    assert [row["requests_total"] for row in phase["datasets"]] == [40, 40, 40, 40]
    assert phase["reconciliation"]["trust"] == "trusted"
    assert phase["reconciliation"]["unexplained_nodes_total"] == 0
    assert [(d["source"], d["rows_available"]) for d in report["datasets"]] == [
        ("folder", 700), ("folder", 1400), ("folder", 900), ("folder", 800),
    ]  # fmt: skip


@pytest.mark.slow
def test_users_rate_and_time_on_the_command_line_win(fork_locust: Callable[..., Finished]) -> None:
    """-u, -r and -t take the place of what the scenario's one phase says."""
    finished = fork_locust("-u", "3", "-r", "30", "-t", "1s")
    (phase,) = json.loads(finished.nightly.read_bytes())["phases"]
    assert (finished.code, phase["users"], phase["ended_by"]) == (0, 3, "duration"), finished.err
    assert phase["window_s"] >= 1
    # The ramp of 3 users at 30 a second lies before the window.
    assert phase["requests_outside_window_total"] > 0


@pytest.mark.slow
def test_a_duration_may_outlast_the_prompts(fork_locust: Callable[..., Finished]) -> None:
    """With a time for an end the prompts are sent pass after pass, and the cache's part is said."""
    finished = fork_locust("--limit", "1", "--scenario", "smoke", "--set", "phases.0.duration='700ms'")
    report = json.loads(finished.nightly.read_bytes())
    (phase,) = report["phases"]
    assert (finished.code, report["run"]["scenario"]) == (0, "smoke"), finished.err
    assert phase["all"]["requests_total"] > 5
    assert "cache_answered" in [warning["code"] for warning in report["warnings"]]


def test_a_given_host_is_the_target_and_nothing_else(
    fork_locust: Callable[..., Finished], simulator: Callable[..., Simulator]
) -> None:
    """With --host no simulator is started; one of our own that runs there is still called simulated."""
    runtime = simulator("--generation", "v1", "--latency", "constant:5ms")
    finished = fork_locust("--host", runtime.url, "--limit", "2")
    report = json.loads(finished.nightly.read_bytes())
    assert (finished.code, report["target"]["url"]) == (0, runtime.url), finished.err
    assert (report["target"]["kind"], report["target"]["generation"]) == ("simulated", "v1")


@pytest.mark.slow
def test_an_always_b_runtime_scores_the_share_of_gold_b(
    fork_locust: Callable[..., Finished], simulator: Callable[..., Simulator]
) -> None:
    """Accuracy is what the answers are worth: one that always says B is right where B is gold, no more."""
    runtime = simulator("--answer", "B", "--latency", "constant:1ms")
    finished = fork_locust("--host", runtime.url, "--set", 'workload.datasets=["winogrande"]')
    row = json.loads(finished.nightly.read_bytes())["phases"][0]["all"]
    assert (finished.code, row["accuracy"]["hits"], row["accuracy"]["count"]) == (0, 40, 80), finished.err
    assert row["accuracy"]["value"] == 0.5
    assert row["unanswered_total"] == 0


@pytest.mark.slow
def test_an_answer_without_a_letter_is_wrong_and_counted_as_unanswered(
    fork_locust: Callable[..., Finished], simulator: Callable[..., Simulator]
) -> None:
    """A runtime that chats scores nothing, and says how often it did not answer."""
    runtime = simulator("--answer", "It could be B, I suppose", "--latency", "constant:1ms")
    finished = fork_locust("--host", runtime.url, "--limit", "4")
    row = json.loads(finished.nightly.read_bytes())["phases"][0]["all"]
    assert (row["accuracy"]["hits"], row["accuracy"]["count"], row["unanswered_total"]) == (0, 20, 20)


@pytest.mark.slow
def test_a_refused_prompt_is_told_from_a_failure(
    fork_locust: Callable[..., Finished], simulator: Callable[..., Simulator], tmp_path: Path
) -> None:
    """The prompt guard's refusals are their own outcome and do not fail a run; the rows are the user's own file."""
    rows = [{"q": f"Question {n}", "right": "yes"} for n in range(9)] + [{"q": "A Jailbreak!", "right": "no"}]
    (tmp_path / "own.jsonl").write_text("".join(json.dumps(row | {"a": "yes", "b": "no"}) + "\n" for row in rows))
    (tmp_path / "own.toml").write_text(
        """
        [workload]
        datasets = ["own"]
        [workload.files.own]
        path = "own.jsonl"
        text = "q"
        options = ["a", "b"]
        answer = "right"
        answer_is = "text"
        [[phases]]
        users = 2
        passes = 1
        """
    )
    runtime = simulator("--answer", "A", "--latency", "constant:1ms")
    finished = fork_locust("--host", runtime.url, "--scenario", str(tmp_path / "own.toml"))
    row = json.loads(finished.nightly.read_bytes())["phases"][0]["all"]
    assert (finished.code, row["outcomes"]["ok"], row["outcomes"]["rejected"]) == (0, 9, 1), finished.err
    assert (row["error_rate"], row["rejected_rate"]) == (0, 0.1)
    assert row["accuracy"]["hits"] == 9
    assert "    1 rejected: Node answer: Security violation: Detected blacklisted pattern" in finished.out


def test_failing_nodes_fail_the_run(fork_locust: Callable[..., Finished], simulator: Callable[..., Simulator]) -> None:
    """Success is read from the body: answers with status 200 whose nodes failed are failures, and exit 1."""
    runtime = simulator("--fail-rate", "1", "--latency", "constant:1ms")
    finished = fork_locust("--host", runtime.url, "--limit", "2")
    report = json.loads(finished.nightly.read_bytes())
    assert (finished.code, report["verdict"]["status"]) == (1, "failed"), finished.err
    assert report["verdict"]["reasons"] == ["phase closed: none of 10 requests succeeded"]
    assert report["phases"][0]["all"]["outcomes"]["node_error"] == 10
    assert report["phases"][0]["reconciliation"]["trust"] == "trusted"
