"""What the sender itself may have added to latencies: percentiles as intervals, and all that is decided on them."""

import csv
import html
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aether_load.analysis.report import Report, build_report
from aether_load.analysis.statistics.distribution import QUANTILES, Percentile, distribution, is_stalled, percentile
from aether_load.analysis.verdict.probe import ProbeInputs, judge_probe
from aether_load.compare.comparison import Figure
from aether_load.compare.text import figure_text
from aether_load.frames.summary import DATASET_COLUMNS, datasets_frame
from aether_load.outputs.charts.report_charts import report_charts
from aether_load.outputs.details import write_details
from aether_load.outputs.formats import formatted
from aether_load.outputs.formatting import bounded, with_interval
from aether_load.outputs.markdown import write_markdown
from aether_load.outputs.page.html import page_html
from aether_load.outputs.summary import write_summary_csv
from aether_load.outputs.terminal import write_summary
from aether_load.protocol import Outcome
from aether_load.rundata.folder import RunFolder
from aether_load.rundata.run_data import read_run
from aether_load.scenario.load import from_plain
from aether_load.schedule.probe import Judgement
from folders import answered, failed, make_run

TRUE_MS = 10.0
HELD_MS = 25
HOLDS = [(500 * beat + 100, 500 * beat + 100 + HELD_MS, 500 * beat + 101 + HELD_MS) for beat in range(20)]
WINDOW_MS = 10_000


def held_load(
    latency_ms: float = TRUE_MS, holds: list[tuple[int, int, int]] = HOLDS, **more: Any
) -> list[dict[str, Any]]:
    """A request a ms for 10 s, each answered after 10 ms, and read when the loop runs again; with its true latency."""
    requests = []
    for place in range(WINDOW_MS):
        done = place + latency_ms
        read = next((ended + 0.5 for began, ended, _ in holds if began < done <= ended), done)
        requests.append(answered(place, read - place, int(latency_ms) - 1, **more))
    return requests


def held_run(
    tmp_path: Path,
    *,
    conditions: tuple[str, ...] = (),
    holds: list[tuple[int, int, int]] = HOLDS,
    **options: Any,
) -> RunFolder:
    scenario = {
        "name": "made",
        "phases": [{"name": "closed", "users": 1, "duration": 1.0}],
        "thresholds": [{"condition": condition} for condition in conditions],
        **options.pop("more", {}),
    }
    return make_run(
        tmp_path, held_load(holds=holds), holds=holds, scenario=scenario, window_ms=(0, WINDOW_MS),
        phase_ms=WINDOW_MS + 1000, **options,
    )  # fmt: skip


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Report:
    conditions = ("p(99)<9", "p(99)<15", "p(99)<60", "p(50)<12", "max<20", "max<60", "mean<9", "p(97)<15")
    return build_report(held_run(tmp_path_factory.mktemp("held"), conditions=conditions))


class TestOnePercentile:
    def test_ends_that_are_close_leave_a_point(self) -> None:
        """Up to the larger of 2 % and 0.2 ms; the interval's lower end is of the least latencies all the same."""
        measured = np.full(1000, 10.0)
        assert percentile(measured, 0.5, at_least=measured - 0.2) == Percentile(10.0, 9.8, 10.0, "ok", 9.8, 10.0)
        assert percentile(measured * 10, 0.5, at_least=measured * 10 - 2).value == 100.0

    def test_ends_that_are_apart_are_an_interval(self) -> None:
        measured = np.full(1000, 10.0)
        found = percentile(measured, 0.5, at_least=measured - 0.3)
        assert found == Percentile(None, 9.7, 10.0, "ok", 9.7, 10.0, "sender_stalled")
        assert percentile(measured * 10, 0.5, at_least=measured * 10 - 2.1).value is None

    def test_few_samples_bound_it_from_below_only(self) -> None:
        found = percentile(np.arange(10.0, 20.0), 0.99, at_least=np.arange(10.0))
        assert found == Percentile(None, 8.0, None, "unreliable", 9.0, 19.0, "sender_stalled")
        assert (bounded(found), with_interval(found)) == (">= 9.0", ">= 9.0")

    def test_a_person_reads_both_ends(self) -> None:
        found = percentile(np.full(1000, 28.91), 0.99, at_least=np.full(1000, 12.42))
        assert (bounded(found), with_interval(found)) == ("12.4 to 28.9", "12.4 to 28.9 [12.4, 28.9]")

    @given(
        st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e3), st.floats(0, 1)), min_size=1, max_size=300),
        st.sampled_from(sorted(QUANTILES.values())),
    )
    def test_the_truth_lies_between_the_ends(self, rows: list[tuple[float, float, float]], q: float) -> None:
        """Whatever part of what the sender may have added it did add."""
        true, late, part = (np.array(column) for column in zip(*rows, strict=True))
        measured = true + late * part
        # No latency is below 0: what was sent meanwhile was not answered before.
        found = percentile(np.sort(measured), q, at_least=np.sort(np.maximum(measured - late, 0)))
        exact = percentile(np.sort(true), q)
        assert exact.value is not None
        assert found.at_least - 1e-6 <= exact.value <= found.at_most + 1e-6
        assert (found.value is None) == is_stalled(found.at_least, found.at_most)
        assert found.low is None or (exact.low is not None and found.low <= exact.low + 1e-6)
        assert found.high is None or (exact.high is not None and found.high >= exact.high - 1e-6)

    def test_other_figures_of_a_distribution_are_as_measured(self) -> None:
        found = distribution(np.array([1.0, 2.0, 6.0]), np.array([1.0, 1.0, 1.0]))
        assert found is not None
        assert (found.min, found.mean, found.max, found.p50.at_least, found.p50.at_most) == (1.0, 3.0, 6.0, 1.0, 2.0)


