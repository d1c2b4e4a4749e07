"""Runs of the first generation."""

from __future__ import annotations

import uuid

from contract.contract_runtime import Runtime, fresh


def test_the_answer_has_exactly_its_fields(v1: Runtime) -> None:
    """An answer has five fields, and a result four; there is no aborted."""
    answer = v1.run(v1.llm("a"))
    assert list(answer) == ["execution_id", "results", "total_execution_time_ms", "total_token_cost", "errors"]
    assert list(answer["results"][0]) == ["node_id", "output", "execution_time_ms", "token_cost"]
    assert str(uuid.UUID(answer["execution_id"])) == answer["execution_id"]


def test_an_llm_node(v1: Runtime) -> None:
    """An LLM node says TODO, and costs 50 tokens and one for four bytes."""
    answer = v1.run(v1.llm("a", "é" * 9), v1.llm("b", None, prompt=None))
    assert [(row["output"], row["token_cost"]) for row in answer["results"]] == [("TODO", 54), ("TODO", 50)]
    assert answer["total_token_cost"] == 104


def test_times_are_whole_milliseconds_that_were_waited_for(v1: Runtime) -> None:
    """An LLM node takes 110 ms, another 100; the total is not below their sum."""
    answer = v1.run(v1.llm("a"), v1.function("f"))
    llm, function = [row["execution_time_ms"] for row in answer["results"]]
    assert (type(llm), type(function), type(answer["total_execution_time_ms"])) == (int, int, int)
    assert llm >= 110
    assert function >= 100
    assert answer["total_execution_time_ms"] >= llm + function


def test_a_function_node(v1: Runtime) -> None:
    """A node of type fn says that it ran, and costs nothing."""
    (row,) = v1.run(v1.function("f"))["results"]
    assert (row["output"], row["token_cost"]) == ("Function f executed", 0)


def test_nodes_run_in_the_order_given(v1: Runtime) -> None:
    """Dependencies mean nothing: not their order, not their circles, not that they are there; nor do equal ids."""
    first = v1.function("b", dependencies=["a", "nowhere"])
    answer = v1.run(first, v1.function("a", dependencies=["b"]), v1.function("b"))
    assert [row["node_id"] for row in answer["results"]] == ["b", "a", "b"]
    assert answer["errors"] == []


def test_a_failed_node_stops_nothing(v1: Runtime) -> None:
    """What comes after a failed node runs, dependents too."""
    refused = v1.llm("a", "jailbreak")
    unknown = {"id": "x", "node_type": "compute", "dependencies": []}
    answer = v1.run(refused, unknown, v1.llm("b", fresh(), dependencies=["a"]))
    assert [row["node_id"] for row in answer["results"]] == ["b"]
    assert answer["errors"] == [
        "Node a: Security violation: Detected blacklisted pattern: jailbreak",
        "Node x: Unknown node type: compute",
    ]


def test_nothing_is_filled_in(v1: Runtime) -> None:
    """Placeholders are sent as they stand, and cost what they are long."""
    answer = v1.run(v1.function("f"), v1.llm("a", "{{f}}{{context.x}}....."))
    assert answer["results"][1]["token_cost"] == 50 + 23 // 4


def test_no_nodes(v1: Runtime) -> None:
    """A DAG without nodes succeeds with nothing."""
    answer = v1.run()
    assert (answer["results"], answer["errors"], answer["total_token_cost"]) == ([], [], 0)
