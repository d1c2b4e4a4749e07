"""Conditions in k6's grammar."""

from __future__ import annotations

import operator
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aether_load.errors import UsageError
from aether_load.scenario.load import load_scenario, to_plain
from aether_load.scenario.threshold import (
    AGGREGATIONS,
    LATENCIES,
    PLAIN,
    SHARES,
    Threshold,
    ThresholdPlan,
    metric_mistake,
    parse_threshold,
    quoted,
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


def threshold(text, **more):
    return Threshold(
        **{"text": text, "where": (), "metric": "response_latency_ms", "aggregation": None, "quantile": None, **more}
    )


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
                "metric": "request_latency_ms",
                "aggregation": "max",
                "operator": "==",
                "value": 7.0,
            },
        ),
        ("hellaswag:accuracy>0.5", {"where": ("hellaswag",), "metric": "accuracy", "operator": ">", "value": 0.5}),
        (
            "日本 語 : a.b_2.c : max < 5",
            {"where": ("日本 語",), "metric": "a.b_2.c", "aggregation": "max", "operator": "<", "value": 5.0},
        ),
    ],
)
def test_what_a_condition_says(text, parsed):
    """Where, which number, compared how, with what."""
    assert parse_threshold(text) == threshold(text.strip(), **parsed)


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
def test_what_is_no_condition(text):
    """The sentence shows two that are."""
    sentence = 'expected a number of the report and a limit, as in "p(95)<500" or "error_rate<0.01".'
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
def test_a_condition_that_asks_for_too_much(text, sentence):
    """Read, and refused."""
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        parse_threshold(text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("error_rat<1", "there is no metric 'error_rat'; did you mean 'error_rate'?"),
        *(
            (f"{name}<1", f"there is no metric {name!r}; did you mean {meant!r}?")
            for name, meant in [
                ("p95", "p(95)"),
                ("P99", "p(99)"),
                ("p99_9", "p(99.9)"),
                ("p99.9", "p(99.9)"),
                ("p999", "p(99.9)"),
                ("p5", "p(5)"),
                ("median", "med"),
                ("average", "avg"),
            ]
        ),
        ("p100<1", "there is no metric 'p100'; there are " + ", ".join([*LATENCIES, *SHARES, *PLAIN]) + "."),
        ("xyz<1", f"there is no metric 'xyz'; there are {', '.join([*LATENCIES, *SHARES, *PLAIN])}."),
        (
            "service_latency_ms<1",
            "service_latency_ms is a distribution: say which point of it, as in service_latency_ms:p(95).",
        ),
        ("error_rate:p(95)<1", "error_rate is one number and has no p."),
        ("piqa:p(95)<1", "there is no metric 'piqa'; there are " + ", ".join([*LATENCIES, *SHARES, *PLAIN]) + "."),
    ],
)
def test_a_metric_that_there_is_not(text, sentence):
    """With the nearest name, or all of them."""
    assert metric_mistake(parse_threshold(text)) == sentence


@given(
    st.sampled_from(list(OPERATORS)),
    st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: round(value, 3)),
    st.floats(-1e6, 1e6, allow_nan=False),
)
def test_holding_is_pythons_own_comparison(sign, limit, number):
    """Each operator means what it means everywhere."""
    for what in (*AGGREGATIONS, "p(99)"):
        parsed = parse_threshold(f"{what}{sign}{limit!r}")
        assert (parsed.operator, parsed.value) == (sign, limit)
        assert parsed.holds(number) == OPERATORS[sign](number, limit)


@given(st.text(max_size=250))
def test_no_text_is_more_than_refused(text):
    """Whatever is written there is a condition or a ValueError with a sentence."""
    try:
        parsed = parse_threshold(text)
    except ValueError:
        return
    assert parse_threshold(parsed.text) == parsed


def test_a_condition_in_a_sentence_is_never_longer_than_one_can_read():
    """What is too long is shown by its beginning."""
    assert quoted("p(95)<5") == "'p(95)<5'"
    assert quoted("x" * 10_000) == "'" + "x" * 40 + "…'"


def test_conditions_of_a_command_line_stand_behind_the_scenarios_once_each():
    """One that is there already, in whatever spacing, is not asked twice, and keeps its keys."""
    plan = ThresholdPlan(condition="p(95)<500", abort_on_fail=True)
    asked = with_conditions((plan,), ["accuracy>0.5", " p( 95.0 ) < 5e2", "accuracy>0.50"])
    assert asked == (plan, ThresholdPlan(condition="accuracy>0.5"))
    with pytest.raises(ValueError, match=re.escape("'p(95)<': expected a number")):
        with_conditions((), ["p(95)<"])


def scenario_with(tmp_path, text):
    path = tmp_path / "x.toml"
    path.write_text(text + "\n[[phases]]\npasses = 1\n")
    return load_scenario(path)


def test_a_threshold_is_a_text_or_a_table(tmp_path):
    """Both are resolved to a table with every key, which is what the run's folder keeps."""
    plain = to_plain(scenario_with(tmp_path, 'thresholds = ["p(95)<5", {condition = "max<9", abort_on_fail = true}]'))
    assert plain["thresholds"] == (
        {"condition": "p(95)<5", "abort_on_fail": False, "delay_abort_eval": 0.0},
        {"condition": "max<9", "abort_on_fail": True, "delay_abort_eval": 0.0},
    )
    tables = '[[thresholds]]\ncondition = "max<9"\nabort_on_fail = true\ndelay_abort_eval = "1m30s"'
    (plan,) = scenario_with(tmp_path, tables).thresholds
    assert plan == ThresholdPlan(condition="max<9", abort_on_fail=True, delay_abort_eval=90.0)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('thresholds = ["p(95)<"]', "thresholds.0.condition = 'p(95)<': expected a number of the report"),
        ('thresholds = ["max<1", "max<1 "]', "thresholds.1: 'max<1 ' stands there twice."),
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
        (f'thresholds = ["{"p" * 10_000}<1"]', "'" + "p" * 40 + "…': it has 10002 characters"),
    ],
)
def test_what_is_wrong_in_a_scenario_is_said_with_its_place(tmp_path, text, sentence):
    """File, key and value, in one sentence that can be read."""
    with pytest.raises(UsageError) as refusal:
        scenario_with(tmp_path, text)
    assert sentence in str(refusal.value)
    assert "x.toml" in str(refusal.value)
    assert len(str(refusal.value)) < 1000