class TestReport:
    def test_a_percentile_is_an_interval_that_holds_the_truth(self, held: Report) -> None:
        """Of 10,000 requests of 10 ms, one in twenty was read up to 25 ms late."""
        latency = held.phases[0].all.response_latency_ms
        assert latency is not None
        assert latency.p50 == Percentile(10.0, 10.0, 10.0, "ok", 10.0, 10.0)
        for point in (latency.p99, latency.p99_9):
            assert (point.value, point.reason) == (None, "sender_stalled")
            assert point.low is not None
            assert point.at_least is not None
            assert point.at_most is not None
            assert point.high is not None
            assert point.low <= point.at_least <= TRUE_MS < 20 < point.at_most <= point.high

    def test_the_senders_part_is_its_own(self, held: Report) -> None:
        """The server took 9 ms and the network 1; what is above that was the sender's, as far as it may be."""
        parts = held.phases[0].decomposition
        assert parts.overhead is not None
        assert parts.overhead.time_ms is not None
        assert parts.overhead.time_ms.max <= 1.0
        assert parts.sender_hold is not None
        assert parts.sender_hold.mean_contribution_ms > 0.5
        assert parts.sender_hold.tail_share is not None
        assert parts.sender_hold.tail_share > 0.5
        total = sum(getattr(parts, name).mean_contribution_ms for name in ("sender_hold", "overhead", "node_path"))
        assert total == pytest.approx(parts.response_latency_mean_ms, abs=1e-3)
        assert held.phases[0].tail_sentence is not None
        assert "answers that the sender may have read late" in held.phases[0].tail_sentence
        assert held.phases[0].tail_sentence.startswith("p99 is from ")

    def test_the_holds_are_told(self, held: Report) -> None:
        holds = held.phases[0].sender_holds
        assert (holds.holds_total, holds.held_ms_total, holds.longest_ms) == (20, 500.0, 25.0)
        assert 400 < holds.late_requests_total < 600

    def test_it_is_a_warning(self, held: Report) -> None:
        (warning,) = [warning for warning in held.warnings if warning.code == "sender_stalled"]
        assert "held 20 times, for up to 25 ms at a time" in warning.message
        assert "p99, p99.9 of latency are known as intervals only" in warning.message
        assert warning.advice

    def test_a_threshold_is_undecided_only_if_its_limit_lies_inside(self, held: Report) -> None:
        """The percentile of the samples, any other one, the largest, and the mean."""
        states = {threshold.condition: threshold.state for threshold in held.thresholds}
        assert states == {
            "p(99)<9": "broken", "p(99)<15": "undecided", "p(99)<60": "holds", "p(50)<12": "holds",
            "max<20": "undecided", "max<60": "holds", "mean<9": "broken", "p(97)<15": "undecided",
        }  # fmt: skip
        (finding,) = next(one for one in held.thresholds if one.condition == "p(99)<15").findings
        assert (finding.value, finding.reason) == (None, "sender_stalled")
        assert "sender_stalled" in finding.sentence
        assert held.verdict.status == "threshold_failed"

    def test_without_a_hold_everything_is_a_point(self, tmp_path: Path) -> None:
        (phase,) = build_report(held_run(tmp_path, holds=[])).phases
        latency = phase.all.response_latency_ms
        assert all(getattr(latency, name).value == 10.0 for name in QUANTILES)
        assert phase.sender_holds.holds_total == 0
        assert phase.decomposition.sender_hold is not None
        assert phase.decomposition.sender_hold.time_ms is None
        curve = phase.latency_curve
        assert curve is not None
        assert curve.response_latency_at_least_ms == curve.response_latency_ms

    def test_curve_and_series_have_both_ends(self, held: Report) -> None:
        (phase,) = held.phases
        curve, series = phase.latency_curve, phase.series
        assert curve is not None
        assert all(
            low <= high for low, high in zip(curve.response_latency_at_least_ms, curve.response_latency_ms, strict=True)
        )
        assert (curve.response_latency_at_least_ms[-1], curve.response_latency_ms[-1] > 30) == (10.0, True)
        p99s = zip(series.response_latency_p99_at_least_ms, series.response_latency_p99_ms, strict=True)
        wide = [(low, high) for low, high in p99s if low is not None and high is not None and high > 10]
        assert all(low <= TRUE_MS < 20 < high for low, high in wide)

    def test_every_output_shows_the_interval(self, held: Report) -> None:
        terminal, details, markdown = io.StringIO(), io.StringIO(), io.StringIO()
        write_summary(held, [], terminal)
        write_details(held, details)
        write_markdown(held, markdown)
        assert held.phases[0].all.response_latency_ms is not None
        p99 = bounded(held.phases[0].all.response_latency_ms.p99)
        assert " to " in p99
        page = page_html(held, report_charts(held), {}, "")
        for text in (terminal.getvalue(), details.getvalue(), html.unescape(markdown.getvalue()), page):
            assert p99 in text
            assert "sender_stalled" in text
            assert "sender held" in text
        assert "the sender's event loop was held 20 times" in details.getvalue()
        assert "what the sender itself may have added" in page
        point = json.loads(formatted(held, "json"))["phases"][0]["all"]["response_latency_ms"]["p99"]
        assert (point["value"], point["reason"]) == (None, "sender_stalled")

    def test_the_csv_has_its_bounds(self, held: Report) -> None:
        out = io.StringIO()
        write_summary_csv(held, out)
        row = next(csv.DictReader(io.StringIO(out.getvalue())))
        assert row["response_latency_p99_ms"] == ""
        assert float(row["response_latency_p99_low_ms"]) <= TRUE_MS < 20 < float(row["response_latency_p99_high_ms"])
        assert row["response_latency_p50_ms"] == "10.0"

    def test_the_frame_has_its_bounds_too_and_says_so(self, held: Report) -> None:
        row = datasets_frame(held).iloc[0]
        assert np.isnan(row["response_latency_p99_ms"])
        assert row["response_latency_p99_low_ms"] <= TRUE_MS < 20 < row["response_latency_p99_high_ms"]
        assert (
            "answers may have been read late, and the next two bound it" in DATASET_COLUMNS["response_latency_p99_ms"]
        )


