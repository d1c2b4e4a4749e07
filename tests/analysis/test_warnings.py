"""Threats to validity: each is a value with a code, and the codes, the docs and the gate agree on them."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from aether_load.analysis.report import Report, build_report
from aether_load.analysis.server.reconciliation import Trust
from aether_load.analysis.server.server_process import ServerProcess, server_process_over
from aether_load.analysis.statistics.steady import Steadiness, mser5
from aether_load.outputs.results import report_json
from aether_load.rundata.process_usage import ServerReading
from aether_load.scenario.warning_codes import WarningCode
from folders import answered, dropped, make_run
from processes import REPOSITORY

CLEAN = [answered(62 * number, 62) for number in range(16)]


def report_of(*arguments: Any, **options: Any) -> Report:
    return build_report(make_run(*arguments, **options))


def codes(report: Report) -> list[WarningCode]:
    return [warning.code for warning in report.warnings]


def test_every_code_is_given_somewhere() -> None:
    """No code is listed in the reference and never seen."""
    files = ("analysis/verdict/warnings.py", "gate/analysis/warnings.py")
    source = "".join((REPOSITORY / "aether_load" / name).read_text(encoding="utf-8") for name in files)
    # What speaks against the counts is a code by its own value.
    of_trust = {trust.upper() for trust in get_args(Trust)} - {"TRUSTED"}
    assert set(re.findall(r"Code\.([A-Z_]+)", source)) | of_trust == {code.name for code in WarningCode}


def test_warnings_come_before_any_figure(tmp_path: Path) -> None:
    """In the JSON too: after run, target and verdict, before phases."""
    text = report_json(report_of(tmp_path, CLEAN)).decode()
    assert text.index('"warnings"') < text.index('"phases"')


def test_open_load_that_was_not_reached(tmp_path: Path) -> None:
    """Requests that were due and not sent, or sent after the window: the achieved rate says so."""
    requests = [answered(10 * n, 5, 4) for n in range(90)] + [
        answered(1200, 5, 4, due_ms=950),
        *map(dropped, range(960, 969)),
    ]
    report = report_of(tmp_path, requests, load="open", rate_rps=100.0, users=4)
    rates = report.phases[0].open_load
    assert rates is not None
    assert (rates.target_rps, rates.due_rps, rates.achieved_rps, rates.achieved_share) == (100.0, 100.0, 90.0, 0.9)
    assert codes(report) == ["achieved_rate_low", "dropped", "few_samples"]
    assert report.phases[0].correlation.reasons["littles_law_ratio"] == "open load has no fixed number of active users"


@pytest.mark.parametrize(
    ("latency_ms", "waiting", "said"),
    [
        (lambda n: 5 * n / 3, (24, 49), True),  # 150 a second are answered of 200 that are due
        (lambda _n: 100, (19, 19), False),
        (lambda _n: 700, (100, 139), False),  # nothing is answered before the middle: only how the load began
    ],
)
def test_an_open_load_that_the_runtime_falls_behind(
    tmp_path: Path, latency_ms: Callable[[int], float], waiting: tuple[int, int], said: bool
) -> None:
    """More and more requests wait, so that latencies depend on the window's length."""
    requests = [answered(5 * n + 0.5, latency_ms(n) - 0.6, 0) for n in range(200)]
    report = report_of(tmp_path, requests, load="open", rate_rps=200.0, users=200)
    load = report.phases[0].open_load
    assert load is not None
    assert (load.waiting_at_middle_total, load.waiting_at_end_total) == waiting
    assert ("falling_behind" in codes(report)) is said


def test_users_that_think_are_busy(tmp_path: Path) -> None:
    """Little's ratio holds the time that users think: R 60 ms and Z 40 ms of one user make 1."""
    requests = [answered(100 * n, 60) for n in range(10)]
    busy = report_of(tmp_path, requests, think_time_mean_s=0.04)
    idle = report_of(tmp_path, requests, run_id="20260304T050607Z-made-0002")
    assert busy.phases[0].correlation.littles_law_ratio == 1.0
    assert idle.phases[0].correlation.littles_law_ratio == 0.6
    assert ("users_not_busy" in codes(busy), "users_not_busy" in codes(idle)) == (False, True)


