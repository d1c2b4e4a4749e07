"""List the metrics that thresholds, searches and gates may name, each with its form, unit and better direction.

`analysis.verdict.conditions` reads the values of these metrics from a report, and `gate.value` from a window.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Literal, get_args

import msgspec

from aether_load.protocol import Outcome

Of = Literal["row", "phase", "search", "window"]
Form = Literal["number", "share", "distribution", "percentile", "interval"]
Better = Literal["higher", "lower"]

AGGREGATIONS = ("min", "max", "mean", "avg", "med", "stddev", "count")
REPORTED_QUANTILES = (0.5, 0.9, 0.95, 0.99, 0.999)
"""The percentiles of a distribution that a report holds without the samples."""
DEFAULT_METRIC = "response_latency_ms"
ALIASES = {
    "request_latency_ms": DEFAULT_METRIC,
    "throughput": "ok_throughput_rps",
    "overhead_ms": "correlation.overhead_ms",
    "node_time_ms": "server.answered_node_time_ms",
}
"""Other words for a metric."""
_LIKE_A_PERCENTILE = re.compile(r"p_?([0-9]{1,2})(?:[._]?([1-9]|9+))?", re.IGNORECASE)
_LIKE_AN_AGGREGATION = {"average": "avg", "median": "med", "maximum": "max", "minimum": "min"}
PartName = Literal[
    "start_delay", "sender_hold", "overhead", "scheduler", "barrier", "node_path", "undivided_server", "unanswered"
]
PARTS: tuple[PartName, ...] = get_args(PartName)
"""The parts that `analysis.latency.decomposition` divides a response latency into."""
_UNITS = {
    "_ms": "ms", "_ms_total": "ms", "_s": "s", "_rps": "requests/s", "_per_s": "tokens/s", "_bytes": "bytes",
    "_usd": "USD", "_rate": "share", "_share": "share", "_ratio": "ratio", "accuracy": "share",
    "tokens_per_correct_answer": "tokens",
}  # fmt: skip
_IN_GATE = (
    "response_latency_ms", "service_latency_ms", "correlation.overhead_ms", "server_total_ms",
    "server.answered_node_time_ms", "request_throughput_rps", "ok_throughput_rps", "goodput_rps", "tokens_per_s",
    "accuracy", "token_cost_mean",
)  # fmt: skip
_IN_SEARCH = (
    "response_latency_ms", "service_latency_ms", "error_rate", "rejected_rate", "dropped_rate", "accuracy",
    "request_throughput_rps", "ok_throughput_rps", "requests_total", "ok_total", "tokens_total",
)  # fmt: skip
_MOST_NEAR = 3


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """A number by its name.

    `of` is what it is measured of: the requests of a phase, all or a dataset's ("row"), a whole phase, a search, or a
    window of a gate. A distribution needs an aggregation; the other forms are one number, with an interval where the
    form is a share, a percentile or an interval. `better` is None where neither direction is. `in_gate` and
    `in_search` tell whether a gate compares it and whether the SLO of a search may name it.
    """

    name: str
    of: Of
    form: Form
    better: Better | None = None
    in_gate: bool = False
    in_search: bool = False

    @property
    def unit(self) -> str:
        """Return the unit, which the name ends in; a count has none."""
        # A part of "decomposition_mean_ms" has the unit of the whole.
        name = self.name.split(".")[0] if self.name.startswith("decomposition_mean_ms.") else self.name
        endings = sorted(_UNITS, key=len, reverse=True)
        return next((_UNITS[ending] for ending in endings if name.endswith(ending)), "")

    @property
    def has_samples(self) -> bool:
        """Tell whether it is a latency of requests, of which every percentile can be taken."""
        return self.of == "row" and self.form == "distribution"


_OWN_OF_PART: tuple[tuple[Form, Better | None, str], ...] = (
    ("distribution", "lower", "time_ms"),
    ("number", "lower", "mean_contribution_ms"),
    ("number", None, "mean_share tail_share variance_share resolution_ms"),
)
_FAILURES = " ".join(outcome.label for outcome in Outcome if outcome is not Outcome.OK)
_CATALOGUE: tuple[tuple[Of, Form, Better | None, str, str], ...] = (
    ("row", "distribution", "lower", "", "response_latency_ms service_latency_ms"),
    ("row", "share", "lower", "", "error_rate rejected_rate dropped_rate"),
    ("row", "share", "higher", "", "goodput_share accuracy"),
    ("row", "number", "higher", "", "request_throughput_rps ok_throughput_rps goodput_rps tokens_per_s"),
    ("row", "number", "higher", "", "requests_total ok_total outcomes.ok server_time_share"),
    ("row", "number", "lower", "outcomes.", _FAILURES),
    ("row", "number", "lower", "", "unanswered_total tokens_per_correct_answer cost_per_correct_answer_usd"),
    ("row", "number", None, "", "tokens_total cached_nodes_total uncached_nodes_total"),
    ("row", "number", "lower", "decomposition_mean_ms.", " ".join(PARTS)),
    ("phase", "number", None, "", "repeat users window_s requests_outside_window_total"),
    ("phase", "number", "higher", "achieved_load.", "asked reached"),
    ("phase", "number", None, "", "latency_curve.requests_total server.nodes_total"),
    ("phase", "interval", "lower", "server.node_time_", "mean_ms p50_ms p90_ms p95_ms p99_ms"),
    ("phase", "number", None, "server.", "node_concurrency"),
    ("phase", "distribution", "lower", "", "server.answered_node_time_ms correlation.overhead_ms"),
    ("phase", "number", None, "reconciliation.", "answered_nodes_total counted_nodes_total"),
    ("phase", "number", None, "reconciliation.", "answered_node_time_ms counted_node_time_ms readings_total"),
    ("phase", "number", "lower", "reconciliation.", "unexplained_nodes_total unexplained_node_time_ms"),
    ("phase", "number", "lower", "reconciliation.", "unread_nodes_at_most"),
    ("phase", "number", "lower", "reconciliation.", "readings_unreadable_total readings_behind_total"),
    ("phase", "number", "higher", "correlation.", "server_time_share tail_server_share server_variance_share"),
    ("phase", "number", None, "correlation.", "littles_law_ratio"),
    ("phase", "number", None, "decomposition.", "requests_total divided_requests_total tail_requests_total"),
    ("phase", "number", "lower", "decomposition.", "response_latency_mean_ms"),
    ("phase", "percentile", "lower", "decomposition.", "response_latency_p99_ms"),
    ("phase", "number", "higher", "decomposition.", "parallel_speedup"),
    ("phase", "number", None, "decomposition.", "parallel_speedup_bound"),
    ("phase", "number", "higher", "open_load.", "achieved_rps achieved_share"),
    ("phase", "number", None, "open_load.", "target_rps due_rps"),
    ("phase", "number", "lower", "open_load.", "dropped_total waiting_at_middle_total waiting_at_end_total"),
    ("phase", "number", None, "steadiness.", "cut_s rate_before_rps rate_after_rps"),
    ("phase", "number", "lower", "sender.", "cpu_share_mean cpu_share_max resident_max_bytes master_cpu_share_max"),
    ("phase", "number", "lower", "server_process.", "cpu_share_mean cpu_share_max resident_max_bytes"),
    ("phase", "number", "lower", "sender_holds.", "holds_total held_ms_total longest_ms"),
    ("phase", "number", "lower", "sender_holds.", "late_requests_total late_max_ms"),
    ("phase", "number", None, "", "sender.processes_total server_process.processes"),
    ("phase", "number", None, "series.", "resolution_s began_s window_began_s window_ended_s"),
    *(
        ("phase", form, better, f"decomposition.{part}.", names)
        for part in PARTS
        for form, better, names in _OWN_OF_PART
    ),
    ("search", "number", "higher", "search.", "largest_held smallest_not_held"),
    ("search", "number", "lower", "search.", "gap"),
    # These two are taken of a gate's windows only.
    ("window", "distribution", "lower", "", "server_total_ms"),
    ("window", "number", "lower", "", "token_cost_mean"),
)
METRICS = {
    name: Metric(name=name, of=of, form=form, better=better, in_gate=name in _IN_GATE, in_search=name in _IN_SEARCH)
    for of, form, better, prefix, names in _CATALOGUE
    for name in (prefix + word for word in names.split())
}
"""Every metric by its name, which is the way to it in the report."""


def find_metric(word: str) -> Metric | None:
    """Return the metric of a name or an alias, if there is one."""
    return METRICS.get(ALIASES.get(word, word))


def metric_of(name: str, aggregation: str | None, quantile: float | None) -> Metric:
    """Return a report's metric; raises ValueError, with the nearest names, when no report holds such a number.

    `aggregation` is what is taken of a distribution, with `quantile` for a percentile.
    """
    metric = find_metric(name)
    if metric is None:
        raise ValueError(unknown_metric(name, (known.name for known in METRICS.values() if known.of != "window")))
    if metric.of == "window":
        raise ValueError(f"{name} is a number of a gate's windows, which a report does not hold.")
    check_aggregation(metric, aggregation, quantile)
    if metric.form == "distribution" and not metric.has_samples and quantile not in {None, *REPORTED_QUANTILES}:
        there = ", ".join(f"p({q * 100:.10g})" for q in REPORTED_QUANTILES)
        raise ValueError(f"of {metric.name} a report has no {_what(aggregation, quantile)}; there are {there}.")
    return metric


def check_aggregation(metric: Metric, aggregation: str | None, quantile: float | None) -> None:
    """Raise ValueError when a distribution has no aggregation, or another metric has one."""
    if metric.form == "distribution" and aggregation is None:
        raise ValueError(f"{metric.name} is a distribution: say which point of it, as in {metric.name}:p(95).")
    if metric.form != "distribution" and aggregation is not None:
        raise ValueError(f"{metric.name} is one number and has no {_what(aggregation, quantile)}.")


def _what(aggregation: str | None, quantile: float | None) -> str:
    return aggregation or "" if quantile is None else f"p({quantile * 100:.10g})"


def unknown_metric(word: str, names: Iterable[str]) -> str:
    """Return a sentence that there is no such metric, with the nearest of `names`."""
    near = _nearest(word, names)
    advice = (
        f"did you mean {' or '.join(map(repr, near))}?"
        if near
        else "names are those of the report, as in 'request_throughput_rps' or 'correlation.littles_law_ratio'; the "
        "word before one is a phase or a dataset of the run."
    )
    return f"there is no metric {word!r}; {advice}"


def aggregation_meant(name: str) -> str | None:
    """Return the percentile or aggregation that a name was meant for, such as p(95) for `p95`, or None."""
    like = _LIKE_A_PERCENTILE.fullmatch(name)
    if like is None:
        return _LIKE_AN_AGGREGATION.get(name.lower())
    return f"p({like[1]}.{like[2]})" if like[2] else f"p({like[1]})"


def _nearest(word: str, names: Iterable[str]) -> list[str]:
    """Return the names that `word` may have been meant for, the likeliest first; a name's last part alone counts."""
    if (aggregation := aggregation_meant(word)) is not None:
        return [aggregation]
    plain = word.lower()

    def likeness(name: str) -> float:
        last = name.rsplit(".", 1)[-1]
        inside = 0.7 + len(plain) / len(name) / 10 if len(plain) > 3 and plain in last else 0.0
        return max(
            inside,
            difflib.SequenceMatcher(None, plain, name).ratio(),
            difflib.SequenceMatcher(None, plain, last).ratio() - 0.05,
        )

    near = sorted(((likeness(name), name) for name in {*names, *ALIASES}), key=lambda pair: (-pair[0], pair[1]))
    return [name for ratio, name in near[:_MOST_NEAR] if ratio >= max(0.65, near[0][0] - 0.1)]
