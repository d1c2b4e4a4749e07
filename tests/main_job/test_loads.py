"""Loads driven against the simulated runtime: what was due, sent and answered, phase by phase."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from processes import SELF_CHECK, Finished, Simulator, wait_for
from recorded import samples_of

if TYPE_CHECKING:
    from locust_forks import LocustFork


def scenario_file(tmp_path: Path, text: str) -> str:
    path = tmp_path / "load.toml"
    path.write_text('[workload]\nsource = "sample"\ndatasets = ["piqa"]\n' + text)
    return str(path)


def report_of(finished: Finished) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads((finished.run_folder / "report.json").read_bytes())
    return answer


def phases_of(finished: Finished) -> dict[str, Any]:
    return {phase["name"]: phase for phase in report_of(finished)["phases"]}


@pytest.mark.slow
def test_an_open_load_shows_what_a_stall_does_to_those_who_come(
    start_fork: Callable[..., LocustFork], simulator: Callable[..., Simulator], tmp_path: Path
) -> None:
    """Everything due is sent, those due in the stall wait for it, and a closed user would have shown one of them."""
    record = tmp_path / "record.jsonl"
    runtime = simulator("--latency", "constant:5ms", "--record", str(record))
    text = '[[phases]]\nname = "open"\nrate = 100\narrivals = "constant"\nduration = "3s"\nmax_concurrency = 20\n'
    process = start_fork("--headless", "--host", runtime.url, "--scenario", scenario_file(tmp_path, text))
    wait_for(lambda: record.exists() and len(record.read_bytes().splitlines()) > 50, "the load")
    runtime.order({"kind": "stall", "for": "600ms"})
    finished = process.finish()
    (phase,) = phases_of(finished).values()
    assert finished.code == 0, finished.err
    assert (phase["all"]["requests_total"], phase["all"]["ok_total"]) == (300, 300)
    assert phase["open_load"]["dropped_total"] == 0
    samples = samples_of(finished)
    due = [sample["intended_start_ns"] for sample in samples]
    assert {round((late - early) / 1000) for early, late in pairwise(due)} == {10_000}
    waited = [sample for sample in samples if sample["response_latency_us"] > 300_000]
    assert len(waited) >= 25
    # With twenty in flight at most, the others waited for a free user before they were sent.
    assert max(sample["sent_ns"] - sample["intended_start_ns"] for sample in samples) > 100_000_000
    assert phase["all"]["response_latency_ms"]["max"] >= phase["all"]["service_latency_ms"]["max"]


@pytest.mark.slow
def test_what_cannot_be_sent_is_unsent(
    fork_locust: Callable[..., Finished], simulator: Callable[..., Simulator], tmp_path: Path
) -> None:
    """One user, a rate it cannot serve: what is left when the time is over counts, and Locust saw what was sent."""
    runtime = simulator("--latency", "constant:50ms")
    text = '[[phases]]\nrate = 100\narrivals = "constant"\nduration = "1s"\nmax_concurrency = 1\n'
    finished = fork_locust("--host", runtime.url, "--scenario", scenario_file(tmp_path, text))
    (phase,) = phases_of(finished).values()
    outcomes = phase["all"]["outcomes"]
    assert finished.code == 1
    assert phase["all"]["requests_total"] == 100 == outcomes["ok"] + outcomes["dropped"]
    assert outcomes["dropped"] == phase["open_load"]["dropped_total"] > 50
    assert phase["reconciliation"]["trust"] == "trusted"
    assert all((sample["sent_ns"] is None) == (sample["outcome"] == "dropped") for sample in samples_of(finished))


def test_phases_of_every_kind_each_with_a_row_and_a_reconciliation(
    fork_locust: Callable[..., Finished], simulator: Callable[..., Simulator], tmp_path: Path
) -> None:
    """Sweep, steps, spike, ramp, think time: each window its own, every node accounted for, no request twice."""
    runtime = simulator("--latency", "constant:5ms")
    text = """
