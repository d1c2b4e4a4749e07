"""The catalogue of metrics has every number of a report, and each name leads where it says."""

import json
import math
import re
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec import inspect

from aether_load.analysis.phase.phase_report import PhaseReport
from aether_load.analysis.phase.rows import Row
from aether_load.analysis.phase.searches import SearchReport
from aether_load.analysis.report import Report, build_report
from aether_load.analysis.statistics.distribution import Distribution, Percentile, Share
from aether_load.analysis.statistics.histogram import Interval, QuantileInterval
from aether_load.analysis.verdict.conditions import COUNTED_SHARES, metric_in, read
from aether_load.outputs.formats import formatted
from aether_load.protocol import Outcome
from aether_load.scenario.metrics import ALIASES, METRICS, Metric, find_metric
from aether_load.scenario.threshold import parse_threshold
from rich_run import make_rich_run


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return build_report(make_rich_run(tmp_path_factory.mktemp("rich")))


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """The ways to all numbers of a JSON object that lie in no list."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield ".".join(path)


FORMS = {
    Distribution: "distribution", Percentile: "percentile", Share: "share", Interval: "interval",
    QuantileInterval: "interval",
}  # fmt: skip
KEYS = {"outcomes": [outcome.label for outcome in Outcome]}
"""The keys of a mapping whose type does not say them."""


def named_in(kind: Any, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Yield the name and the form of every number in a type of the report; lists have none."""
    info = kind if isinstance(kind, inspect.Type) else inspect.type_info(kind)
    while isinstance(info, inspect.Metadata | inspect.UnionType):
        info = info.type if isinstance(info, inspect.Metadata) else max(
            info.types, key=lambda part: (not isinstance(part, inspect.NoneType), isinstance(part, inspect.FloatType))
        )  # fmt: skip
    if isinstance(info, inspect.IntType | inspect.FloatType):
        yield ".".join(prefix), "number"
    elif isinstance(info, inspect.StructType) and info.cls in FORMS:
        yield ".".join(prefix), FORMS[info.cls]
    elif isinstance(info, inspect.StructType):
        for field in info.fields:
            yield from named_in(field.type, (*prefix, field.name))
    elif isinstance(info, inspect.DictType):
        keys = info.key_type.values if isinstance(info.key_type, inspect.LiteralType) else KEYS.get(prefix[-1], ())
        for key in keys:
            assert isinstance(key, str)
            yield from named_in(info.value_type, (*prefix, key))


def test_the_catalogue_has_every_number_of_a_report() -> None:
    """With what it is of and its form; a number that is added to the report's types is added to the catalogue."""
    expected = dict.fromkeys(COUNTED_SHARES, ("row", "share"))
    for of, kind, prefix in (("row", Row, ()), ("phase", PhaseReport, ()), ("search", SearchReport, ("search",))):
        for name, form in named_in(kind, prefix):
            if not (of == "phase" and name.split(".")[0] in {"all", "datasets"}):
                expected.setdefault(name, (of, form))
    assert {name: (metric.of, metric.form) for name, metric in METRICS.items() if metric.of != "window"} == expected


@pytest.mark.parametrize("of", ["row", "phase"])
def test_every_number_of_a_report_has_a_name(report: Report, of: str) -> None:
    """Whatever number stands in the JSON of a phase or a row, its name or that of what it is a part of is known."""
    for phase in json.loads(formatted(report, "json"))["phases"]:
        rows = [phase.pop("all"), *phase.pop("datasets")]
        found = {leaf for whole in (rows if of == "row" else [phase]) for leaf in leaves(whole)}
        assert len(found) > 40
        parts = {leaf: {leaf[: match.start()] for match in re.finditer(r"\.", leaf)} | {leaf} for leaf in found}
        assert [leaf for leaf, above in parts.items() if not above & set(METRICS)] == []


def test_every_name_leads_to_a_number_or_to_why_there_is_none(report: Report) -> None:
    """In every phase and row; no name leads nowhere."""
    there = set()
    for phase in report.phases:
        for metric in METRICS.values():
            if metric.of not in {"row", "phase"} or metric.name in COUNTED_SHARES:
                continue
            value, why = read(metric, phase.all if metric.of == "row" else phase)
            assert (value is None) is (why is not None)
            assert why is None or len(why) > 5
            if metric.form == "number" and value is not None:
                assert math.isfinite(value)
            there |= {metric.name} if value is not None else set()
    assert len(there) > 90
    assert {"server.node_time_p99_ms", "correlation.littles_law_ratio", "decomposition_mean_ms.barrier"} <= there


