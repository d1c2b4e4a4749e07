"""The names of a report's numbers follow from its types, and lead where they say."""

import json
import math
import re

import pytest

from aether_load.analysis.report import build_report
from aether_load.analysis.statistics.distribution import Distribution, Share
from aether_load.analysis.verdict.metric_catalog import COUNTED_SHARES, Number, number_of, numbers, read
from aether_load.outputs.formats import formatted
from aether_load.scenario.threshold import ALIASES, LATENCIES, PLAIN, SHARES, parse_threshold
from rich_run import make_rich_run


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return build_report(make_rich_run(tmp_path_factory.mktemp("rich")))


def leaves(value, path=()):
    """The ways to all numbers of a JSON object that lie in no list."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield ".".join(path)


@pytest.mark.parametrize("of", ["row", "phase"])
def test_every_number_of_a_report_has_a_name(report, of):
    """Whatever number stands in the JSON of a phase or a row, its name or that of what it is a part of is known."""
    names = set(numbers())
    for phase in json.loads(formatted(report, "json"))["phases"]:
        rows = [phase.pop("all"), *phase.pop("datasets")]
        found = {leaf for whole in (rows if of == "row" else [phase]) for leaf in leaves(whole)}
        assert len(found) > 40
        parts = {leaf: {leaf[: match.start()] for match in re.finditer(r"\.", leaf)} | {leaf} for leaf in found}
        assert [leaf for leaf, above in parts.items() if not above & names] == []


def test_every_name_leads_to_a_number_or_to_why_there_is_none(report):
    """In every phase and row; no name leads nowhere."""
    there = set()
    for phase in report.phases:
        for number in numbers().values():
            if number.of == "search" or number.name in COUNTED_SHARES:
                continue
            value, why = read(number, phase.all if number.of == "row" else phase)
            assert (value is None) is (why is not None)
            assert why is None or len(why) > 5
            if number.form == "number" and value is not None:
                assert math.isfinite(value)
            there |= {number.name} if value is not None else set()
    assert len(there) > 90
    assert {"server.node_time_p99_ms", "correlation.littles_law_ratio", "decomposition_mean_ms.barrier"} <= there


def test_what_searches_and_alarms_ask_for_has_a_name():
    """The short list that the workload knows by itself is part of the whole one."""
    assert set(numbers()) >= {*LATENCIES, *SHARES, *PLAIN, *ALIASES, *COUNTED_SHARES}
    assert {name for name in numbers() if name.startswith("search.")} == {
        "search.gap", "search.largest_held", "search.smallest_not_held",
    }  # fmt: skip


def test_a_number_says_its_form_and_its_way(report):
    """Where a row and its phase have one of the same name, the row's is meant; an alias leads to what it stands for."""
    assert numbers()["cached_nodes_total"] == Number("cached_nodes_total", "row", "number", ("cached_nodes_total",))
    alias = numbers()["request_latency_ms"]
    assert alias == Number("request_latency_ms", "row", "distribution", ("response_latency_ms",))
    row = report.phases[0].all
    assert read(alias, row) == (row.response_latency_ms, None)
    assert isinstance(row.response_latency_ms, Distribution)
    assert isinstance(read(numbers()["goodput_share"], row)[0], Share)
    assert read(numbers()["outcomes.timeout"], row) == (row.outcomes["timeout"], None)
    assert read(numbers()["open_load.achieved_share"], report.phases[0]) == (None, "the load was closed")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "littles_law_ratio>1",
            "no number 'littles_law_ratio' in a report; did you mean 'correlation.littles_law_ratio'?",
        ),
        ("eror_rate<1", "no number 'eror_rate' in a report; did you mean 'error_rate'?"),
        ("outcomes.timeouts<1", "did you mean 'outcomes.timeout'?"),
        ("unexplained_nodes==0", "'reconciliation.unexplained_nodes_total'"),
        ("cpu_share_max<1", "did you mean 'sender.cpu_share_max' or 'server_process.cpu_share_max'"),
        ("xyz<1", "names are those of the report, as in 'request_throughput_rps' or 'correlation.littles_law_ratio';"),
        ("correlation.overhead_ms<5", "is a distribution: say which point of it, as in correlation.overhead_ms:p(95)."),
        ("correlation.overhead_ms:p(97)<5", "has no p(97); there are p(50), p(90), p(95), p(99), p(99.9)."),
        ("correlation.littles_law_ratio:p(5)<5", "correlation.littles_law_ratio is one number and has no p(5)."),
        ("server.node_time_p95_ms:max<5", "server.node_time_p95_ms is one number and has no max."),
        ("correlation<5", "there is no number 'correlation' in a report"),
        ("series.second<5", "there is no number 'series.second' in a report"),
    ],
)
def test_a_number_that_there_is_not(text, sentence):
    """One sentence with the nearest names; a name's last part alone is recognised."""
    with pytest.raises(ValueError, match=re.escape(sentence)):
        number_of(parse_threshold(text))


@pytest.mark.parametrize(
    "text", ["p(97.3)<5", "service_latency_ms:p(12)<5", "correlation.overhead_ms:p(99.9)<5",
             "server.answered_node_time_ms:med<5", "decomposition.barrier.time_ms:max<5"]
)  # fmt: skip
def test_points_of_distributions(text):
    """Any percentile of the latencies, whose samples are there; of others those that a report has."""
    assert number_of(parse_threshold(text)).form == "distribution"
