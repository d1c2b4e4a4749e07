"""The time series of a phase, against the plain sums that it must be."""

import csv
import io
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aether_load.analysis.phase.series import COLUMNS, MOST_POINTS, _Requests, _Steps, resolution_for
from aether_load.analysis.report import analyse, build_report
from aether_load.outputs.results import write_results
from aether_load.outputs.series_csv import write_series_csv
from aether_load.protocol import NodeState, Outcome
from aether_load.rundata.folder import RunFolder
from aether_load.rundata.process_usage import SenderReading, ServerReading
from folders import BEGAN_NS, MS, answered, counted, dropped, failed, make_run
from made_samples import made_samples

REQUESTS = [
    answered(100, 200, 60, cached=1),
    answered(500, 1000, 60),
    answered(1200, 100, 60, nodes=(NodeState.FAILED,), outcome=Outcome.REJECTED),
    failed(1300, 1000, Outcome.TIMEOUT),
    answered(2450, 50, 60, due_ms=2400),
    dropped(2600),
]


def sender_at(at_ms: int, cpu_s: float) -> SenderReading:
    return SenderReading(0, BEGAN_NS + at_ms * MS, cpu_s, 1000 + at_ms)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return make_run(
        tmp_path, REQUESTS, load="open", rate_rps=2.0, users=4, window_ms=(500, 2700), phase_ms=2700,
        readings=[counted([]), counted([60]), counted([60] * 2), counted([60] * 3, cached=1)],
        reading_at_ms=(-1, 999, 1999, 2690),
        sender=[sender_at(0, 1.0), sender_at(1000, 1.5), sender_at(2000, 1.6)],
        server=[ServerReading(BEGAN_NS + at * MS, at / 2000, 7000, 1, ("x",)) for at in (10, 1010, 2010)],
    )  # fmt: skip


def test_each_second_is_what_happened_in_it(folder: RunFolder) -> None:
    """Sent where sent, answered where answered, due where due; rates between readings; both processes."""
    series = build_report(folder).phases[0].series
    assert (series.resolution_s, series.began_s, series.window_began_s, series.window_ended_s) == (1, 0.0, 0.5, 2.7)
    assert (series.second, series.covered_s) == ((0.0, 1.0, 2.0), (1.0, 1.0, 0.7))
    assert series.requests_sent_total == (2, 2, 1)
    assert series.answers_total == (1, 2, 2)
    assert (series.errors_total, series.rejected_total, series.dropped_total) == ((0, 0, 1), (0, 1, 0), (0, 0, 1))
    assert series.response_latency_p50_ms == (200.0, 100.0, 100.0)
    assert series.response_latency_p99_ms == (200.0, 1000.0, 1000.0)
    assert series.in_flight_mean == (0.7, 1.3, 0.5)
    assert series.in_flight_by_littles_law == (0.2, 1.1, 1.5)
    assert series.cached_nodes_total == (1, 0, 0)
    assert series.server_nodes_per_s == (1.0, 1.0, round(1 / 0.691, 6))
    assert series.server_node_mean_ms == (60.0, 60.0, 60.0)
    assert series.sender_cpu_share == (None, 0.5, 0.1)
    assert series.server_cpu_share == (None, 0.5, 0.5)
    assert series.server_resident_bytes == (7000.0, 7000.0, 7000.0)


def test_the_folder_has_every_second_as_csv(folder: RunFolder) -> None:
    """series.csv has a row a second, with its phase and whether all of it lay in the window."""
    write_results(build_report(folder), folder)
    rows = list(csv.DictReader(folder.series.open()))
    assert [(row["phase"], row["run_second"], row["in_window"]) for row in rows] == [
        ("closed", "0.0", "0"), ("closed", "1.0", "1"), ("closed", "2.0", "0"),
    ]  # fmt: skip
    assert [row["answers_total"] for row in rows] == ["1", "2", "2"]
    assert rows[0]["sender_cpu_share"] == ""
    assert list(rows[0]) == ["phase", "run_second", "in_window", *COLUMNS]


