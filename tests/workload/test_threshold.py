"""Conditions in k6's grammar."""

from __future__ import annotations

import operator
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aether_load.analysis.statistics.distribution import wilson
from aether_load.errors import UsageError
from aether_load.scenario.command_line.scenario_options import with_asked_thresholds
from aether_load.scenario.duration import Seconds
from aether_load.scenario.load import from_plain, load_scenario, to_plain
from aether_load.scenario.metrics import AGGREGATIONS, aggregation_meant
from aether_load.scenario.scenario import Scenario
from aether_load.scenario.threshold import (
    REQUESTS_OF_SHARE,
    Measure,
    Operator,
    RequestLimit,
    Threshold,
    ThresholdPlan,
    parse_request_limit,
    parse_threshold,
    quoted,
    undecidable,
    with_conditions,
)

OPERATORS = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


def threshold(text: str, *, operator: Operator, value: float, **more: Any) -> Threshold:
    measure = Measure(**{"where": (), "metric": "response_latency_ms", "aggregation": None, "quantile": None, **more})
    return Threshold(text, measure, operator, value)


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("p(95)<500", {"aggregation": "p", "quantile": 0.95, "operator": "<", "value": 500.0}),
        (" p( 99.9 ) <= 1.5e3 ", {"aggregation": "p", "quantile": 0.999, "operator": "<=", "value": 1500.0}),
        ("avg<20", {"aggregation": "mean", "operator": "<", "value": 20.0}),
        ("med<20", {"aggregation": "p50", "operator": "<", "value": 20.0}),
        ("error_rate<0.01", {"metric": "error_rate", "operator": "<", "value": 0.01}),
        ("ok_throughput_rps>=-1", {"metric": "ok_throughput_rps", "operator": ">=", "value": -1.0}),
        (
            "service_latency_ms:p(50)!=7",
            {"metric": "service_latency_ms", "aggregation": "p", "quantile": 0.5, "operator": "!=", "value": 7.0},
        ),
        (
            "warm#2:hellaswag:request_latency_ms:max==7",
            {
                "where": ("warm#2", "hellaswag"),
                "metric": "response_latency_ms",
                "aggregation": "max",
                "operator": "==",
                "value": 7.0,
            },
        ),
        ("hellaswag:accuracy>0.5", {"where": ("hellaswag",), "metric": "accuracy", "operator": ">", "value": 0.5}),
        ("piqa:p(95)<5", {"where": ("piqa",), "aggregation": "p", "quantile": 0.95, "operator": "<", "value": 5.0}),
        (
            "日本 語 : correlation.overhead_ms : max < 5",
            {
                "where": ("日本 語",),
                "metric": "correlation.overhead_ms",
                "aggregation": "max",
                "operator": "<",
                "value": 5.0,
            },
        ),
        (
            "overhead_ms:max<5",
            {"metric": "correlation.overhead_ms", "aggregation": "max", "operator": "<", "value": 5.0},
        ),
        ("lost.figure<5", {"metric": "lost.figure", "operator": "<", "value": 5.0}),
    ],
)
def test_what_a_condition_says(text: str, parsed: dict[str, Any]) -> None:
    """Where, which metric under its own name, compared how, with what; the text without its outer spaces."""
    expected = threshold(text.strip(), **parsed)
    assert (parse_threshold(text), parse_threshold(text).text) == (expected, expected.text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "p(95)",
        "<500",
        "p(95)<",
        "p(95)<fast",
        "p95 <",
        "p(95)=500",
        "p()<5",
        "a:b<1;",
        "p(-1)<5",
        "p(95)<nan",
        "nan",
        ":p(95)<5",
        "a::p(95)<5",
        "p(95)<5<6",
        "p(95)<>5",
        "p(95)<0x10",
        "p(95)<1_000",
        "p(95)<\uff15",
        "p(\uff19)<5",
        "\uff50(95)<5",
        ".a<1",
        "a..b<1",
        "a.<1",
        "p(95) 5 < 6",
        "<" * 200,
    ],
)
def test_what_is_no_condition(text: str) -> None:
    """The sentence shows two that are."""
    sentence = 'expected a metric and a limit, as in "p(95)<500" or "error_rate<0.01".'
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        parse_threshold(text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("p(0)<5", "there is no p(0): a percentile lies between 0 and 100."),
        ("p(100)<5", "there is no p(100): a percentile lies between 0 and 100."),
        ("p(200)<1", "there is no p(200): a percentile lies between 0 and 100."),
        (
            "p(99.99999999999999999999)<1",
            "there is no p(99.99999999999999999999): a percentile lies between 0 and 100.",
        ),
        ("p(95)<1e999", "1e999 is more than any number of a report can be."),
        ("p(95)<" + "9" * 9_994, "it has 10000 characters, of 200 that a condition may have."),
        ("a:b:c:accuracy<5", "before the metric there is room for a phase and a dataset, no more."),
    ],
)
def test_a_condition_that_asks_for_too_much(text: str, sentence: str) -> None:
    """Read, and refused."""
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        parse_threshold(text)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("p95", "p(95)"),
        ("P99", "p(99)"),
        ("p99_9", "p(99.9)"),
        ("p99.9", "p(99.9)"),
        ("p999", "p(99.9)"),
        ("p5", "p(5)"),
        ("median", "med"),
        ("average", "avg"),
        ("p100", None),
        ("piqa", None),
    ],
)
def test_a_percentile_in_another_notation_is_recognised(name: str, meant: str | None) -> None:
    """As it is written in other tools' reports."""
    assert aggregation_meant(name) == meant