def test_requests_without_an_answer_were_late_too(tmp_path: Path) -> None:
    """A time-out that was noticed late is not the server's for all of its time."""
    folder = make_run(tmp_path, [failed(0, 40, Outcome.TIMEOUT)], holds=[(20, 39, 41)])
    parts = build_report(folder).phases[0].decomposition
    assert parts.sender_hold is not None
    assert parts.unanswered is not None
    assert (parts.sender_hold.mean_contribution_ms, parts.unanswered.mean_contribution_ms) == (20.0, 20.0)


def test_what_the_server_took_was_not_the_senders(tmp_path: Path) -> None:
    """The hold may reach back to the sending; the server's own time bounds it."""
    folder = make_run(tmp_path, [answered(10, 30, 25)], holds=[(0, 39, 41)], counted_ms=[25])
    (phase,) = build_report(folder).phases
    assert phase.decomposition.sender_hold is not None
    assert phase.decomposition.sender_hold.mean_contribution_ms == 5.0
    assert phase.correlation.overhead_ms is not None
    assert phase.correlation.overhead_ms.p50.at_least == 0.0


def judged(tmp_path: Path, slo: str) -> Judgement:
    phase = {"name": "closed", "find": "max_rate", "slo": [slo], "duration": 1.0, "max_load": 100.0}
    folder = held_run(tmp_path, more={"phases": [phase]})
    manifest = folder.read_manifest()
    data = read_run(folder, manifest, [0])
    return judge_probe(
        ProbeInputs(
            plan=from_plain(manifest.scenario).phases[0], max_error_rate=0.01, samples=data.phases[0],
            record=manifest.phases[0], sender=None, server=None, server_reason="not read",
        )
    )  # fmt: skip


@pytest.mark.parametrize(("slo", "holds"), [("p(99)<15", None), ("p(99)<60", True), ("p(50)<9.5", False)])
def test_a_search_decides_on_the_interval(tmp_path: Path, slo: str, holds: bool | None) -> None:
    """A probe whose limit lies in what the sender added is tried again, and says why."""
    judgement = judged(tmp_path, slo)
    assert judgement.holds is holds
    if holds is None:
        assert judgement.more_decides
        assert "it lies in what the sender itself may have added (sender_stalled)" in judgement.against[0]


def test_a_comparison_of_runs_shows_the_interval() -> None:
    assert figure_text(Figure(None, 9.68, 30.11), 1) == "9.7 to 30.1"
    assert figure_text(Figure(None, 9.68, None), 1) == ">=9.7"
