"""List the metrics that thresholds, searches and gates may name, each with its form, unit and better direction.

`analysis.verdict.metric_catalog` reads the values of these metrics from a report, and `gate.value` from a window.
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
    "_usd": "USD", "_rate": "share", "_share": "share", "_ratio": "ratio",
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
        if self.name in {"accuracy", "tokens_per_correct_answer"}:
            return {"accuracy": "share"}.get(self.name, "tokens")
        # A part of "decomposition_mean_ms" has the unit of the whole.
        name = self.name.split(".")[0] if self.name.startswith("decomposition_mean_ms.") else self.name
        endings = sorted(_UNITS, key=len, reverse=True)
        return next((_UNITS[ending] for ending in endings if name.endswith(ending)), "")

    @property
    def is_rate(self) -> bool:
        """Tell whether it is an amount a second; in open load that follows from the rate that was asked for."""
        return self.unit.endswith("/s")

    @property
    def has_samples(self) -> bool:
        """Tell whether it is a latency of requests, of which every percentile can be taken."""
        return self.of == "row" and self.form == "distribution"


def _metrics(of: Of, form: Form, better: Better | None, names: str) -> dict[str, Metric]:
    return {
        name: Metric(name=name, of=of, form=form, better=better, in_gate=name in _IN_GATE, in_search=name in _IN_SEARCH)
        for name in names.split()
    }


def _of_requests() -> dict[str, Metric]:
    failures = " ".join(f"outcomes.{outcome.label}" for outcome in Outcome if outcome is not Outcome.OK)
    return {
        **_metrics("row", "distribution", "lower", "response_latency_ms service_latency_ms"),
        **_metrics("row", "share", "lower", "error_rate rejected_rate dropped_rate"),
        **_metrics("row", "share", "higher", "goodput_share"),
        **_metrics("row", "share", "higher", "accuracy"),
        **_metrics("row", "number", "higher", "request_throughput_rps ok_throughput_rps goodput_rps tokens_per_s"),
        **_metrics("row", "number", "higher", "requests_total ok_total outcomes.ok server_time_share"),
        **_metrics("row", "number", "lower", f"{failures} unanswered_total tokens_per_correct_answer"),
        **_metrics("row", "number", "lower", "cost_per_correct_answer_usd"),
        **_metrics("row", "number", None, "tokens_total cached_nodes_total uncached_nodes_total"),
        **_metrics("row", "number", "lower", " ".join(f"decomposition_mean_ms.{part}" for part in PARTS)),
    }  # fmt: skip


def _of_phases() -> dict[str, Metric]:
    found = {
        **_metrics("phase", "number", None, "repeat users window_s requests_outside_window_total"),
        **_metrics("phase", "number", "higher", "achieved_load.asked achieved_load.reached"),
        **_metrics("phase", "number", None, "latency_curve.requests_total server.nodes_total"),
        **_metrics("phase", "interval", "lower", "server.node_time_mean_ms server.node_time_p50_ms "
                   "server.node_time_p90_ms server.node_time_p95_ms server.node_time_p99_ms"),
        **_metrics("phase", "number", None, "server.node_concurrency"),
        **_metrics("phase", "distribution", "lower", "server.answered_node_time_ms correlation.overhead_ms"),
        **_metrics("phase", "number", None, "reconciliation.answered_nodes_total reconciliation.counted_nodes_total "
                   "reconciliation.answered_node_time_ms reconciliation.counted_node_time_ms "
                   "reconciliation.readings_total"),
        **_metrics("phase", "number", "lower", "reconciliation.unexplained_nodes_total "
                   "reconciliation.unexplained_node_time_ms reconciliation.unread_nodes_at_most "
                   "reconciliation.readings_unreadable_total reconciliation.readings_behind_total"),
        **_metrics("phase", "number", "higher", "correlation.server_time_share correlation.tail_server_share "
                   "correlation.server_variance_share"),
        **_metrics("phase", "number", None, "correlation.littles_law_ratio"),
        **_metrics("phase", "number", None, "decomposition.requests_total decomposition.divided_requests_total "
                   "decomposition.tail_requests_total"),
        **_metrics("phase", "number", "lower", "decomposition.response_latency_mean_ms"),
        **_metrics("phase", "percentile", "lower", "decomposition.response_latency_p99_ms"),
        **_metrics("phase", "number", "higher", "decomposition.parallel_speedup"),
        **_metrics("phase", "number", None, "decomposition.parallel_speedup_bound"),
        **_metrics("phase", "number", "higher", "open_load.achieved_rps open_load.achieved_share"),
        **_metrics("phase", "number", None, "open_load.target_rps open_load.due_rps"),
        **_metrics("phase", "number", "lower", "open_load.dropped_total open_load.waiting_at_middle_total "
                   "open_load.waiting_at_end_total"),
        **_metrics("phase", "number", None, "steadiness.cut_s steadiness.rate_before_rps steadiness.rate_after_rps"),
        **_metrics("phase", "number", "lower", "sender.cpu_share_mean sender.cpu_share_max sender.resident_max_bytes "
                   "sender.master_cpu_share_max server_process.cpu_share_mean server_process.cpu_share_max "
                   "server_process.resident_max_bytes"),
        **_metrics("phase", "number", "lower", "sender_holds.holds_total sender_holds.held_ms_total "
                   "sender_holds.longest_ms sender_holds.late_requests_total sender_holds.late_max_ms"),
        **_metrics("phase", "number", None, "sender.processes_total server_process.processes series.resolution_s "
                   "series.began_s series.window_began_s series.window_ended_s"),
    }  # fmt: skip
    for part in PARTS:
        way = f"decomposition.{part}"
        found |= _metrics("phase", "distribution", "lower", f"{way}.time_ms")
        found |= _metrics("phase", "number", "lower", f"{way}.mean_contribution_ms")
        found |= _metrics("phase", "number", None, f"{way}.mean_share {way}.tail_share {way}.variance_share "
                          f"{way}.resolution_ms")  # fmt: skip
    return found


METRICS = {
    **_of_requests(),
    **_of_phases(),
    **_metrics("search", "number", "higher", "search.largest_held search.smallest_not_held"),
    **_metrics("search", "number", "lower", "search.gap"),
    # These two are taken of a gate's windows only.
    **_metrics("window", "distribution", "lower", "server_total_ms"),
    **_metrics("window", "number", "lower", "token_cost_mean"),
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
