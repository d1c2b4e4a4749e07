"""Conditions in k6's grammar."""

from __future__ import annotations

import operator
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aether_load.workload.threshold import (
    AGGREGATIONS,
    LATENCIES,
    PLAIN,
    SHARES,
    Threshold,
    metric_mistake,
    parse_threshold,
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
    ],
)
def test_what_a_condition_says(text, parsed):
    """Where, which number, compared how, with what."""
    assert parse_threshold(text) == threshold(text.strip(), **parsed)
    assert metric_mistake(parse_threshold(text)) is None


@pytest.mark.parametrize(
    "text",
    ["", "p(95)", "<500", "p(95)<", "p(95)<fast", "p95 <", "p(95)=500", "p()<5", "a:b<1;", "p(-1)<5", "p(95)<nan"],
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
