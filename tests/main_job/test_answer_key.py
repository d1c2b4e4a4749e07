"""A simulated model of a chosen accuracy, measured by the harness."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from processes import Finished, Simulator, call_command


@pytest.mark.slow
def test_a_chosen_accuracy_is_measured_within_its_interval(
    fork_locust: Callable[..., Finished], simulator: Callable[..., Simulator], tmp_path: Path
) -> None:
    """With the key of the bundled rows and an accuracy of 0.7 the run finds 0.7, and nobody unanswered."""
    key = tmp_path / "key.jsonl"
    made = call_command("answer-key", "--output", str(key), cwd=tmp_path)
    assert (made.returncode, made.stdout) == (0, f"400 answers written to {key}\n"), made.stderr
    runtime = simulator("--answer-key", str(key), "--accuracy", "0.7", "--latency", "constant:1ms")
    finished = fork_locust("--host", runtime.url)
    row = json.loads(finished.nightly.read_bytes())["phases"][0]["all"]
    assert (finished.code, row["accuracy"]["count"], row["unanswered_total"]) == (0, 400, 0), finished.err
    assert row["accuracy"]["low"] <= 0.7 <= row["accuracy"]["high"]


@pytest.mark.slow
def test_a_perfect_model_is_right_at_every_row(
    fork_locust: Callable[..., Finished], simulator: Callable[..., Simulator], tmp_path: Path
) -> None:
    """With an accuracy of 1 each bundled row is answered by its gold letter: key, prompt and scoring agree."""
    key = tmp_path / "key.jsonl"
    call_command("answer-key", "-o", str(key), cwd=tmp_path)
    runtime = simulator("--answer-key", str(key), "--accuracy", "1", "--latency", "constant:1ms")
    finished = fork_locust("--host", runtime.url)
    row = json.loads(finished.nightly.read_bytes())["phases"][0]["all"]
    assert (row["accuracy"]["hits"], row["accuracy"]["count"]) == (400, 400), finished.err


@pytest.mark.slow
def test_a_key_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    """A folder in the file's place is exit 2."""
    done = call_command("answer-key", "--limit", "1", "-o", str(tmp_path), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"aether-load: --output {tmp_path}: cannot be written: Is a directory.\n"