@pytest.mark.parametrize(
    ("cache", "hits", "code"),
    [
        ("keep", 3, "cache_answered"),
        ("cold", 3, "cold_phase_with_hits"),
        ("cold", 0, None),
        ("warm", 3, "warm_phase_with_misses"),
        ("warm", 16, None),
        ("keep", 0, None),
    ],
)
def test_a_cache_that_is_not_in_the_state_asked_for(tmp_path: Path, cache: str, hits: int, code: str | None) -> None:
    """Hits in a cold phase, misses in a warm one, and either where nothing was asked for."""
    requests = [answered(62 * number, 62, cached=int(number < hits)) for number in range(16)]
    found = [
        found for found in codes(report_of(tmp_path, requests, cache=cache)) if "phase" in found or "cache" in found
    ]
    assert found == ([code] if code else [])


def test_mser5_cuts_where_the_transient_ends() -> None:
    """Thirty slow seconds before a steady rate are cut; a steady rate loses none; a short one is not judged."""
    steady = [100.0, 101.0, 99.0, 100.0, 100.0] * 30
    assert mser5([50.0] * 30 + steady) == Steadiness(30, 50.0, 100.0)
    assert mser5(steady) == Steadiness(0, None, 100.0)
    assert mser5(steady[:119]) is None


def test_mser5_is_its_definition() -> None:
    """d* = argmin over d <= n/2 of the sum of squares of the rest over its length squared, on means of five."""
    import numpy as np

    rng = np.random.default_rng(7)
    for _ in range(20):
        rates = rng.normal(100, 10, 150) + np.linspace(0, 40, 150)
        means = rates.reshape(-1, 5).mean(axis=1)
        spread = [means[d:].var() / (len(means) - d) for d in range(len(means) // 2 + 1)]
        found = mser5(rates.tolist())
        assert found is not None
        assert found.cut_s == 5 * int(np.argmin(spread))


def test_a_window_that_begins_too_early_is_said_to(tmp_path: Path) -> None:
    """Two and a half minutes whose first half minute is half as fast."""
    requests = [answered(1000 * second + 500 * n, 400) for second in range(150) for n in range(1 if second < 30 else 2)]
    report = report_of(tmp_path, requests, window_ms=(0, 150_000), phase_ms=150_000)
    assert report.phases[0].steadiness == Steadiness(30, 1.0, 2.0)
    warning = next(warning for warning in report.warnings if warning.code == "not_steady")
    assert "first 30 s was -50.0% off the rest" in warning.message


def test_a_forbidden_warning_makes_the_run_invalid(tmp_path: Path) -> None:
    """Exit 5, with the code in the reason; one that is not there forbids nothing."""
    plan = {"name": "made", "phases": [{"name": "closed", "users": 1}], "fail_on_warning": ["few_samples", "restarted"]}
    report = report_of(tmp_path, CLEAN, scenario=plan)
    assert (report.verdict.status, report.verdict.exit_code) == ("invalid", 5)
    assert report.verdict.reasons == (
        (
            "phase closed: forbidden warning few_samples: 16 samples: p99 is only bounded from below (368 bound it, "
            "1,000 make it firm)"
        ),
    )


MS = 1_000_000


def reading(at_ms: int, cpu_s: float, **more: Any) -> ServerReading:
    return ServerReading(at_ms * MS, cpu_s, 5000, 2, ("gunicorn",), **more)


def test_what_the_servers_processes_took(tmp_path: Path) -> None:
    """Mean and busiest second of all of them together, inside the window."""
    readings = [reading(0, 1.0), reading(1000, 1.5), reading(2000, 1.6), reading(9000, 9.0)]
    assert server_process_over(readings, 0, 2500 * MS) == (
        ServerProcess(
            cpu_share_mean=0.3, cpu_share_max=0.5, resident_max_bytes=5000, processes=2, names=("gunicorn",)
        ),
        None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("readings", "reason"),
    [
        ([], "the target's process was not looked for"),
        ([ServerReading(1, reason="the target runs on another machine")], "the target runs on another machine"),
        ([reading(0, 5.0), reading(1000, 1.0)], "the target's processes were replaced by others inside the window"),
        ([reading(100, 5.0)], "the target's process was not read twice, half a second apart"),
        ([reading(0, 5.0), reading(200, 5.0)], "the target's process was not read twice, half a second apart"),
        (
            [reading(0, 5.0), reading(1000, 5.0)],
            "the target's process took less CPU time than its system counts, which goes in steps of 10 ms",
        ),
    ],
)
def test_without_the_servers_process_there_is_a_reason(readings: list[ServerReading], reason: str) -> None:
    """Absent is not zero."""
    assert server_process_over(readings, 0, 2000 * MS) == (None, reason)
