"""DAGs as graphs: cycles, ancestors, ends."""

from hypothesis import given
from hypothesis import strategies as st

from aether_load.dag.check import ancestors, find_cycle, sinks
from aether_load.protocol import NodeShape


@st.composite
def graphs(draw: st.DrawFn) -> list[NodeShape]:
    """Nodes in any order, each with dependencies on any, itself too."""
    count = draw(st.integers(1, 9))
    names = [f"n{number}" for number in range(count)]
    needs = [tuple(draw(st.lists(st.sampled_from(names), max_size=3))) for _ in names]
    return [NodeShape(name, needed) for name, needed in zip(names, needs, strict=True)]


def reachable(nodes: list[NodeShape], start: str) -> set[str]:
    """By brute force: what can be reached from a node in one step or more."""
    needs = {node.id: set(node.depends_on) for node in nodes}
    found = set(needs[start])
    for _ in nodes:
        found |= {other for name in found for other in needs[name]}
    return found


@given(graphs())
def test_a_cycle_is_found_where_there_is_one_and_it_is_one(nodes: list[NodeShape]) -> None:
    """Each node of it depends on the next, the last on the first, and no node stands there twice."""
    needs = {node.id: node.depends_on for node in nodes}
    cycle = find_cycle(nodes)
    assert bool(cycle) == any(node.id in reachable(nodes, node.id) for node in nodes)
    assert len(set(cycle)) == len(cycle)
    for name, following in zip(cycle, [*cycle[1:], *cycle[:1]], strict=True):
        assert following in needs[name]


@given(graphs())
def test_ancestors_are_all_that_can_be_reached(nodes: list[NodeShape]) -> None:
    """Dependencies, theirs, and so on."""
    for node in nodes:
        assert ancestors(nodes, node.id) == reachable(nodes, node.id)


def test_a_long_chain_is_no_trouble() -> None:
    """Ten thousand nodes in a row, and in a ring: no recursion ends it."""
    chain = [NodeShape("0"), *(NodeShape(str(n), (str(n - 1),)) for n in range(1, 10_000))]
    ring = [NodeShape("0", ("9999",)), *chain[1:]]
    assert find_cycle(chain) == []
    assert len(find_cycle(ring)) == 10_000
    assert sinks(chain) == ["9999"]
    assert sinks(ring) == []