def test_a_long_phase_is_bounded_in_the_json_and_whole_in_the_folder(tmp_path: Path) -> None:
    """An hour has no more than three hundred points in the report, and each of its seconds in the file."""
    requests = [answered(1000 * second, 100) for second in range(3600)]
    folder = make_run(tmp_path, requests, window_ms=(0, 3_600_000), phase_ms=3_600_000)
    analysis = analyse(folder)
    series = analysis.report.phases[0].series
    assert (series.resolution_s, len(series.second)) == (15, 240)
    assert set(series.answers_total) == {15}
    assert (analysis.series[0].resolution_s, len(analysis.series[0].second)) == (1, 3600)
    text = io.StringIO()
    write_series_csv(["closed"], analysis.series, text)
    assert len(text.getvalue().splitlines()) == 3601


@pytest.mark.parametrize(("seconds", "step"), [(0.5, 1), (300, 1), (301, 2), (86_400, 300), (604_800, 3600)])
def test_a_step_is_the_finest_that_keeps_a_phase_bounded(seconds: float, step: int) -> None:
    """A day is in steps of five minutes, a week in steps of an hour."""
    assert resolution_for(seconds) == step
    assert seconds / step <= MOST_POINTS


def test_a_restart_leaves_a_gap_and_no_negative_rate(tmp_path: Path) -> None:
    """Between readings of two lives of a runtime there is no rate."""
    readings = [counted([60] * 9), counted([60] * 20), counted([60]), counted([60] * 4)]
    folder = make_run(
        tmp_path, REQUESTS[:1], readings=readings, reading_at_ms=(-1, 900, 1900, 2900), phase_ms=3000
    )  # fmt: skip
    series = build_report(folder).phases[0].series
    assert series.server_nodes_per_s == (round(11 / 0.901, 6), None, 3.0)


spans = st.lists(st.tuples(st.integers(0, 4999), st.integers(0, 3000)), min_size=1, max_size=30)


@given(spans, st.sampled_from([1, 2]))
@settings(deadline=None)
def test_in_flight_is_the_time_in_flight_over_the_steps_length(spans: list[tuple[int, int]], step_s: int) -> None:
    """Against each request's overlap with each step, one by one."""
    sent = np.array([began for began, _ in spans], np.int64) * MS
    ended = np.array([min(8000, began + took) for began, took in spans], np.int64) * MS
    count = 8 // step_s
    found = _Requests(_Steps(0, step_s, count, 8.0), made_samples(sent, ended, (None, None))).in_flight()
    for step, mean in enumerate(found):
        low, high = step * step_s * 1000 * MS, (step + 1) * step_s * 1000 * MS
        overlaps = [max(0, min(late, high) - max(early, low)) for early, late in zip(sent, ended, strict=True)]
        assert mean == pytest.approx(sum(overlaps) / (high - low), abs=1e-6)


HOUR_NS = 3_600_000_000_000


@pytest.mark.parametrize("longest_ns", [5_000, 9 * HOUR_NS, 10 * HOUR_NS, 500 * HOUR_NS])
def test_percentiles_of_a_step_are_of_its_own_answers(longest_ns: int) -> None:
    """By nearest rank, however long a request took, and against the plain sort of each step."""
    chance = np.random.default_rng(7)
    sent = np.sort(chance.integers(0, 8_000_000_000, 400))
    took = chance.integers(0, longest_ns, 400) * (chance.random(400) < 0.5) + 1
    steps = _Steps(0, 1, 8, 8.0)
    p50, p99 = _Requests(steps, made_samples(sent, sent + took, (None, None))).percentiles(0.50, 0.99)
    place = steps.place(sent + took)
    for step in range(steps.count):
        own = np.sort(took[place == step]) / 1e6
        for found, q in ((p50, 0.50), (p99, 0.99)):
            assert found[step] == (round(float(own[max(1, math.ceil(q * len(own))) - 1]), 6) if len(own) else None)