[[phases]]
name = "sweep"
sweep = [1, 3]
passes = 1
[[phases]]
name = "steps"
load_unit = "rate"
steps = [20, 60]
duration = "500ms"
arrivals = "constant"
[[phases]]
name = "spike"
users = 1
think_time = "50ms"
spike = { to = 4, before = "300ms", duration = "300ms", after = "300ms" }
[[phases]]
name = "ramp"
rate = 50
arrivals = "constant"
ramp = { from = 10, over = "500ms" }
requests = 20
"""
    finished = fork_locust("--host", runtime.url, "--scenario", scenario_file(tmp_path, text))
    phases = phases_of(finished)
    assert finished.code == 0, finished.err
    assert list(phases) == [
        "sweep-1", "sweep-3", "steps-20", "steps-60", "spike-before", "spike-spike", "spike-after", "ramp",
    ]  # fmt: skip
    assert {phase["reconciliation"]["trust"] for phase in phases.values()} == {"trusted"}
    assert [phases[name]["all"]["requests_total"] for name in ("sweep-1", "sweep-3", "ramp")] == [80, 80, 20]
    assert [phases[name]["all"]["requests_total"] for name in ("steps-20", "steps-60")] == [10, 30]
    # From 10/s to 50/s in half a second is 15 requests, in no window.
    assert phases["ramp"]["requests_outside_window_total"] == 15
    samples = samples_of(finished)
    assert [sample["request_index"] for sample in samples] == list(range(len(samples)))
    for name in ("sweep-1", "sweep-3"):
        assert len({sample["prompt_id"] for sample in samples if sample["phase"] == name}) == 80


@pytest.mark.slow
def test_the_runtimes_state_is_what_was_asked_for(
    fork_locust: Callable[..., Finished], simulator: Callable[..., Simulator], tmp_path: Path
) -> None:
    """Cold has no hits, warm no misses, unique prompts none ever; sequential reaches the server; pairs are compared."""
    record = tmp_path / "record.jsonl"
    runtime = simulator("--latency", "constant:5ms", "--record", str(record))
    text = """
