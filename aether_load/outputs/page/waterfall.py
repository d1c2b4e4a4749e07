"""Lay the slowest requests out as bars: one line each, and below it a line for each part, level and node."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from aether_load.outputs.charts.chart import PART_PLACES
from aether_load.outputs.page.tables import filter_classes
from aether_load.protocol import READABLE, Outcome

if TYPE_CHECKING:
    from aether_load.analysis.latency.slowest import SlowNodeReport, SlowRequest
    from aether_load.analysis.report import Report

_SAME_MS = 0.01
SHOWN = 10
"""Requests that are shown of a run, and of each dataset that is chosen."""
_WAIT, _HOLD, _OUTSIDE, _SCHEDULER, _LEVEL, _SERVER = (
    f"c{place}" for part, place in PART_PLACES.items() if part not in {"barrier", "unanswered"}
)
LEGEND = (
    ("client wait", _WAIT), ("outside the server (send, receive)", _OUTSIDE), ("scheduler", _SCHEDULER),
    ("levels and nodes", _LEVEL), ("sender held", _HOLD),
)  # fmt: skip


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """A bar: its name, where it begins and how long it is, in percent of its line, its time in ms, and its colour."""

    name: str
    left: float
    width: float
    ms: float | None
    colour: str
    note: str = ""
    is_node: bool = False


class Waterfall(msgspec.Struct, frozen=True, kw_only=True):
    """One request: its bars on the scale of the slowest, and the same and its nodes on its own scale."""

    request: SlowRequest
    classes: str
    line: tuple[Bar, ...]
    rows: tuple[Bar, ...]
    cached: str


def unread(report: Report) -> int:
    """Return how many requests of the windows were sent and brought no answer that could be read."""
    readable = {outcome.label for outcome in (*READABLE, Outcome.DROPPED)}
    return sum(count for phase in report.phases for name, count in phase.all.outcomes.items() if name not in readable)


def waterfall(report: Report) -> list[Waterfall]:
    """Return the slowest requests of the run, and of each dataset those that show when it is chosen."""
    requests = report.slowest_requests
    if not requests:
        return []
    longest = requests[0].response_latency_ms
    shown = []
    for place, request in enumerate(requests):
        among_all = place < SHOWN
        classes = filter_classes(report, request.dataset, among_all=among_all)
        if not classes and not among_all:
            continue
        parts = list(_parts(request))
        shown.append(
            Waterfall(
                request=request,
                classes=classes,
                line=tuple(_scaled(bar, longest) for bar in parts),
                rows=tuple(_scaled(bar, request.response_latency_ms) for bar in _rows(request, parts)),
                cached=_cached(request),
            )
        )
    return shown


def _cached(request: SlowRequest) -> str:
    if request.cached_nodes_total is None:
        return ""
    told = sum(node.cached is not None for node in request.nodes)
    if told == 1:
        return "cached" if request.cached_nodes_total else "not cached"
    return f"{request.cached_nodes_total} of {told} nodes cached"


def _parts(request: SlowRequest) -> Iterator[Bar]:
    """Yield the parts of a request one after the other, in ms: `left` is where each begins."""
    at = 0.0
    levels = enumerate(request.levels_ms or ())
    pieces: tuple[tuple[str, float, str], ...] = (
        ("client wait", request.start_delay_ms, _WAIT),
        ("outside the server", request.outside_ms, _OUTSIDE),
        ("server, undivided", request.server_ms if request.levels_ms is None else 0, _SERVER),
        ("scheduler", request.scheduler_ms or 0, _SCHEDULER),
        *((f"level {level}", ms, f"{_LEVEL} odd" if level % 2 else _LEVEL) for level, ms in levels),
        ("sender held", request.sender_hold_ms, _HOLD),
    )
    for name, ms, colour in pieces:
        if ms > 0:
            yield Bar(name=name, left=at, width=ms, ms=ms, colour=colour)
        at += ms


def _rows(request: SlowRequest, parts: list[Bar]) -> Iterator[Bar]:
    """Yield a row a part, and behind each level its nodes."""
    left = list(request.nodes)
    for part in parts:
        mine = [
            node
            for node in left
            if part.name.startswith("level ")
            and node.time_ms is not None
            and node.began_ms is not None
            and abs(node.began_ms - part.left) < _SAME_MS
        ]
        left = [node for node in left if node not in mine]
        if len(mine) == 1:
            # The level is its one node.
            yield msgspec.structs.replace(part, name=f"{part.name}: {mine[0].id}", note=_note(mine[0]))
            continue
        yield part
        yield from (_node(node, part.colour) for node in mine)
    yield from (_node(node, _SERVER) for node in left)


def _node(node: SlowNodeReport, colour: str) -> Bar:
    known = node.began_ms is not None
    return Bar(
        name=node.id,
        left=node.began_ms or 0.0,
        width=float(node.time_ms or 0) if known else 0.0,
        ms=node.time_ms,
        colour=colour,
        note=_note(node),
        is_node=True,
    )


def _note(node: SlowNodeReport) -> str:
    return "cached" if node.cached else "" if node.state == "succeeded" else node.state.replace("_", " ")


def _scaled(bar: Bar, whole_ms: float) -> Bar:
    whole = whole_ms or 1.0
    left = min(100.0, max(0.0, 100 * bar.left / whole))
    width = min(100.0 - left, 100 * bar.width / whole)
    return msgspec.structs.replace(bar, left=round(left, 2), width=round(width, 2))
