"""The reconciliation, line by line, on folders whose truth is known."""

from pathlib import Path
from typing import Any

import pytest

from aether_load.analysis.phase.phase_report import PhaseReport
from aether_load.analysis.report import Report, build_report
from aether_load.analysis.server.reconciliation import ReconciliationLine
from aether_load.protocol import Generation, NodeShape, NodeState, Outcome
from folders import TOKENS, answered, counted, dropped, exposition, failed, make_run

CLEAN = [answered(100 * number, 62, cached=int(number == 3)) for number in range(8)]
HIT = {"cached": 1}


def phase_of(folder: Path, requests: list[dict[str, Any]], **options: Any) -> tuple[Report, PhaseReport]:
    report = build_report(make_run(folder, requests, **options))
    return report, report.phases[0]


def lines_of(phase: PhaseReport) -> dict[str, Any]:
    return {line.name: line for line in phase.reconciliation.lines}


def differences(phase: PhaseReport) -> dict[str, int]:
    return {line.name: line.difference for line in phase.reconciliation.lines if line.difference}


def test_a_clean_reconciliation_agrees_in_every_line(tmp_path: Path) -> None:
    """Requests, nodes, time, twelve buckets, tokens, failures and both sides of the cache: all agree."""
    report, phase = phase_of(tmp_path, CLEAN)
    lines = lines_of(phase)
    assert list(lines) == [
        "requests_due_total", "requests_sent_total", "succeeded_nodes_total", "node_time_ms",
        *(f"nodes_le_{edge}_ms_total" for edge in (5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000)),
        "nodes_above_10000_ms_total", "executed_nodes_total", "tokens_total", "failed_nodes_total",
        "cached_nodes_total", "uncached_nodes_total",
    ]  # fmt: skip
    assert all(line.agrees for line in lines.values())
    assert lines["tokens_total"] == ReconciliationLine(
        name="tokens_total", against="aether_token_cost_total", ours=8 * TOKENS, theirs=8 * TOKENS, difference=0,
        agrees=True,
    )  # fmt: skip
    assert (lines["cached_nodes_total"].theirs, lines["uncached_nodes_total"].theirs) == (1, 7)
    assert (phase.reconciliation.trust, report.verdict.exit_code) == ("trusted", 0)


def test_failed_nodes_and_cycles_count_as_errors_and_panics_do_not(tmp_path: Path) -> None:
    """The runtime's error counter holds failed nodes and DAGs with a cycle; a panic is counted nowhere."""
    requests = [
        *CLEAN * 20,
        answered(0, 70, nodes=(NodeState.FAILED,), outcome=Outcome.NODE_ERROR),
        answered(0, 70, nodes=(NodeState.PANICKED,), outcome=Outcome.NODE_ERROR),
        answered(
            0, 70, 0, nodes=(NodeState.NOT_RUN,), outcome=Outcome.ABORTED,
            error="Cycle detected in DAG involving node 'a'",
        ),
    ]  # fmt: skip
    readings = [counted([]), counted([60] * 160, cached=20, failed=2)]
    _, phase = phase_of(tmp_path, requests, readings=readings)
    line = lines_of(phase)["failed_nodes_total"]
    assert (line.ours, line.theirs, phase.reconciliation.trust) == (2, 2, "trusted")


@pytest.mark.parametrize(
    ("after", "off", "sentence"),
    [
        (counted([60] * 8, cached=2), {"cached_nodes_total": 1, "uncached_nodes_total": -1}, "aether_cache_hits_total"),
        (
            counted([60] * 8, cached=1, failed=1),
            {"failed_nodes_total": 1},
            "aether_errors_total rose by 1, our answers",
        ),
        (
            counted([60] * 8, cached=1).replace(f"cost_total {11 * TOKENS}", f"cost_total {11 * TOKENS + 5}"),
            {"tokens_total": 5},
            "aether_token_cost_total rose by 61, our answers account for 56: other clients of the runtime",
        ),
        (
            counted([60] * 7 + [4000], cached=1),
            {"node_time_ms": 3940, "nodes_le_100_ms_total": -1, "nodes_le_5000_ms_total": 1},
            "the server's node times differ",
        ),
    ],
)
def test_any_line_that_differs_is_contamination(tmp_path: Path, after: str, off: dict[str, int], sentence: str) -> None:
    """Also where the number of nodes is right: cached ones, failures, tokens, times."""
    report, phase = phase_of(tmp_path, CLEAN, readings=[counted([]), after])
    assert differences(phase) == off
    assert phase.reconciliation.trust == "contaminated"
    assert phase.reconciliation.reason is not None
    assert sentence in phase.reconciliation.reason
    assert all(line.causes for line in phase.reconciliation.lines if line.difference)
    assert report.verdict.exit_code == 5


