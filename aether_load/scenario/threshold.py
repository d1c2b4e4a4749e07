"""Parse conditions on a metric, in k6's grammar: "p(99)<500", "hellaswag:request_latency_ms:p(95)<500"."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Literal

import msgspec

from aether_load.errors import explained
from aether_load.scenario.duration import Seconds
from aether_load.scenario.metrics import AGGREGATIONS, DEFAULT_METRIC, find_metric
from aether_load.scenario.validation import Strict, did_you_mean

Operator = Literal["<", "<=", ">", ">=", "==", "!="]

LONGEST = 200
"""Characters of a condition."""
MOST_WHERE = 2
"""Names before a metric: a phase's and a dataset's."""
_CONDITION = re.compile(r"(?P<what>[^<>=!]*)(?P<operator><=|>=|==|!=|<|>)(?P<value>[^<>=!]*)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*")
_LIMIT = re.compile(r"[-+]?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_PERCENTILE = re.compile(r"p\(\s*([0-9]+(?:\.[0-9]+)?)\s*\)")
_OPERATORS: dict[Operator, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
_REQUEST_LIMIT = 'expected a limit on the latency of each request, as in "response_latency_ms<500"'


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """A metric, and of what it is taken.

    `where` are the names before the metric: a phase, a dataset, or both. `aggregation` is what is taken of a metric
    that is a distribution, with `quantile` (0 to 1) for a percentile; both are None for one number. A name that is no
    metric of this release is kept as it is.
    """

    where: tuple[str, ...]
    metric: str
    aggregation: str | None
    quantile: float | None


class Threshold:
    """A condition: a measure, an operator and a limit; `text` is how it was written.

    Two conditions of one meaning are equal however they are written. Scenarios hold conditions parsed, and write them
    as their text.
    """

    __slots__ = ("aggregation", "measure", "metric", "operator", "quantile", "text", "value", "where")

    def __init__(self, text: str, measure: Measure, operator: Operator, value: float) -> None:
        self.text = text
        self.measure = measure
        self.metric, self.where = measure.metric, measure.where
        self.aggregation, self.quantile = measure.aggregation, measure.quantile
        self.operator: Operator = operator
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Threshold) and self._meaning == other._meaning

    def __hash__(self) -> int:
        return hash(self._meaning)

    def __repr__(self) -> str:
        return f"parse_threshold({self.text!r})"

    def __str__(self) -> str:
        return self.text

    @property
    def _meaning(self) -> tuple[Measure, str, float]:
        return self.measure, self.operator, self.value

    def holds(self, number: float) -> bool:
        """Tell whether `number` fulfils the condition."""
        return bool(_OPERATORS[self.operator](number, self.value))


class RequestLimit(Threshold):
    """A condition on the latency of each single request, by which goodput counts."""

    __slots__ = ()


class ThresholdPlan(Strict, frozen=True, kw_only=True):
    """A condition that decides a run's verdict.

    With `abort_on_fail` the run ends early, in order, as soon as the condition is broken, but not before
    `delay_abort_eval` of a window has passed.
    """

    condition: Threshold  # a metric and a limit, as in `p(95)<500`
    abort_on_fail: bool = False  # end the run as soon as it is broken
    delay_abort_eval: Seconds = Seconds(0)  # not before this time of a window


def parse_threshold(text: str) -> Threshold:
    """Return the condition that `text` states; raises ValueError with a sentence when it states none."""
    if len(text) > LONGEST:
        raise ValueError(f"it has {len(text)} characters, of {LONGEST} that a condition may have.")
    match = _CONDITION.fullmatch(text)
    limit = match["value"].strip() if match else ""
    measure = parse_measure(match["what"]) if match and _LIMIT.fullmatch(limit) else None
    if match is None or measure is None:
        raise ValueError('expected a metric and a limit, as in "p(95)<500" or "error_rate<0.01".')
    if math.isinf(float(limit)):
        raise ValueError(f"{limit} is more than any number of a report can be.")
    return Threshold(" ".join(text.split()), measure, match["operator"], float(limit))  # type: ignore[arg-type]


def parse_measure(text: str) -> Measure | None:
    """Return the metric that `text` names, and of what; None for other text, ValueError for what there cannot be.

    A percentile or an aggregation alone is of the response latency.
    """
    *names, what = [part.strip() for part in text.split(":")]
    percentile = _PERCENTILE.fullmatch(what)
    is_point = percentile is not None or what in AGGREGATIONS
    if not (is_point or _NAME.fullmatch(what)) or not all(names):
        return None
    quantile = aggregation = None
    if percentile is not None:
        # By decimals: 99.9 / 100 is a little above 0.999, which of a thousand samples would be the last one.
        quantile = float(Decimal(percentile[1]) / 100)
        if not 0 < quantile < 1:
            raise ValueError(f"there is no {what}: a percentile lies between 0 and 100.")
        aggregation = "p"
    elif is_point:
        aggregation = {"avg": "mean", "med": "p50"}.get(what, what)
    metric = DEFAULT_METRIC
    if aggregation is None:
        metric = what
    elif names and (find_metric(names[-1]) is not None or len(names) > MOST_WHERE):
        metric = names.pop()
    if len(names) > MOST_WHERE:
        raise ValueError("before the metric there is room for a phase and a dataset, no more.")
    known = find_metric(metric)
    return Measure(
        where=tuple(names), metric=metric if known is None else known.name, aggregation=aggregation, quantile=quantile
    )


def parse_request_limit(text: str) -> RequestLimit:
    """Return the condition on single requests that `text` states; raises ValueError with a sentence."""
    try:
        condition = parse_threshold(text)
    except ValueError:
        raise ValueError(f"{_REQUEST_LIMIT}.") from None
    metric = find_metric(condition.metric)
    mistake = None
    if condition.where:
        mistake = f"it is of every request, so there is no {condition.where[0]!r} before it"
    elif metric is None or not metric.has_samples:
        mistake = f"{condition.metric!r} is not known of each request by itself"
    elif condition.aggregation is not None:
        mistake = f"a request has no {condition.aggregation}: it has one latency"
    elif condition.operator not in {"<", "<="}:
        mistake = f"{condition.operator!r} is no upper limit"
    elif condition.value <= 0:
        mistake = f"no request takes {condition.value:g} ms"
    if mistake is not None:
        raise ValueError(f"{mistake}; {_REQUEST_LIMIT}.")
    return RequestLimit(condition.text, condition.measure, condition.operator, condition.value)


def undecidable(condition: Threshold) -> str | None:
    """Return why no number of requests lets a condition hold, with advice, in a sentence; None when some number can.

    A condition on a share or a percentile holds when all of an interval fulfils it. The interval of a share ends above
    0 and begins below 1 however many requests there are, and no interval is a single number.
    """
    metric = find_metric(condition.metric)
    has_interval = metric is not None and (
        metric.form in {"share", "percentile", "interval"} or condition.aggregation in {"p", "p50"}
    )
    if metric is None or not has_interval:
        return None
    name = condition.text[: condition.text.index(condition.operator)].strip()
    if metric.form == "share" and condition.operator in {"<", "<=", "=="} and condition.value <= 0:
        strict = "; for no failure at all, say max_error_rate = 0" if metric.name == "error_rate" else ""
        reason = "the interval of a share always ends above 0. Give a limit above 0"
        example = f"{name}<0.01, which {REQUESTS_OF_SHARE} requests decide when it is 0 of them{strict}"
    elif metric.form == "share" and condition.operator in {">", ">=", "=="} and condition.value >= 1:
        reason = "the interval of a share always begins below 1. Give a limit below 1"
        example = f"{name}>0.99, which {REQUESTS_OF_SHARE} requests decide when it is all of them"
    elif condition.operator == "==":
        reason = f"{metric.name} is an interval, which is never a single number. Give a lower or an upper limit"
        example = f"{name}<={condition.value:g}"
    else:
        return None
    return f"no number of requests decides that: {reason}, as in {example}."


REQUESTS_OF_SHARE = 381
"""Requests without a hit that bring the upper end of a share's 95 % interval (Wilson) below 0.01."""


