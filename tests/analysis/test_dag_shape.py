from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from aether_load.analysis.latency.dag_shape import dag_shape, longest_paths, nodes_alone
from aether_load.protocol import NodeShape

if TYPE_CHECKING:
    from numpy.typing import NDArray

TRIAGE = (
    NodeShape("urgency"),
    NodeShape("category"),
    NodeShape("route", ("urgency", "category")),
    NodeShape("reply", ("route", "nobody")),
)


@st.composite
def shapes_and_times(draw: st.DrawFn) -> tuple[tuple[NodeShape, ...], NDArray[Any]]:
    """A DAG of up to six nodes in any order, and times of a few requests."""
    count = draw(st.integers(1, 6))
    names = draw(st.permutations([f"n{place}" for place in range(count)]))
    needs = {
        name: tuple(sorted(draw(st.sets(st.sampled_from(names[:place]))))) if place else ()
        for place, name in enumerate(names)
    }
    nodes = tuple(NodeShape(f"n{place}", needs[f"n{place}"]) for place in range(count))
    row = st.lists(st.integers(0, 9), min_size=count, max_size=count)
    return nodes, np.array(draw(st.lists(row, min_size=1, max_size=4)), np.int32)


def paths_through(nodes: tuple[NodeShape, ...]) -> list[tuple[int, ...]]:
    """Every way through a DAG, as places of its nodes, one by one."""
    places = {node.id: place for place, node in enumerate(nodes)}

    def ways_to(node: NodeShape) -> list[tuple[int, ...]]:
        befores = [way for id_ in node.depends_on for way in ways_to(nodes[places[id_]])] or [()]
        return [(*way, places[node.id]) for way in befores]

    return [way for node in nodes for way in ways_to(node)]


def test_a_level_is_the_longest_way_from_a_root() -> None:
    """Levels count from 0 as the runtime's do; a dependency on nobody is passed over."""
    shape = dag_shape(TRIAGE)
    assert shape is not None
    assert (shape.level_of, shape.levels) == ((0, 0, 1, 2), 3)
    assert shape.waits_for == ((), (), (0, 1), (2,))


def test_a_cycle_and_no_nodes_have_no_shape() -> None:
    """What no runtime runs has no levels; a lone id of an old run has one."""
    assert dag_shape((NodeShape("a", ("b",)), NodeShape("b", ("a",)))) is None
    assert dag_shape(()) is None
    found = dag_shape(nodes_alone(("only",)))
    assert found is not None
    assert found.level_of == (0,)
    assert nodes_alone(("a", "b")) == ()


def test_equally_long_paths_share_evenly() -> None:
    """Two roots of the same time are each half on the path; a slower one is it alone."""
    shape = dag_shape(TRIAGE)
    assert shape is not None
    paths = longest_paths(shape, np.array([[60, 60, 10, 5], [60, 61, 10, 5]]))
    assert paths.path_ms.tolist() == paths.levels_ms.tolist() == [75, 76]
    assert paths.weight.tolist() == [[0.5, 0.5, 1, 1], [0, 1, 1, 1]]


def test_a_level_waits_for_a_node_that_its_next_does_not_need() -> None:
    """Barriers are what the sum of the levels has more than the longest path."""
    nodes = (NodeShape("slow"), NodeShape("quick"), NodeShape("after", ("quick",)))
    shape = dag_shape(nodes)
    assert shape is not None
    paths = longest_paths(shape, np.array([[100, 10, 50]]))
    assert (paths.levels_ms.tolist(), paths.path_ms.tolist()) == ([150], [100])
    assert paths.weight.tolist() == [[1, 0, 0]]


@given(shapes_and_times())
def test_the_longest_path_is_the_longest_of_all(drawn: tuple[tuple[NodeShape, ...], NDArray[Any]]) -> None:
    """Against every way through the DAG, one by one; the weights of its nodes add up to it."""
    nodes, times = drawn
    shape = dag_shape(nodes)
    assert shape is not None
    paths = longest_paths(shape, times)
    ways = paths_through(nodes)
    assert paths.path_ms.tolist() == [max(sum(row[place] for place in way) for way in ways) for row in times]
    assert paths.levels_ms.tolist() == [
        sum(
            max(time for time, own in zip(row, shape.level_of, strict=True) if own == level)
            for level in range(shape.levels)
        )
        for row in times
    ]
    assert np.allclose((paths.weight * times).sum(axis=1), paths.path_ms)
    assert (paths.path_ms <= paths.levels_ms).all()
    assert ((paths.weight >= 0) & (paths.weight <= 1 + 1e-9)).all()


@given(shapes_and_times())
def test_levels_hold_no_node_before_those_that_it_waits_for(drawn: tuple[tuple[NodeShape, ...], NDArray[Any]]) -> None:
    """Each dependency lies in an earlier level."""
    nodes, _ = drawn
    found = dag_shape(nodes)
    assert found is not None
    level = dict(zip((node.id for node in nodes), found.level_of, strict=True))
    assert all(level[needed] < level[node.id] for node in nodes for needed in node.depends_on)
    assert set(level.values()) == set(itertools.islice(itertools.count(), max(level.values()) + 1))