def test_conditions_of_one_meaning_are_equal() -> None:
    """However they are written; and each keeps its own text."""
    same = ["p(95)<500", " response_latency_ms : p( 95.0 ) < 5e2", "request_latency_ms:p(95)<500.0"]
    assert len({parse_threshold(text) for text in same}) == 1
    assert parse_threshold(same[1]).text == "response_latency_ms : p( 95.0 ) < 5e2"
    others = ["p(95)<=500", "p(95)<501", "p(96)<500", "max<500", "piqa:p(95)<500", "service_latency_ms:p(95)<500"]
    assert len({parse_threshold(text) for text in [*same, *others]}) == 1 + len(others)


SHARE_BELOW = (
    "no number of requests decides that: the interval of a share always ends above 0. Give a limit above 0, as in "
    "NAME<0.01, which 381 requests decide when it is 0 of them"
)
SHARE_ABOVE = (
    "no number of requests decides that: the interval of a share always begins below 1. Give a limit below 1, as in "
    "NAME>0.99, which 381 requests decide when it is all of them."
)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("error_rate==0", SHARE_BELOW + "; for no failure at all, say max_error_rate = 0."),
        ("error_rate<=0", SHARE_BELOW + "; for no failure at all, say max_error_rate = 0."),
        ("error_rate<0", SHARE_BELOW + "; for no failure at all, say max_error_rate = 0."),
        ("closed:piqa:rejected_rate<=0.0", SHARE_BELOW + "."),
        ("accuracy>=1", SHARE_ABOVE),
        ("goodput_share==1", SHARE_ABOVE),
        ("accuracy>1", SHARE_ABOVE),
        (
            "accuracy==0.5",
            (
                "no number of requests decides that: accuracy is an interval, which is never a single number. Give a "
                "lower or an upper limit, as in accuracy<=0.5."
            ),
        ),
        (
            "p(95)==5",
            (
                "no number of requests decides that: response_latency_ms is an interval, which is never a single "
                "number. Give a lower or an upper limit, as in p(95)<=5."
            ),
        ),
        (
            "server.node_time_p99_ms==50",
            (
                "no number of requests decides that: server.node_time_p99_ms is an interval, which is never a single "
                "number. Give a lower or an upper limit, as in server.node_time_p99_ms<=50."
            ),
        ),
    ],
)
def test_what_no_number_of_requests_can_decide_is_refused_with_advice(text: str, sentence: str, tmp_path: Path) -> None:
    """In a scenario, on the command line, and of a run that has been."""
    condition = parse_threshold(text)
    name = text[: text.index(condition.operator)]
    expected = sentence.replace("NAME", name)
    assert undecidable(condition) == expected
    with pytest.raises(UsageError) as refusal:
        scenario_with(tmp_path, f'thresholds = ["{text}"]', name="closed")
    assert str(refusal.value) == f"Scenario {tmp_path / 'x.toml'}: thresholds.0.condition = {text!r}: {expected}"
    with pytest.raises(UsageError) as refusal:
        with_asked_thresholds(scenario_with(tmp_path, "", name="closed"), [text])
    assert str(refusal.value) == f"--threshold {text!r}: {expected}"


