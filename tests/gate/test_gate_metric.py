"""The metrics that builds are compared by: which there are, which way they run, and what is none."""

from typing import Any

import pytest

from aether_load.scenario.gate_plan import GateMetric, parse_gate_metric
from aether_load.scenario.metrics import Better


def metric(text: str, name: str, better: Better, **more: float | str) -> GateMetric:
    fields: dict[str, Any] = {"dataset": None, "aggregation": None, "quantile": None, **more}
    return GateMetric(text=text, metric=name, better=better, **fields)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ok_throughput_rps", metric("ok_throughput_rps", "ok_throughput_rps", "higher")),
        ("p(95)", metric("p(95)", "response_latency_ms", "lower", aggregation="p", quantile=0.95)),
        (
            "piqa:service_latency_ms:mean",
            metric("piqa:service_latency_ms:mean", "service_latency_ms", "lower", dataset="piqa", aggregation="mean"),
        ),
        (
            "request_latency_ms:med",
            metric("request_latency_ms:med", "response_latency_ms", "lower", aggregation="p50"),
        ),
        ("accuracy", metric("accuracy", "accuracy", "higher")),
        ("node_time_ms:max", metric("node_time_ms:max", "server.answered_node_time_ms", "lower", aggregation="max")),
    ],
)
def test_a_number_and_its_better_way(text: str, expected: GateMetric) -> None:
    """Grammar and names are those of thresholds."""
    assert parse_gate_metric(text) == expected


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("ok_throughput", "there is no 'ok_throughput' to compare; did you mean 'ok_throughput_rps'?"),
        (
            "overhead_ms",
            "correlation.overhead_ms is a distribution: say which point of it, as in correlation.overhead_ms:p(95).",
        ),
        ("accuracy:p(95)", "accuracy is one number and has no p(95)."),
        ("service_latency_ms:count", "a count is neither better nor worse when it is higher."),
        ("p95", "there is no 'p95' to compare; did you mean 'p(95)'?"),
        ("a:b:accuracy", "before the metric there is room for a dataset, no more."),
        ("ok_throughput_rps>=5", 'expected a metric, as in "ok_throughput_rps" or "response_latency_ms:p(95)".'),
        ("", 'expected a metric, as in "ok_throughput_rps" or "response_latency_ms:p(95)".'),
        ("p(100)", 'expected a metric, as in "ok_throughput_rps" or "response_latency_ms:p(95)".'),
    ],
)  # fmt: skip
def test_what_is_no_number_is_said_in_a_sentence(text: str, sentence: str) -> None:
    """With the nearest name where there is one."""
    with pytest.raises(ValueError, match=r".") as found:
        parse_gate_metric(text)
    assert str(found.value) == sentence