def test_a_metric_says_its_form_unit_and_better_way(report: Report) -> None:
    """Where a row and its phase have one of the same name, the row's is meant; an alias leads to what it stands for."""
    assert METRICS["cached_nodes_total"] == Metric(name="cached_nodes_total", of="row", form="number")
    row = report.phases[0].all
    alias = find_metric("request_latency_ms")
    assert alias is METRICS["response_latency_ms"]
    assert read(alias, row) == (row.response_latency_ms, None)
    assert all(name in METRICS for name in ALIASES.values())
    assert read(METRICS["outcomes.timeout"], row) == (row.outcomes["timeout"], None)
    assert read(METRICS["open_load.achieved_share"], report.phases[0]) == (None, "the load was closed")
    units = ["response_latency_ms", "request_throughput_rps", "tokens_per_s", "accuracy", "error_rate",
             "sender.resident_max_bytes", "cost_per_correct_answer_usd", "tokens_per_correct_answer",
             "steadiness.cut_s", "decomposition_mean_ms.barrier", "correlation.littles_law_ratio",
             "outcomes.timeout"]  # fmt: skip
    assert [(METRICS[name].unit, METRICS[name].better) for name in units] == [
        ("ms", "lower"), ("requests/s", "higher"), ("tokens/s", "higher"), ("share", "higher"), ("share", "lower"),
        ("bytes", "lower"), ("USD", "lower"), ("tokens", "lower"), ("s", None), ("ms", "lower"),
        ("ratio", None), ("", "lower"),
    ]  # fmt: skip


def test_what_a_gate_compares_has_a_better_way() -> None:
    """Otherwise a regression could not be told from a gain."""
    assert [metric.name for metric in METRICS.values() if metric.in_gate and metric.better is None] == []
    assert {metric.of for metric in METRICS.values() if metric.in_search} == {"row"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "littles_law_ratio>1",
            "no metric 'littles_law_ratio'; did you mean 'correlation.littles_law_ratio'?",
        ),
        ("eror_rate<1", "no metric 'eror_rate'; did you mean 'error_rate'?"),
        ("outcomes.timeouts<1", "did you mean 'outcomes.timeout'?"),
        ("unexplained_nodes==0", "'reconciliation.unexplained_nodes_total'"),
        ("cpu_share_max<1", "did you mean 'sender.cpu_share_max' or 'server_process.cpu_share_max'"),
        ("server_total_ms:p(95)<1", "server_total_ms is a number of a gate's windows, which a report does not hold."),
        ("xyz<1", "names are those of the report, as in 'request_throughput_rps' or 'correlation.littles_law_ratio';"),
        ("correlation.overhead_ms<5", "is a distribution: say which point of it, as in correlation.overhead_ms:p(95)."),
        ("correlation.overhead_ms:p(97)<5", "has no p(97); there are p(50), p(90), p(95), p(99), p(99.9)."),
        ("correlation.littles_law_ratio:p(5)<5", "correlation.littles_law_ratio is one number and has no p(5)."),
        ("server.node_time_p95_ms:max<5", "server.node_time_p95_ms is one number and has no max."),
        ("correlation<5", "there is no metric 'correlation';"),
        ("series.second<5", "there is no metric 'series.second';"),
    ],
)
def test_a_number_that_there_is_not(text: str, sentence: str) -> None:
    """One sentence with the nearest names; a name's last part alone is recognised."""
    with pytest.raises(ValueError, match=re.escape(sentence)):
        metric_in(parse_threshold(text))


@pytest.mark.parametrize(
    "text", ["p(97.3)<5", "service_latency_ms:p(12)<5", "correlation.overhead_ms:p(99.9)<5",
             "server.answered_node_time_ms:med<5", "decomposition.barrier.time_ms:max<5"]
)  # fmt: skip
def test_points_of_distributions(text: str) -> None:
    """Any percentile of the latencies, whose samples are there; of others those that a report has."""
    assert metric_in(parse_threshold(text)).form == "distribution"
