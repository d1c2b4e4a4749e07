"""Build what all charts have in common: colours, axes, tooltips, and blocks of Vega-Lite."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from aether_load.analysis.latency.part_names import PART_NAMES
from aether_load.scenario.metrics import PartName

LOG_ABOVE = 20
"""A span of values that many times as wide as its least is drawn on a logarithmic scale."""
LIGHT: Mapping[str, str] = {
    "--paper": "#ffffff", "--ink": "#1d2129", "--faint": "#5c6470", "--line": "#dfe3e8",
    "--c0": "#2f6db5", "--c1": "#d0690a", "--c2": "#258a56", "--c3": "#bf3a2b", "--c4": "#7d5ba6", "--c5": "#a67c00",
    "--c6": "#16899a", "--c7": "#7a7f87",
}  # fmt: skip
DARK: Mapping[str, str] = {
    "--paper": "#15181d", "--ink": "#e8eaee", "--faint": "#a3abb7", "--line": "#343b45",
    "--c0": "#6ea8ea", "--c1": "#f2a154", "--c2": "#5cc98f", "--c3": "#f07a6a", "--c4": "#b79ae0", "--c5": "#e0bd4c",
    "--c6": "#5cc8d4", "--c7": "#9aa1ab",
}  # fmt: skip
"""Colours by the names that charts use; the page gives these names their values as CSS variables."""

PART_PLACES: Mapping[PartName, int] = {
    "start_delay": 7, "sender_hold": 1, "overhead": 0, "scheduler": 4, "barrier": 5, "node_path": 2,
    "undivided_server": 6, "unanswered": 3,
}  # fmt: skip
"""The colour of each part of latency, by its place in the palette; the Aether tab has the same."""

STATIC_WIDTH = 760
_LONGEST_STEM = 100
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', Arial, sans-serif"


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """One chart: the stem of its file's name, its place on the page, title and caption, and its specification."""

    name: str
    section: str
    title: str
    caption: str
    spec: dict[str, Any]


def bare(values: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the beginning of a chart of one layer, as wide as where it stands."""
    return {"width": "container", "data": {"values": list(values)}, "config": _config(), "autosize": _AUTOSIZE}


def layer(values: Iterable[Mapping[str, Any]], mark: Mapping[str, Any], **encoding: Any) -> dict[str, Any]:
    """Return a layer that draws values with a mark."""
    return {"data": {"values": list(values)}, "mark": mark, "encoding": encoding}


def layered(layers: Iterable[Mapping[str, Any]], height: int) -> dict[str, Any]:
    """Return a chart of several layers, as wide as where it stands; layers without values are left out."""
    return {
        "width": "container",
        "height": height,
        "layer": [one for one in layers if one["data"]["values"]],
        "config": _config(),
        "autosize": _AUTOSIZE,
    }


def bars(
    values: Sequence[Mapping[str, Any]], y: Mapping[str, Any], colour: Mapping[str, Any], tip: Any = None, **x: Any
) -> dict[str, Any]:
    """Return a chart of bars, a row each, whose stacked pieces have an order; `x` is the encoding of their length."""
    encoding = {"y": y, "x": {"type": "quantitative", **x}, "color": colour,
                "order": {"field": "order", "type": "quantitative"}}  # fmt: skip
    if tip is not None:
        encoding["tooltip"] = tip
    return bare(values) | {"mark": {"type": "bar", "height": {"band": 0.7}}, "encoding": encoding}


def colours(field: str, domain: Sequence[str], places: Sequence[int]) -> dict[str, Any]:
    """Return the colours of a field's values, by their places in the palette, with a legend above the chart."""
    return {
        "field": field,
        "type": "nominal",
        "sort": None,
        "scale": {"domain": list(domain), "range": [f"var(--c{place})" for place in places[: len(domain)]]},
        "legend": {"title": None, "orient": "top", "symbolOpacity": 1},
    }


def scale_of(values: Iterable[float], *, zero: bool) -> dict[str, Any]:
    """Return the scale of values: logarithmic where they span much, and otherwise from 0 if `zero` says so.

    A logarithm has no place for 0, which lies on the lower edge then.
    """
    above = [value for value in values if value > 0]
    if not above or max(above) <= LOG_ABOVE * min(above):
        return {"zero": zero}
    return {"type": "log", "nice": True, "domainMin": min(above), "clamp": True}


def quantity(field: str, title: str | None, **more: Any) -> dict[str, Any]:
    """Return the encoding of a field of numbers, with the title of its axis and whatever else is said of it."""
    return {"field": field, "type": "quantitative", "axis": {"title": title}, **more}


def names(field: str, width: int) -> dict[str, Any]:
    """Return the encoding of a field of names along an axis, in their order, at most so wide."""
    return {"field": field, "type": "nominal", "sort": None, "axis": {"title": None, "labelLimit": width}}


def tooltip(*fields: tuple[str, ...]) -> list[dict[str, str]]:
    """Return a tooltip of fields, each with a title and a format, as far as it has them."""
    return [dict(zip(("field", "title", "format"), field, strict=False)) for field in fields]


def interval_tooltip(*fields: str) -> list[dict[str, str]]:
    """Return a tooltip of a value in ms with its 95 % interval, behind the fields named."""
    interval = (("value", "ms", ".2f"), ("low", "at least", ".2f"), ("high", "at most", ".2f"))
    return tooltip(*((field, field) for field in fields), *interval)


def part_colours(values: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the colours of the parts of latency that values are of."""
    named = {value["part"] for value in values}
    there = [part for part, name in PART_NAMES.items() if name in named]
    return colours("part", [PART_NAMES[part] for part in there], [PART_PLACES[part] for part in there])


_AUTOSIZE = {"type": "fit-x", "contains": "padding", "resize": True}


def _config() -> dict[str, Any]:
    text = {"labelColor": "var(--faint)", "titleColor": "var(--faint)", "labelFontSize": 12, "titleFontSize": 12}
    return {
        "background": "var(--paper)",
        "font": _FONT,
        "view": {"stroke": None},
        "axis": {
            **text,
            "gridColor": "var(--line)",
            "domainColor": "var(--line)",
            "tickColor": "var(--line)",
            "titleFontWeight": "normal",
        },
        "axisX": {"tickCount": 8},
        "legend": {**text, "labelLimit": 220, "symbolType": "square", "columns": 4},
        "text": {"fontSize": 12},
    }


def file_stem(text: str) -> str:
    """Return a text as part of a file's name."""
    return re.sub(r"[^A-Za-z0-9_.#-]", "_", text)[:_LONGEST_STEM]