def quoted(text: object) -> str:
    """Return a condition in quotes, as part of a sentence; a long one is cut."""
    plain = str(text)
    return repr(plain if len(plain) <= LONGEST else f"{plain[:40]}…")


def with_conditions(plans: tuple[ThresholdPlan, ...], conditions: Iterable[str]) -> tuple[ThresholdPlan, ...]:
    """Return the thresholds followed by those of a command line; one of a meaning that is there is left out.

    Raises ValueError with a sentence that quotes the condition.
    """
    found = {plan.condition: plan for plan in plans}
    for text in conditions:
        with explained(f"{quoted(text)}: ", ValueError, ValueError, end=""):
            condition = parse_threshold(text)
        found.setdefault(condition, ThresholdPlan(condition=condition))
    return tuple(found.values())


class Names(msgspec.Struct, frozen=True):
    """The names that may stand before a metric: of phases, of the searches among them, and of datasets."""

    phases: frozenset[str]
    searches: frozenset[str]
    datasets: frozenset[str]


class Scope(msgspec.Struct, frozen=True):
    """The name of a phase and of a dataset that a condition is about; None stands for all of them."""

    phase: str | None = None
    dataset: str | None = None

    def covers(self, *names: str | None) -> bool:
        """Tell whether a phase of these names, as driven and as in the scenario, is meant."""
        return self.phase is None or self.phase in {*names, *(unnumbered(name) for name in names if name)}


def unnumbered(name: str) -> str:
    """Return a phase's name without the number of its repetition."""
    return name.rsplit("#", 1)[0]


def scope_of(where: Iterable[str], names: Names) -> Scope:
    """Return what the names before a metric mean, in either order; raises ValueError with a sentence."""
    words = tuple(where)
    for word in words:
        if word not in names.phases | names.datasets:
            known = sorted(names.phases) + sorted(names.datasets - names.phases)
            raise ValueError(f"there is no phase and no dataset {word!r}; {did_you_mean(word, known)}")
    if not words:
        return Scope()
    if len(words) == 1:
        (word,) = words
        if word in names.phases and word in names.datasets:
            raise ValueError(
                f"{word!r} is a phase and a dataset; give the phase another name, or say both, as in {word}:{word}."
            )
        return Scope(phase=word) if word in names.phases else Scope(dataset=word)
    ways = {
        (phase, dataset)
        for phase, dataset in (words, words[::-1])
        if phase in names.phases and dataset in names.datasets
    }
    if not ways:
        kind = "phases" if words[0] in names.phases else "datasets"
        raise ValueError(f"{words[0]!r} and {words[1]!r} are two {kind}; there is room for one phase and one dataset.")
    if len(ways) > 1:
        raise ValueError(f"{words[0]!r} and {words[1]!r} are phases and datasets both; give the phases other names.")
    ((phase, dataset),) = ways
    return Scope(phase=phase, dataset=dataset)
