"""The rates of short runs against the simulator's own record of what it served."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from main_job.test_truth import record_of

if TYPE_CHECKING:
    from processes import Finished, Simulator

WITHIN = 0.03


def run_waves(
    run: Callable[..., Any], simulator: Callable[..., Any], tmp_path: Path, users: int, waves: int
) -> tuple[dict[str, Any], tuple[int, int], list[dict[str, Any]]]:
    """Run so many requests a user on a runtime of 300 ms; return the phase's report, its window and the record."""
    record = tmp_path / "record.jsonl"
    runtime = simulator("--record", str(record), "--latency", "constant:300ms")
    # Prompts are unique, because a cached one takes a fraction of the time.
    finished = run(
        "--host", runtime.url, "-u", str(users), "--set", f"phases.0.requests={users * waves}",
        "--set", "phases.0.unique_prompts=true",
    )  # fmt: skip
    assert finished.code == 0, finished.err
    (phase,) = json.loads(finished.nightly.read_bytes())["phases"]
    (times,) = json.loads((finished.run_folder / "run.json").read_bytes())["phases"]
    return phase, (times["window_began_ns"], times["window_ended_ns"]), record_of(record)


def served_rps(entries: list[dict[str, Any]], window: tuple[int, int]) -> float:
    """Return what the runtime served: each request by the part of the runtime's own time for it inside the window."""
    began, ended = window
    shares = [
        max(0, min(entry["end_ns"], ended) - max(entry["arrival_ns"], began)) / (entry["end_ns"] - entry["arrival_ns"])
        for entry in entries
    ]
    answer: float = sum(shares) / (ended - began) * 1e9
    return answer


def check(phase: dict[str, Any], window: tuple[int, int], entries: list[dict[str, Any]], users: int) -> None:
    """Compare the rate with the record and, where the users took turns often enough, with Little's law."""
    rate = phase["all"]["request_throughput_rps"]
    assert rate == pytest.approx(served_rps(entries, window), rel=WITHIN)
    if len(entries) == users:
        return
    # Little's law: so many users, each of whom waits so long for each request.
    assert rate == pytest.approx(users / phase["all"]["service_latency_ms"]["mean"] * 1000, rel=WITHIN)
    assert phase["correlation"]["littles_law_ratio"] == pytest.approx(1, abs=WITHIN)


@pytest.mark.slow
def test_one_wave_has_its_rate(
    fork_locust: Callable[..., Finished], simulator: Callable[..., Simulator], tmp_path: Path
) -> None:
    """Eight requests by eight users of 300 ms are 26 a second, though the window shuts at the first answer."""
    phase, window, entries = run_waves(fork_locust, simulator, tmp_path, users=8, waves=1)
    check(phase, window, entries, 8)
    assert phase["all"]["ok_throughput_rps"] == phase["all"]["request_throughput_rps"]


@pytest.mark.slow
def test_less_than_one_wave_has_none(
    fork_locust: Callable[..., Finished], simulator: Callable[..., Simulator], tmp_path: Path
) -> None:
    """Four rows for eight users: null with the reason, and a threshold on the rate is not decided."""
    runtime = simulator("--latency", "constant:300ms")
    finished = fork_locust(
        "--host", runtime.url, "-u", "8", "--set", "phases.0.requests=4", "--threshold", "request_throughput_rps>1"
    )
    (phase,) = json.loads(finished.nightly.read_bytes())["phases"]
    row = phase["all"]
    assert (row["request_throughput_rps"], row["ok_throughput_rps"], row["tokens_per_s"]) == (None, None, None)
    assert phase["correlation"]["littles_law_ratio"] is None
    assert "ms is shorter than 10 times the error of its clock (1 ms)" in row["reasons"]["request_throughput_rps"]
    assert (finished.code, row["requests_total"]) == (5, 4)


@pytest.mark.slow
@pytest.mark.parametrize("waves", [1, 2, 3, 5, 10, 20])
@pytest.mark.parametrize("users", [1, 2, 8, 32, 64])
def test_waves_have_their_rate(
    fork_locust: Callable[..., Finished], simulator: Callable[..., Simulator], tmp_path: Path, users: Any, waves: Any
) -> None:
    """From one wave to twenty, by one user to 64, within three percent of what the runtime served."""
    check(*run_waves(fork_locust, simulator, tmp_path, users, waves), users)
