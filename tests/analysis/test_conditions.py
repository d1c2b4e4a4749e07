"""Conditions decided on intervals."""

import math
import operator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aether_load.analysis.phase.rows import Terms, build_row
from aether_load.analysis.report import analyse
from aether_load.analysis.statistics.distribution import percentile, wilson
from aether_load.analysis.verdict.conditions import Finding, Measured, decide, judge_condition
from aether_load.protocol import Outcome
from aether_load.rundata.records.record_set import record_parts
from aether_load.rundata.samples.table_reader import read_phases
from aether_load.scenario.threshold import parse_threshold
from folders import answered, failed, make_run

OPERATORS = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip


@given(st.sampled_from(list(OPERATORS)), st.integers(-3, 3), st.integers(-3, 3), st.integers(0, 4), st.booleans())
def test_all_some_or_none_of_an_interval(sign: str, limit: int, low: int, length: int, is_open: bool) -> None:
    """It holds when all numbers of the interval fulfil it, is broken when none does, else is undecided."""
    high = low + length + is_open
    inside = [low + step / 4 for step in range(4 * (high - low) + 1)]
    if is_open:
        inside = inside[:-1]
    fulfilled = {OPERATORS[sign](number, limit) for number in inside}
    expected = "undecided" if len(fulfilled) == 2 else "holds" if fulfilled == {True} else "broken"
    number = Measured(value=None if is_open else float(low), low=float(low), high=float(high), is_open=is_open)
    assert decide(parse_threshold(f"max{sign}{limit}"), number).state == expected


@pytest.mark.parametrize(
    ("text", "number", "state", "shown"),
    [
        ("max<5", Measured(value=4.9999), "holds", "4.9999"),
        ("max<5", Measured(value=5.0), "broken", "5"),
        ("requests_total>=2000000", Measured(value=12345678.0), "holds", "12345678"),
        ("p(99)<5", Measured(value=3.0, low=2.0, high=math.inf), "undecided", "3 [2, unbounded]"),
        ("p(99)<5", Measured(value=9.0, low=8.0, high=math.inf), "broken", "9 [8, unbounded]"),
        ("p(99)>5", Measured(value=9.0, low=8.0, high=math.inf), "holds", "9 [8, unbounded]"),
        ("p(1)>5", Measured(value=9.0, low=-math.inf, high=9.0), "undecided", "9 [unbounded, 9]"),
        ("server.node_time_p95_ms<101", Measured(low=51.0, high=101.0, is_open=True), "holds", "[51, 101)"),
        ("server.node_time_p95_ms>=101", Measured(low=51.0, high=101.0, is_open=True), "broken", "[51, 101)"),
        ("server.node_time_p95_ms<=51", Measured(low=51.0, high=101.0, is_open=True), "undecided", "[51, 101)"),
        ("server.node_time_p95_ms>10001", Measured(low=10001.0, high=math.inf, is_open=True), "undecided",
         "[10001, unbounded)"),
        ("max<5", Measured(reason="nobody came"), "undecided", ""),
    ],
)  # fmt: skip
def test_what_a_number_decides(text: str, number: Measured, state: str, shown: str) -> None:
    """Ends that belong to an interval count, ends that do not, do not; what nothing bounds may be anything."""
    found = decide(parse_threshold(text), number)
    assert (found.state, found.shown, found.reason) == (state, shown, number.reason)
    assert not any(bound is not None and math.isinf(bound) for bound in (found.low, found.high))


def judged(tmp_path: Path, requests: list[dict[str, Any]], text: str, **more: Any) -> Finding:
    folder = make_run(tmp_path, requests)
    manifest = folder.read_manifest()
    (samples,) = read_phases(record_parts(folder, manifest), manifest.phases, ["piqa"], manifest.node_ids, (0,)).phases
    terms = Terms(interrupted=more.get("interrupted", False))
    return judge_condition(parse_threshold(text), build_row("all", samples, terms=terms), samples, samples.in_window,
                           **more)  # fmt: skip


def test_any_percentile_is_of_all_samples_at_any_confidence(tmp_path: Path) -> None:
    """The same order statistics as everywhere; a wider interval for who looks more often."""
    requests = [answered(place, 60 + place % 97) for place in range(900)]
    values = np.sort(np.array([60.0 + place % 97 for place in range(900)]))
    usual, wide = percentile(values, 0.973), percentile(values, 0.973, 0.999)
    found = judged(tmp_path / "a", requests, "p(97.3)<154")
    assert (found.value, found.low, found.high, found.state) == (usual.value, usual.low, usual.high, "undecided")
    found = judged(tmp_path / "b", requests, "p(97.3)<157", confidence=0.999)
    assert (found.low, found.high, found.state) == (wide.low, wide.high, "holds")
    assert wide.low is not None
    assert usual.low is not None
    assert wide.low < usual.low


def test_shares_of_failures_leave_out_what_an_interrupt_gave_up(tmp_path: Path) -> None:
    """A request that we ended ourselves is no failure of the runtime's; otherwise it is one."""
    requests = [
        *(answered(place, 60) for place in range(8)),
        failed(9, 60, Outcome.TIMEOUT),
        failed(9, 60, Outcome.CANCELLED),
    ]
    found = judged(tmp_path / "a", requests, "error_rate<0.5", interrupted=True)
    share = wilson(1, 9)
    assert share is not None
    assert (found.value, found.low, found.high) == (share.value, share.low, share.high)
    result = wilson(2, 10)
    assert result is not None
    assert judged(tmp_path / "b", requests, "error_rate<0.5").value == result.value
    narrow, wide = wilson(2, 10), wilson(2, 10, 0.999)
    assert wide is not None
    assert narrow is not None
    assert (wide.low < narrow.low, wide.high > narrow.high) == (True, True)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("p(95)<5", "no request was sent in the window"),
        ("error_rate<1", "no request was sent in the window and had its time"),
        ("dropped_rate<1", "there was no request"),
        ("accuracy>0", "no answer was scored: none came, or the rows do not say which option is right"),
        ("goodput_share>0", "the scenario states no goodput_slo"),
    ],
)
def test_without_data_nothing_is_decided(tmp_path: Path, text: str, reason: str) -> None:
    """Undecided, with the row's own reason."""
    found = judged(tmp_path, [], text)
    assert (found.state, found.value, found.reason) == ("undecided", None, reason)
    assert found.sentence == f"{text}: nothing to decide on: {reason}"


def test_one_value_has_no_spread(tmp_path: Path) -> None:
    """The spread of one request is not zero: it is not known."""
    assert judged(tmp_path, [answered(0, 60)], "stddev<5").reason == "one value alone has no spread"
    found = analyse(make_run(tmp_path / "b", [answered(0, 60)]))
    assert found.report.phases[0].all.response_latency_ms is not None
    assert found.report.phases[0].all.response_latency_ms.stddev is None