@pytest.mark.parametrize(
    "text",
    [
        "error_rate<0.01", "error_rate<=1e-9", "error_rate!=0", "error_rate>0", "accuracy>0.999", "accuracy<1",
        "outcomes.timeout==0", "requests_total==400", "max==5", "p(99)!=5", "p(99)<=0",
        "reconciliation.unexplained_nodes_total==0", "server.node_time_p99_ms<=50",
    ],
)  # fmt: skip
def test_what_some_number_of_requests_decides_is_asked(text: str, tmp_path: Path) -> None:
    """Counts have no interval and may be compared with a single number; any limit inside (0, 1) can be cleared."""
    assert undecidable(parse_threshold(text)) is None
    assert [str(plan.condition) for plan in scenario_with(tmp_path, f'thresholds = ["{text}"]').thresholds] == [text]


def test_the_number_of_requests_in_the_advice_is_the_smallest_that_decides() -> None:
    """Of a share of 0, by the same interval that a report holds."""
    found, fewer = wilson(0, REQUESTS_OF_SHARE), wilson(0, REQUESTS_OF_SHARE - 1)
    assert found is not None
    assert fewer is not None
    assert found.high < 0.01 <= fewer.high


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("response_latency_ms", "expected"),
        ("piqa:response_latency_ms<5", "it is of every request, so there is no 'piqa' before it; expected"),
        ("error_rate<0.1", "'error_rate' is not known of each request by itself; expected"),
        ("correlation.overhead_ms<5", "'correlation.overhead_ms' is not known of each request by itself; expected"),
        ("p(95)<5", "a request has no p: it has one latency; expected"),
        ("service_latency_ms>5", "'>' is no upper limit; expected"),
        ("service_latency_ms<0", "no request takes 0 ms; expected"),
    ],
)
def test_a_goodput_slo_is_a_limit_on_each_requests_latency(text: str, sentence: str, tmp_path: Path) -> None:
    """Any other condition is refused with an example."""
    example = ' a limit on the latency of each request, as in "response_latency_ms<500".'
    with pytest.raises(ValueError, match=r".") as refusal:
        parse_request_limit(text)
    assert str(refusal.value) == sentence + example
    with pytest.raises(UsageError) as refused:
        scenario_with(tmp_path, f'goodput_slo = "{text}"')
    assert str(refused.value) == f"Scenario {tmp_path / 'x.toml'}: goodput_slo = {text!r}: {sentence}{example}"


def test_a_goodput_slo_is_read_once() -> None:
    """By either latency, under whichever name."""
    limit = parse_request_limit("request_latency_ms<=250")
    assert isinstance(limit, RequestLimit)
    assert (limit.metric, limit.operator, limit.value) == ("response_latency_ms", "<=", 250.0)


@given(
    st.sampled_from(list(OPERATORS)),
    st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: round(value, 3)),
    st.floats(-1e6, 1e6, allow_nan=False),
)
def test_holding_is_pythons_own_comparison(sign: str, limit: float, number: float) -> None:
    """Each operator means what it means everywhere."""
    for what in (*AGGREGATIONS, "p(99)"):
        parsed = parse_threshold(f"{what}{sign}{limit!r}")
        assert (parsed.operator, parsed.value) == (sign, limit)
        assert parsed.holds(number) == OPERATORS[sign](number, limit)


@given(st.text(max_size=250))
def test_no_text_is_more_than_refused(text: str) -> None:
    """Whatever is written there is a condition or a ValueError with a sentence."""
    try:
        parsed = parse_threshold(text)
    except ValueError:
        return
    assert parse_threshold(parsed.text) == parsed


def test_a_condition_in_a_sentence_is_never_longer_than_one_can_read() -> None:
    """What is too long is shown by its beginning."""
    assert quoted("p(95)<5") == "'p(95)<5'"
    assert quoted("x" * 10_000) == "'" + "x" * 40 + "…'"


def test_conditions_of_a_command_line_stand_behind_the_scenarios_once_each() -> None:
    """One that is there already, in whatever spacing, is not asked twice, and keeps its keys."""
    plan = ThresholdPlan(condition=parse_threshold("p(95)<500"), abort_on_fail=True)
    asked = with_conditions((plan,), ["accuracy>0.5", " p( 95.0 ) < 5e2", "accuracy>0.50"])
    assert asked == (plan, ThresholdPlan(condition=parse_threshold("accuracy>0.5")))
    assert [str(plan.condition) for plan in asked] == ["p(95)<500", "accuracy>0.5"]
    with pytest.raises(ValueError, match=re.escape("'p(95)<': expected a metric")):
        with_conditions((), ["p(95)<"])