def test_more_than_unread_requests_can_have_run_is_contamination(tmp_path: Path) -> None:
    """One lost answer of one node explains one node, and not one that succeeded and one that failed."""
    requests = [*CLEAN * 20, failed(10, 900, Outcome.TIMEOUT)]
    times = [60] * 161
    _, explained = phase_of(tmp_path, requests, readings=[counted([]), counted(times, cached=20)])
    _, too_many = phase_of(
        tmp_path, requests, readings=[counted([]), counted(times, cached=20, failed=1)],
        run_id="20260304T050607Z-made-0002",
    )  # fmt: skip
    assert (explained.reconciliation.trust, too_many.reconciliation.trust) == ("trusted", "contaminated")
    line = lines_of(explained)["succeeded_nodes_total"]
    assert (line.difference, line.explained_at_most, line.agrees) == (1, 1, True)
    assert line.causes == ("requests whose answer was not read", "other clients of the runtime")
    assert lines_of(explained)["tokens_total"].agrees


def test_each_request_that_was_handed_out_is_sent_or_unsent(tmp_path: Path) -> None:
    """Due is sent and dropped; sent is the outcomes added up."""
    requests = [*CLEAN, dropped(10), failed(20, 5, Outcome.CONNECTION_ERROR)]
    readings = [counted([]), counted([60] * 8, cached=1)]
    _, phase = phase_of(tmp_path, requests, load="open", rate_rps=10.0, readings=readings)
    lines = lines_of(phase)
    assert (lines["requests_due_total"].ours, lines["requests_due_total"].theirs) == (10, 10)
    assert (lines["requests_sent_total"].ours, lines["requests_sent_total"].theirs) == (9, 9)


@pytest.mark.parametrize(
    ("indexes", "ours", "theirs"), [([0, 1, 2, 3, 5, 6, 7, 8], 8, 9), ([0, 1, 2, 3, 3, 5, 6, 7], 6, 8)]
)
def test_a_lost_or_doubled_sample_makes_the_run_invalid(
    tmp_path: Path, indexes: list[int], ours: int, theirs: int
) -> None:
    """A gap or a repetition in the request indexes is a defect of ours, and no figure passes with it."""
    report, phase = phase_of(tmp_path, CLEAN, indexes=indexes)
    line = lines_of(phase)["requests_due_total"]
    assert (line.ours, line.theirs, line.agrees) == (ours, theirs, False)
    assert "requests_unaccounted" in [warning.code for warning in report.warnings]
    assert report.verdict.exit_code == 5
    assert f"requests_due_total is {ours} by the samples and {theirs} by request indexes" in report.verdict.reasons[0]


def test_a_run_that_was_killed_may_have_lost_its_last_samples(tmp_path: Path) -> None:
    """Their gap is a line with its cause, and no defect."""
    report, phase = phase_of(
        tmp_path, CLEAN, indexes=[0, 1, 2, 3, 5, 6, 7, 8], ended_as="running", window_ms=(0, None)
    )  # fmt: skip
    assert lines_of(phase)["requests_due_total"].causes == (
        "the run was cut off by force, with its last samples in memory",
    )
    assert "requests_unaccounted" not in [warning.code for warning in report.warnings]


def test_a_v1_runtime_has_no_cache_to_reconcile(tmp_path: Path) -> None:
    """The lines of the cache have our side, no other, and say why."""
    requests = [answered(0, 62, cached=-1)]
    readings = [
        exposition([3] + [0] * 11, 0.009),
        exposition([3, 0, 0, 0, 1] + [0] * 7, 0.069, token_cost_total=TOKENS),
    ]
    _, phase = phase_of(tmp_path, requests, generation=Generation.V1, readings=readings)
    line = lines_of(phase)["cached_nodes_total"]
    assert (line.ours, line.theirs, line.agrees) == (None, None, None)
    assert line.reason == "the runtime has no aether_cache_hits_total"
    assert phase.reconciliation.trust == "trusted"


