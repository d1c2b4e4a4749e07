"""Check a DAG as a graph; each mistake is a sentence about its nodes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from graphlib import CycleError, TopologicalSorter

from aether_load.errors import UsageError
from aether_load.protocol import NodeShape
from aether_load.scenario.validation import did_you_mean, first_repeated


class DagMistake(Exception):
    """A mistake in a DAG; the text says which node and key, and what to do."""


@contextmanager
def mistakes_in(where: str) -> Iterator[None]:
    """Raise a mistake that is found inside as a UsageError that begins with the file."""
    try:
        yield
    except DagMistake as mistake:
        raise UsageError(f"{where}: {mistake}") from None
    except RecursionError:
        raise UsageError(f"{where}: it is nested too deep.") from None


def check_graph(nodes: Sequence[NodeShape]) -> None:
    """Raise DagMistake for ids that stand twice, dependencies that lead nowhere, and cycles.

    The runtime breaks off without an answer at the first, passes over the second in silence, and answers the third
    with an aborted DAG.
    """
    if not nodes:
        raise DagMistake("it has no nodes.")
    ids = [node.id for node in nodes]
    if (twice := first_repeated(ids)) is not None:
        raise DagMistake(f"node {twice!r}: id {twice!r} stands there twice; each node needs one of its own.")
    known = set(ids)
    for node in nodes:
        for needed in node.depends_on:
            if needed not in known:
                raise DagMistake(
                    f"node {node.id!r}: dependencies names {needed!r}, which is no node; {did_you_mean(needed, ids)}"
                )
    if cycle := find_cycle(nodes):
        raise DagMistake(f"dependencies go round in a circle: {' needs '.join(map(repr, [*cycle, cycle[0]]))}.")


def find_cycle(nodes: Sequence[NodeShape]) -> list[str]:
    """Return ids of which each depends on the next and the last on the first, or nothing when there is no cycle."""
    try:
        TopologicalSorter({node.id: node.depends_on for node in nodes}).prepare()
    except CycleError as error:
        _, needed_first = error.args
        return list(reversed(needed_first[1:]))
    return []


def ancestors(nodes: Sequence[NodeShape], node_id: str) -> set[str]:
    """Return the nodes that are always finished before `node_id` begins: its dependencies, theirs, and so on."""
    needs = {node.id: node.depends_on for node in nodes}
    found: set[str] = set()
    open_ends = list(needs[node_id])
    while open_ends:
        name = open_ends.pop()
        if name not in found:
            found.add(name)
            open_ends += needs[name]
    return found


def sinks(nodes: Sequence[NodeShape]) -> list[str]:
    """Return the nodes that no other depends on, in their order."""
    needed = {name for node in nodes for name in node.depends_on}
    return [node.id for node in nodes if node.id not in needed]
