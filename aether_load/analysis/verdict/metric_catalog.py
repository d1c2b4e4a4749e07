"""The numbers that a report has of a phase, of a dataset in it, and of a search: by name, as its own types say.

A name is the way to a number in the report: `request_throughput_rps` and `decomposition_mean_ms.barrier` of a row,
`correlation.littles_law_ratio` of a phase, `search.largest_held` of a search. Lists have no names.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from functools import cache
from typing import Any, Literal

import msgspec
from msgspec import inspect

from aether_load.analysis.phase.phase_report import PhaseReport
from aether_load.analysis.phase.rows import Row
from aether_load.analysis.phase.searches import SearchReport
from aether_load.analysis.statistics.distribution import QUANTILES, Distribution, Percentile, Share
from aether_load.analysis.statistics.histogram import Interval, QuantileInterval
from aether_load.protocol import Outcome
from aether_load.scenario.threshold import ALIASES, Threshold, aggregation_meant

Of = Literal["row", "phase", "search"]
Form = Literal["number", "share", "distribution", "percentile", "interval"]

_FORMS: dict[type, Form] = {
    Distribution: "distribution",
    Percentile: "percentile",
    Share: "share",
    Interval: "interval",
    QuantileInterval: "interval",
}
_WORDS = {"outcomes": tuple(outcome.label for outcome in Outcome)}
"""The keys of a mapping whose type does not say them."""
_ROWS_OF_A_PHASE = ("all", "datasets")
COUNTED_SHARES = ("error_rate", "rejected_rate", "dropped_rate")
"""Shares of a row that follow from its outcomes; a row has the last one as a number of requests only."""
_MOST_NEAR = 3


class Number(msgspec.Struct, frozen=True):
    """One number of a report: what it is of, which form it has, and the way to it."""

    name: str
    of: Of
    form: Form
    path: tuple[str, ...]


@cache
def numbers() -> dict[str, Number]:
    """Return every number by its name; where a row and its phase have one of the same name, the row's."""
    found = {name: Number(name, "row", "share", (name,)) for name in COUNTED_SHARES}
    for of, kind, prefix in (("row", Row, ()), ("phase", PhaseReport, ()), ("search", SearchReport, ("search",))):
        for path, form in _walk(inspect.type_info(kind), ()):
            if of == "phase" and path[0] in _ROWS_OF_A_PHASE:
                continue
            name = ".".join((*prefix, *path))
            found.setdefault(name, Number(name, of, form, path))  # type: ignore[arg-type]
    return found | {word: msgspec.structs.replace(found[name], name=word) for word, name in ALIASES.items()}


def number_of(condition: Threshold) -> Number:
    """Return the number that a condition is about; raises ValueError with a sentence where there is none such."""
    number = numbers().get(condition.metric)
    if number is None:
        near = _nearest(condition.metric)
        advice = (
            f"did you mean {' or '.join(map(repr, near))}?"
            if near
            else "names are those of the report, as in 'request_throughput_rps' or 'correlation.littles_law_ratio'; "
            "what stands before one is a phase or a dataset of the run."
        )
        raise ValueError(f"there is no number {condition.metric!r} in a report; {advice}")
    what = condition.aggregation if condition.quantile is None else f"p({condition.quantile * 100:.10g})"
    if number.form == "distribution":
        if what is None:
            raise ValueError(f"{number.name} is a distribution: say which point of it, as in {number.name}:p(95).")
        if not is_latency(number) and condition.quantile not in {None, *QUANTILES.values()}:
            there = ", ".join(f"p({q * 100:.10g})" for q in QUANTILES.values())
            raise ValueError(f"of {number.name} a report has no {what}; there are {there}.")
    elif what is not None:
        raise ValueError(f"{number.name} is one number and has no {what}.")
    return number


def is_latency(number: Number) -> bool:
    """Tell whether a number is a distribution of which the samples themselves are there, and so every percentile."""
    return number.of == "row" and number.form == "distribution"


def read(number: Number, whole: Any) -> tuple[Any, str | None]:
    """Return a number's value in the struct that it is of, or None and why it is not there."""
    why: str | None = None
    for key in number.path:
        beside = getattr(whole, "reasons", None) or {}
        why = beside.get(key) or getattr(whole, "reason", None) or why
        whole = whole.get(key) if isinstance(whole, dict) else getattr(whole, key)
        if whole is None:
            return None, why or "it was not measured"
    return whole, None


def _walk(info: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Form]]:
    """Yield the ways to all numbers below a type."""
    info = _bare(info)
    if isinstance(info, inspect.IntType | inspect.FloatType):
        yield path, "number"
    elif isinstance(info, inspect.StructType):
        form = _FORMS.get(info.cls)
        if form is not None:
            yield path, form
            return
        for field in info.fields:
            yield from _walk(field.type, (*path, field.name))
    elif isinstance(info, inspect.DictType):
        keys = _bare(info.key_type)
        words = keys.values if isinstance(keys, inspect.LiteralType) else _WORDS.get(path[-1], ())
        for word in words:
            yield from _walk(info.value_type, (*path, str(word)))


def _bare(info: Any) -> Any:
    """Return a type without its bounds and without None; of whole and other numbers, the latter."""
    while isinstance(info, inspect.Metadata):
        info = info.type
    if isinstance(info, inspect.UnionType):
        parts = [_bare(part) for part in info.types if not isinstance(part, inspect.NoneType)]
        if len(parts) == 1 or all(isinstance(part, inspect.IntType | inspect.FloatType) for part in parts):
            return parts[-1]
    return info


def _nearest(word: str) -> list[str]:
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

    near = sorted(((likeness(name), name) for name in numbers()), key=lambda pair: (-pair[0], pair[1]))
    return [name for ratio, name in near[:_MOST_NEAR] if ratio >= max(0.65, near[0][0] - 0.1)]
