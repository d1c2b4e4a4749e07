"""A gate whose sender was held: it decides what both ends of the windows' latencies decide."""

import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aether_load.analysis.statistics import paired
from aether_load.analysis.statistics.paired import paired_test
from aether_load.gate.analysis.comparison import compare_sides
from aether_load.gate.analysis.pairs import GatePair
from aether_load.gate.analysis.window import GateWindow
from aether_load.gate.report import GateReport, build_gate_report
from aether_load.gate.text import write_gate_markdown, write_gate_text
from aether_load.scenario.gate_plan import GatePlan, parse_gate_metric
from folders import answered
from gate_folders import make_gate
from property_tests import examples

HOLDS = [(200, 225, 226), (700, 725, 726)]
P97, P50 = "response_latency_ms:p(97)", "response_latency_ms:p(50)"
PLAN = GatePlan(base="a", candidate="b")


def load(latency_ms: float) -> Callable[..., Any]:
    """A request every 5 ms for a second, read late where the sender was held."""

    def requests(_pair: int) -> list[dict[str, Any]]:
        found = []
        for place in range(200):
            sent = 5.0 * place
            done = sent + latency_ms
            read = next((ended + 0.5 for began, ended, _ in HOLDS if began < done <= ended), done)
            found.append(answered(sent, read - sent, int(latency_ms)))
        return found

    return requests


def report_of(tmp_path: Path, candidate_ms: float, **options: Any) -> GateReport:
    folder = make_gate(
        tmp_path, load(10.0), load(candidate_ms), metrics=(P97, P50), holds=HOLDS, scenario={"max_error_rate": 0.01},
        **options,
    )  # fmt: skip
    return build_gate_report(folder)


def test_a_loss_smaller_than_what_the_sender_added_is_not_decided(tmp_path: Path) -> None:
    """p97 lies in what the holds added, p50 does not: the one is undecided, the other a regression."""
    report = report_of(tmp_path, 12.0)
    p97, p50 = report.comparisons
    assert (p97.test.finding, p50.test.finding) == ("inconclusive", "regression")
    assert p97.stalled_windows_total == 58
    assert p97.sentence.startswith(f"{P97}: not decided (sender_stalled): candidate / base lies in [")
    assert p50.stalled_windows_total == 0
    assert [warning.code for warning in report.warnings if warning.code == "sender_stalled"] == ["sender_stalled"]


def test_a_loss_larger_than_what_the_sender_added_is_found(tmp_path: Path) -> None:
    p97, _ = report_of(tmp_path, 60.0).comparisons
    assert p97.test.finding == "regression"
    assert p97.stalled_windows_total > 0


def test_a_window_has_both_ends(tmp_path: Path) -> None:
    """Null with its bounds, in JSON as on the terminal."""
    report = report_of(tmp_path, 12.0)
    window = report.pairs[5].base
    assert window is not None
    assert window.values[P97] is None
    least, most = window.stalled[P97]
    assert (least, most > 12) == (10.0, True)
    assert (window.values[P50], P50 in window.stalled) == (10.0, False)
    terminal, markdown = io.StringIO(), io.StringIO()
    write_gate_text(report, [], terminal)
    write_gate_markdown(report, markdown)
    assert "sender_stalled" in terminal.getvalue()
    assert "sender_stalled" in markdown.getvalue() or "sender&#95;stalled" in markdown.getvalue()


def pairs_of(ends: list[tuple[tuple[float, float], tuple[float, float]]]) -> list[Any]:
    """Pairs whose windows have these ends of p97, a base's and a candidate's each."""

    def window(least: float, most: float) -> GateWindow:
        stalled = {P97: (least, most)} if most > least else {}
        return GateWindow(
            window_s=1.0, requests_total=100, ok_total=100, rejected_total=0, error_rate=0.0, littles_law_ratio=1.0,
            achieved_share=None, cached_nodes_total=0, nodes_told_total=0, trust=None, trust_reason=None,
            values={P97: None if stalled else most}, stalled=stalled, void=None,
        )  # fmt: skip

    return [
        GatePair(pair=place + 2, first="base", base=window(*base), candidate=window(*candidate), not_used=None)
        for place, (base, candidate) in enumerate(ends)
    ]


ENDS = st.tuples(st.floats(8, 14), st.sampled_from([0.0, 0.0, 0.5, 2.0, 6.0])).map(
    lambda pair: (pair[0], pair[0] + pair[1])
)


@settings(max_examples=examples(60))
@given(
    st.lists(st.tuples(ENDS, ENDS), min_size=20, max_size=24),
    st.floats(0.8, 1.5),
    st.lists(st.floats(0, 1), min_size=48, max_size=48),
)
def test_whatever_the_sender_did_add_the_decision_stands(
    ends: list[tuple[tuple[float, float], tuple[float, float]]], slower: float, parts: list[float]
) -> None:
    """A regression is one, and none is none, with any latencies from the ends; only then is it decided."""
    ends = [(base, (low * slower, high * slower)) for base, (low, high) in ends]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paired, "smallest_loss", lambda *_, **__: 0.1)
        comparison = compare_sides(parse_gate_metric(P97), pairs_of(ends), PLAN)
        of_base, of_candidate = (
            [least + (most - least) * part for (least, most), part in zip(side, some, strict=False)]
            for side, some in zip(zip(*ends, strict=True), (parts[:24], parts[24:]), strict=True)
        )
        logs = [math.log(base / candidate) for base, candidate in zip(of_base, of_candidate, strict=True)]
        true = paired_test(logs, margin=PLAN.margin, confidence=PLAN.confidence)
    if comparison.test.finding != "inconclusive":
        assert true.finding == comparison.test.finding
    assert comparison.test.goodness_low is not None
    assert true.goodness_median is not None
    assert comparison.test.goodness_low <= true.goodness_median * 1.000001
    assert comparison.test.goodness_high is not None
    assert comparison.test.goodness_high >= true.goodness_median * 0.999999