def test_readings_that_never_change_are_no_data(tmp_path: Path) -> None:
    """A cache before /metrics, or another runtime's page: nothing is known, and nobody is accused."""
    report, phase = phase_of(tmp_path, CLEAN, readings=[counted([])] * 4)
    assert phase.reconciliation.trust == "no_server_data"
    assert phase.reconciliation.reason is not None
    assert phase.reconciliation.reason.startswith("all 4 readings of /metrics are the same, though 8 nodes were")
    assert phase.reconciliation.counted_nodes_total is None
    assert lines_of(phase)["succeeded_nodes_total"].ours == 8
    assert (phase.server, report.verdict.exit_code) == (None, 5)


def test_readings_that_lag_behind_are_named(tmp_path: Path) -> None:
    """A reading that has not counted what was answered before it was taken is stale, and said to be."""
    readings = [counted([]), counted([60]), counted([60] * 2), counted([60] * 4)]
    report, phase = phase_of(tmp_path, CLEAN, readings=readings, reading_at_ms=(-1, 500, 900, 1999))
    assert phase.reconciliation.readings_behind_total == 2
    assert phase.reconciliation.trust == "contaminated"
    assert phase.reconciliation.reason == (
        "the server counted 4 nodes fewer than were answered: readings that lag behind, from a cache before /metrics"
    )
    assert "figures_contradict" in [warning.code for warning in report.warnings]


def test_a_reading_that_runs_ahead_of_what_was_sent_is_named(tmp_path: Path) -> None:
    """More nodes than requests had been sent by then: somebody else's."""
    readings = [counted([]), counted([60] * 30), counted([60] * 38, cached=1)]
    report, phase = phase_of(tmp_path, CLEAN, readings=readings, reading_at_ms=(-1, 300, 1999))
    checks = {check.code: (check.checked_total, check.violated_total) for check in phase.checks}
    assert checks["reading_not_ahead"] == (1, 1)
    assert "reading_not_ahead (1 of 1)" in next(w.message for w in report.warnings if w.code == "figures_contradict")


@pytest.mark.parametrize(
    ("role", "text", "trust"),
    [
        (0, None, "no_server_data"),
        (3, counted([60] * 8, cached=1)[:400], "no_server_data"),
        (1, "", "trusted"),
        (2, None, "trusted"),
    ],
)
def test_what_a_missing_or_partial_reading_voids(tmp_path: Path, role: int, text: str | None, trust: str) -> None:
    """Without the first or the last there is no reconciliation; one in between is a gap that is told."""
    readings: list[str | None] = [
        counted([]),
        counted([60] * 2),
        counted([60] * 6, cached=1),
        counted([60] * 8, cached=1),
    ]
    readings[role] = text
    report, phase = phase_of(tmp_path, CLEAN, readings=readings, reading_at_ms=(-1, 300, 900, 1999))
    assert (phase.reconciliation.trust, phase.reconciliation.readings_unreadable_total) == (trust, 1)
    expected = "readings_missing" if trust == "trusted" else "no_server_data"
    assert expected in [warning.code for warning in report.warnings]
    # What the readings in between say of the server's rate is not void.
    assert any(rate is not None for rate in phase.series.server_nodes_per_s)


@pytest.mark.parametrize(
    ("levels", "total", "violated"),
    [
        ((60, 40), 100, {}),
        ((60, 41), 100, {"levels_within_total": 1}),
        ((60, 39), 100, {"level_holds_its_nodes": 1}),
        ((60, 40), 200, {"client_holds_server": 1}),
    ],
)
def test_what_must_hold_is_checked_in_each_answer(
    tmp_path: Path, levels: tuple[int, int], total: int, violated: dict[str, int]
) -> None:
    """Levels within the total, nodes within their level, the server within the client."""
    nodes = (NodeShape("a"), NodeShape("b", ("a",)))
    _, phase = phase_of(tmp_path, [answered(0, 120, total, nodes=(60, 40), levels=levels)], nodes=nodes)
    assert {check.code: check.violated_total for check in phase.checks if check.violated_total} == violated
    assert next(check.checked_total for check in phase.checks if check.code == "levels_within_total") == 1


def test_answers_that_name_no_levels_have_none_to_check(tmp_path: Path) -> None:
    """Nothing is claimed of the levels of a runtime that does not time them."""
    (phase,) = build_report(make_run(tmp_path, CLEAN)).phases
    assert phase.all.ok_total == 8
    assert phase.checks[0].checked_total == 0
    assert phase.reconciliation.trust == "trusted"
