"""The search for a capacity against simulated runtimes whose capacity can be computed; `--runs 10` repeats each."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from main_job.test_loads import report_of, scenario_file

if TYPE_CHECKING:
    from processes import Finished, Simulator

SCENARIO = """
[[phases]]
name = "capacity"
find = "{find}"
{start}
slo = {slo}
tolerance = {tolerance}
warmup = "600ms"
shortest_probe = "1s"
longest_probe = "3s"
unique_prompts = true
"""
SLOTS, NODE_MS = 8, 60
CAPACITY_RPS = SLOTS * 1000 / NODE_MS
LIMIT_S = 0.3
CAPACITY_USERS = CAPACITY_RPS * LIMIT_S
"""By Little's law so many users wait LIMIT_S each for an answer."""


def searched(fork_locust: Any, simulator: Any, tmp_path: Path, number: int, **search: Any) -> Any:
    """Search once, with a stall of the runtime in one of the probes.

    Return the search's report, and the share of the computed capacity that the simulator had on this machine: what it
    answered while the load was too large.
    """
    stalls_at = random.Random(number).uniform(8, 30)
    runtime = simulator(
        "--latency", f"normal:{NODE_MS}ms,6ms", "--slots", str(SLOTS), "--seed", str(number),
        "--stall", f"700ms@{stalls_at:.2f}s",
    )  # fmt: skip
    scenario = scenario_file(tmp_path, SCENARIO.format(**search))
    finished = fork_locust("--host", runtime.url, "--scenario", scenario, limit_s=400)
    report = report_of(finished)
    (found,) = report["searches"]
    assert (finished.code == 0) is (found["end"] == "found"), finished.out
    assert finished.code in {0, 5}
    answered = {phase["name"]: phase["all"]["request_throughput_rps"] for phase in report["phases"]}
    too_much = [probe["phase"] for probe in found["probes"] if probe["load"] == found["smallest_not_held"]]
    return found, min(1, *(answered[phase] / CAPACITY_RPS for phase in too_much))


def check(found: Any, share: float, capacity: float, tolerance: Any) -> None:
    """Fail unless the result is right, or there is none."""
    if found["end"] == "found":
        low, high = share * capacity / (1 + tolerance), capacity * (1 + tolerance)
        assert low <= found["largest_held"] <= high, (share, found["sentence"])
    else:
        assert found["end"] in {"undecided", "unsteady"}, found["sentence"]


@pytest.mark.slow
@pytest.mark.alone
def test_the_number_of_users_that_is_found_is_right(
    fork_locust: Callable[..., Finished], simulator: Callable[..., Simulator], tmp_path: Path, run_number: int
) -> None:
    """Within the tolerance of what is computed, or inconclusive; a stall in one of the probes does not matter."""
    start = f"users = {random.Random(run_number).choice([6, 16, 24])}\nmax_load = 200"
    slo = f'["p(50)<{LIMIT_S * 1000:g}", "error_rate<0.2"]'
    found, share = searched(
        fork_locust, simulator, tmp_path, run_number, find="max_users", tolerance=0.1, start=start, slo=slo
    )
    check(found, share, CAPACITY_USERS, 0.1)


@pytest.mark.slow
@pytest.mark.alone
def test_the_rate_that_is_found_is_right(
    fork_locust: Callable[..., Finished], simulator: Callable[..., Simulator], tmp_path: Path, run_number: int
) -> None:
    """Also with random arrivals, and with a limit that an overloaded runtime breaks only after the probe."""
    arrivals = ("constant", "poisson")[run_number % 2]
    start = f'rate = {random.Random(run_number).choice([30, 60, 100])}\nmax_load = 2000\narrivals = "{arrivals}"'
    found, share = searched(
        fork_locust, simulator, tmp_path, run_number, find="max_rate", tolerance=0.2, start=start, slo='"p(95)<600"'
    )
    check(found, share, CAPACITY_RPS, 0.2)
    if found["end"] == "found":
        assert any("requests queue before the server" in reason for reason in found["against"]), found["sentence"]


@pytest.mark.slow
def test_a_search_that_runs_out_of_time_says_how_wide_the_gap_is(
    fork_locust: Callable[..., Finished], simulator: Callable[..., Simulator], tmp_path: Path
) -> None:
    """Exit code 5 with both loads, and a row for each probe with what it measured."""
    runtime = simulator("--latency", "constant:60ms", "--slots", "4")
    text = """
[[phases]]
name = "capacity"
find = "max_users"
users = 4
slo = "p(50)<100"
shortest_probe = "1s"
longest_probe = "2s"
time_limit = "2s"
unique_prompts = true
"""
    finished = fork_locust("--host", runtime.url, "--scenario", scenario_file(tmp_path, text))
    (found,) = report_of(finished)["searches"]
    assert (finished.code, found["end"]) == (5, "out_of_time"), finished.out
    assert "ran out of time" in found["sentence"]
    first = found["probes"][0]
    assert (first["load"], first["holds"], first["limited_by"]) == (4, True, "held")
    assert 3.5 < first["measured"]["achieved_load"] <= 4
    assert first["measured"]["error_rate"] == 0
    (reading,) = first["measured"]["slo"]
    assert reading["condition"] == "p(50)<100"
    assert 55 < reading["low"] <= reading["high"] < 100
    # Where this machine held the sender, the value is the interval alone.
    assert reading["value"] is None or reading["low"] <= reading["value"] <= reading["high"]
