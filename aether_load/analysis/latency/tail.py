"""Say in one sentence where the slowest requests' time went."""

from __future__ import annotations

from collections.abc import Sequence

from aether_load.analysis.latency.decomposition import Decomposition, parts_of
from aether_load.analysis.latency.nodes import NodeReport
from aether_load.analysis.statistics.distribution import Percentile
from aether_load.scenario.metrics import PartName

_WORDS: dict[PartName, str] = {
    "start_delay": "waiting in the client",
    "sender_hold": "answers that the sender may have read late",
    "overhead": "outside the server",
    "scheduler": "the runtime's own work between nodes",
    "barrier": "waiting at barriers between levels",
    "node_path": "node time on the server",
    "undivided_server": "server time of requests whose nodes did not all succeed",
    "unanswered": "requests that brought no readable answer",
}
_LEAST_NAMED = 0.05
_MOST_NAMED = 3


def tail_sentence(decomposition: Decomposition, nodes: Sequence[NodeReport]) -> tuple[str | None, str | None]:
    """Return the sentence on the requests at or above p99 of response latency, or None and why there is none.

    It names the largest parts, as far as they are 5 % or more, and in a DAG of several nodes the one that has most
    of the paths' time.
    """
    p99 = decomposition.response_latency_p99_ms
    shares = [(part.tail_share, name) for name, part in parts_of(decomposition) if part.tail_share is not None]
    if p99 is None or not shares:
        return None, decomposition.reasons.get("tail_share") or decomposition.reasons.get("response_latency_p99_ms")
    shares.sort(key=lambda pair: -pair[0])
    named = [pair for pair in shares if pair[0] >= _LEAST_NAMED][:_MOST_NAMED]
    said = [f"{share:.0%} of the tail is {_words(name, nodes)}" for share, name in named[:1]]
    said += [f"{share:.0%} {_words(name, nodes)}" for share, name in named[1:]]
    return f"p99 is {_point(p99)} ms: {', '.join(said)}".replace("%", " %"), None


def _point(p99: Percentile) -> str:
    if p99.value is not None:
        return f"at least {_number(p99.value)}" if p99.reliability == "unreliable" else _number(p99.value)
    least = _number(p99.at_least)
    return f"at least {least}" if p99.reliability == "unreliable" else f"from {least} to {_number(p99.at_most)}"


def _words(name: PartName, nodes: Sequence[NodeReport]) -> str:
    words = _WORDS[name]
    known = [node for node in nodes if node.tail_path_share is not None]
    if name != "node_path" or len(nodes) < 2 or not known:
        return words
    top = max(known, key=lambda node: node.tail_path_share or 0.0)
    mostly = "" if (top.tail_path_share or 0.0) >= 0.5 else f", {top.tail_path_share:.0%} of it"
    return f"{words} (level {top.level}, node `{top.id}`{mostly})"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"
