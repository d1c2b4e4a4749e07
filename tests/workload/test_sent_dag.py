"""The nodes of several DAGs beside each other: which are one, and what the others are called."""

from typing import Any

import pytest

from aether_load.dag.sent_dag import WorkloadDag, columns_of, list_dags
from aether_load.protocol import NodeShape

A = NodeShape("a")
B_AFTER_A = NodeShape("b", ("a",))
B_ALONE = NodeShape("b")


def dag(*nodes: NodeShape, part: str | None = None, **more: Any) -> WorkloadDag:
    return WorkloadDag(nodes=nodes, part=part, **more)


def ids(dags: tuple[WorkloadDag, ...]) -> list[list[str]]:
    return [[node.id for node in one.columns] for one in dags]


@pytest.mark.parametrize(
    ("dags", "listed"),
    [
        pytest.param([dag(A, B_AFTER_A)], [["a", "b"]], id="one alone"),
        pytest.param([dag(A, B_AFTER_A), dag(A)], [["a", "b"], ["a"]], id="the same node of the same part is one"),
        pytest.param([dag(A), dag(NodeShape("x"))], [["a"], ["x"]], id="ids that nobody shares stay"),
        pytest.param([dag(A, part="chat"), dag(A, part="eval")], [["chat/a"], ["eval/a"]], id="other parts"),
        pytest.param([dag(A), dag(A, part="eval")], [["a"], ["eval/a"]], id="one without a part"),
        pytest.param(
            [dag(A, B_AFTER_A, part="chat"), dag(A, B_ALONE, part="chat")],
            [["a", "chat/b"], ["a", "chat/b#2"]],
            id="other dependencies",
        ),
        pytest.param([dag(A, B_AFTER_A), dag(A, B_ALONE)], [["a", "b"], ["a", "b#2"]], id="and no part"),
        pytest.param(
            [dag(NodeShape("a", function="f")), dag(NodeShape("a", function="g"))],
            [["a"], ["a#2"]],
            id="other functions",
        ),
        pytest.param(
            [dag(A, B_AFTER_A), dag(NodeShape("x"), NodeShape("a", ("x",)), B_AFTER_A)],
            [["a", "b"], ["x", "a#2", "b#2"]],
            id="what waits for another node is another",
        ),
        pytest.param(
            [dag(NodeShape("chat/a")), dag(A, part="chat"), dag(A, part="eval")],
            [["chat/a"], ["chat/a#2"], ["eval/a"]],
            id="a name that is taken",
        ),
    ],
)
def test_nodes_are_one_only_where_they_mean_the_same(dags: list[WorkloadDag], listed: list[list[str]]) -> None:
    assert ids(list_dags(dags)) == listed


def test_dependencies_are_among_the_dags_own_nodes() -> None:
    """Also where a node waits for one that is not there and has the id of another DAG's."""
    found = list_dags([dag(A, B_AFTER_A, part="chat"), dag(A, B_AFTER_A, part="eval"), dag(NodeShape("c", ("a",)))])
    assert columns_of(found) == (
        NodeShape("chat/a"), NodeShape("chat/b", ("chat/a",)), NodeShape("eval/a"),
        NodeShape("eval/b", ("eval/a",)), NodeShape("c"),
    )  # fmt: skip
    assert [one.nodes for one in found] == [(A, B_AFTER_A), (A, B_AFTER_A), (NodeShape("c", ("a",)),)]


def test_a_later_dag_changes_no_name() -> None:
    """It shares the nodes that it has in common with those that are known."""
    known = list_dags([dag(A, part="chat"), dag(A, part="eval")])
    later = list_dags([dag(A, B_AFTER_A, part="chat"), dag(B_ALONE, part="other")], known)
    assert ids(later) == [["chat/a", "chat/b"], ["other/b"]]
    assert ids(list_dags([dag(B_ALONE)], [dag(A, B_AFTER_A)])) == [["b#2"]]


def test_a_cycle_is_listed_too() -> None:
    """No runtime runs it, and a run of it has figures."""
    ring = dag(NodeShape("a", ("b",)), NodeShape("b", ("a",)))
    assert ids(list_dags([ring, dag(NodeShape("c"))])) == [["a", "b"], ["c"]]