def scenario_with(tmp_path: Path, text: str, name: str = "") -> Scenario:
    path = tmp_path / "x.toml"
    path.write_text(f'{text}\n[[phases]]\nname = "{name}"\npasses = 1\n')
    return load_scenario(path)


def test_conditions_are_written_as_text_and_read_again(tmp_path: Path) -> None:
    """A run's folder keeps what the user wrote, in thresholds, goodput and searches, and reads the same meaning."""
    text = (
        'thresholds = ["piqa:p( 95 )<5", "error_rate<0.1"]\ngoodput_slo = "request_latency_ms<9"\n'
        '[[phases]]\nname = "most"\nfind = "max_users"\nslo = ["p(50)<70", "request_latency_ms:max<5"]'
    )
    scenario = scenario_with(tmp_path, text)
    plain = to_plain(scenario)
    assert [plan["condition"] for plan in plain["thresholds"]] == ["piqa:p( 95 )<5", "error_rate<0.1"]
    assert (plain["goodput_slo"], plain["phases"][0]["slo"]) == (
        "request_latency_ms<9", ("p(50)<70", "request_latency_ms:max<5"),
    )  # fmt: skip
    assert from_plain(plain) == scenario


def test_a_threshold_is_a_text_or_a_table(tmp_path: Path) -> None:
    """Both are resolved to a table with every key, which is what the run's folder keeps."""
    plain = to_plain(scenario_with(tmp_path, 'thresholds = ["p(95)<5", {condition = "max<9", abort_on_fail = true}]'))
    assert plain["thresholds"] == (
        {"condition": "p(95)<5", "abort_on_fail": False, "delay_abort_eval": 0.0},
        {"condition": "max<9", "abort_on_fail": True, "delay_abort_eval": 0.0},
    )
    tables = '[[thresholds]]\ncondition = "max<9"\nabort_on_fail = true\ndelay_abort_eval = "1m30s"'
    (plan,) = scenario_with(tmp_path, tables).thresholds
    assert plan == ThresholdPlan(condition=parse_threshold("max<9"), abort_on_fail=True, delay_abort_eval=Seconds(90))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('thresholds = ["p(95)<"]', "thresholds.0.condition = 'p(95)<': expected a metric and a limit"),
        ('thresholds = ["max<1", "max<1 "]', "thresholds.1: 'max<1' stands there twice."),
        (
            'thresholds = "max<1"',
            "thresholds = 'max<1': expected a list, got a text; write thresholds = [\"p(95)<500\", ",
        ),
        ("thresholds = [5]", "thresholds.0 = 5: expected a table, got a whole number; write thresholds"),
        ("[[thresholds]]\nabort_on_fail = true", "key thresholds.0.condition is missing."),
        (
            '[[thresholds]]\nconditon = "max<1"',
            "unknown key thresholds.0.conditon; did you mean 'condition'?",
        ),
        (
            '[[thresholds]]\ncondition = "max<1"\ndelay_abort_eval = "9s"',
            "thresholds.0.delay_abort_eval: it is how long abort_on_fail waits",
        ),
        (
            '[[thresholds]]\ncondition = "max<1"\nabort_on_fail = true\ndelay_abort_eval = "-9s"',
            "thresholds.0.delay_abort_eval = '-9s': expected a duration of zero or more",
        ),
        (f'thresholds = ["{"p" * 10_000}<1"]', "it has 10002 characters, of 200 that a condition may have."),
        (
            "[[thresholds]]\ncondition = 5",
            'thresholds.0.condition = 5: expected a text, got a whole number; write condition = "p(95)<500".',
        ),
        ('thresholds = ["piqa:acuracy>1"]', "thresholds.0.condition = 'piqa:acuracy>1': there is no metric 'acuracy'"),
    ],
)
def test_what_is_wrong_in_a_scenario_is_said_with_its_place(tmp_path: Path, text: str, sentence: str) -> None:
    """File, key and value, in one sentence that can be read."""
    with pytest.raises(UsageError) as refusal:
        scenario_with(tmp_path, text)
    assert sentence in str(refusal.value)
    assert "x.toml" in str(refusal.value)
    assert len(str(refusal.value)) < 1000