[[phases]]
name = "cold"
users = 4
passes = 1
cache = "cold"
[[phases]]
name = "warm"
users = 4
passes = 1
cache = "warm"
[[phases]]
name = "unseen"
users = 4
passes = 1
unique_prompts = true
sequential = true
"""
    path = scenario_file(tmp_path, text)
    finished = fork_locust("--host", runtime.url, "--scenario", path, "--set", "repeat=2", "--set", "order=abba")
    phases = phases_of(finished)
    assert finished.code == 0, finished.err
    assert list(phases) == ["cold#1", "warm#1", "unseen#1", "unseen#2", "warm#2", "cold#2"]
    assert {name: phase["cached_nodes_total"] for name, phase in phases.items()} == {
        "cold#1": 0, "warm#1": 80, "unseen#1": 0, "unseen#2": 0, "warm#2": 80, "cold#2": 0,
    }  # fmt: skip
    assert {phase["reconciliation"]["trust"] for phase in phases.values()} == {"trusted"}
    # Which repetitions have a figure on both sides depends on the machine: of a held sender it has no one value.
    pairs = {(row["base"], row["other"]) for row in report_of(finished)["comparisons"]}
    assert pairs == {("cold", "warm"), ("cold", "unseen"), ("warm", "unseen")}
    # Six phases of 80, and each of the two warm ones sends its prompts once before, off the record.
    assert len(samples_of(finished)) == 480
    assert sum(json.loads(line)["status"] == 200 for line in record.open()) == 640


@pytest.mark.slow
def test_a_trace_is_sent_again_as_it_was(
    fork_locust: Callable[..., Finished], simulator: Callable[..., Simulator], tmp_path: Path
) -> None:
    """Texts in their order, due at the recorded distances, in half the time at speed 2."""
    runtime = simulator("--latency", "constant:5ms")
    (tmp_path / "calls.csv").write_text("timestamp,prompt\n10.0,first\n10.4,second\n11.0,third\n")
    text = '[[phases]]\nname = "calls"\ntrace = { path = "calls.csv", speed = 2.0 }\n'
    finished = fork_locust("--host", runtime.url, "--scenario", scenario_file(tmp_path, text))
    samples = samples_of(finished)
    assert finished.code == 0, finished.err
    assert [sample["prompt_id"] for sample in samples] == ["calls/0", "calls/1", "calls/2"]
    due = [sample["intended_start_ns"] for sample in samples]
    assert [late - early for early, late in pairwise(due)] == [200_000_000, 300_000_000]


@pytest.mark.parametrize(
    ("keys", "sentence"), [('cache = "cold"', "phases.0.cache = 'cold'"), ("sequential = true", "phases.0.sequential")]
)
def test_a_v1_runtime_is_refused_what_it_has_not(
    fork_locust: Callable[..., Finished], tmp_path: Path, keys: str, sentence: str
) -> None:
    """One sentence and exit code 2, before any load."""
    path = scenario_file(tmp_path, f"[[phases]]\nusers = 1\npasses = 1\n{keys}\n")
    finished = fork_locust("--simulate", "v1", "--scenario", path)
    assert finished.code == 2
    assert sentence in finished.err
    assert "Traceback" not in finished.err


def test_locusts_own_load_does_not_go_with_more_than_a_number_of_users(fork_locust: Callable[..., Finished]) -> None:
    """-u, -r and -t are refused with --set named."""
    finished = fork_locust("--scenario", "open", "-u", "5")
    assert finished.code == 2
    assert "--set" in finished.err


def test_a_plan_is_printed_and_nothing_sent(
    fork_locust: Callable[..., Finished], simulator: Callable[..., Simulator], tmp_path: Path
) -> None:
    """--dry-run looks whether the runtime answers, sends it no program, and leaves nothing behind."""
    record = tmp_path / "record.jsonl"
    runtime = simulator("--record", str(record))
    finished = fork_locust("--scenario", "capacity", "--dry-run", "--host", runtime.url)
    assert finished.code == 0, finished.err
    assert "doubling: 20, 40, 80" in finished.out
    assert not (tmp_path / "results").exists()
    assert [line for line in record.open() if json.loads(line)["status"] == 200] == []


@pytest.mark.slow
def test_the_self_check_is_written_down(fork_locust: Callable[..., Finished]) -> None:
    """What this client costs stands in the report; left out, it is null with the reason."""
    with_check = fork_locust(SELF_CHECK, "--scenario", "smoke", "-t", "1", "--verbose")
    check = report_of(with_check)["self_check"]
    assert with_check.code == 0, with_check.err
    assert 0 < check["latency_p50_ms"] <= check["latency_p99_ms"]
    assert check["most_rps"] > 0 < check["cpu_us_per_request"]
    assert "self-check: this client alone takes" in with_check.out


@pytest.mark.parametrize("kind", [pytest.param("spike", marks=pytest.mark.slow), "capacity"])
def test_an_interrupted_shape_keeps_what_was_measured(
    start_fork: Callable[..., LocustFork], tmp_path: Path, kind: str
) -> None:
    """Ctrl-C ends it in order: exit code 130, every request accounted for."""
    process = start_fork("--headless", "--scenario", kind, "--set", "phases.0.rate=50")
    wait_for(lambda: process.samples_written() > 4_000 or process.process.poll() is not None, "samples on disk")
    process.send(signal.SIGINT)
    finished = process.finish()
    assert finished.code == 130, finished.err
    assert "Traceback" not in finished.err
    assert {phase["reconciliation"]["trust"] for phase in report_of(finished)["phases"]} == {"trusted"}
