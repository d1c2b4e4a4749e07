"""Runs of today's generation: the answer, levels, policies."""

from __future__ import annotations

import hashlib
import http.client
import re
import uuid
from typing import Any

import pytest

from contract.contract_runtime import Runtime, fresh

ALWAYS = {
    "execution_id",
    "results",
    "total_execution_time_ms",
    "total_token_cost",
    "parallelization_factor",
    "cache_hit_rate",
    "errors",
    "max_concurrency_used",
    "aborted",
    "tokens_saved",
    "sequential_mode",
}
WHEN_RUN = {
    "level_execution_times_ms",
    "node_execution_times_ms",
    "node_levels",
    "node_status",
    *(f"{what}_latency_{which}_ms" for what in ("node", "level") for which in ("p50", "p95", "p99")),
}
RAN = {"state": "succeeded", "attempts": 1}
REFUSED = "Security violation: Detected blacklisted pattern: jailbreak"
FAILED = {"state": "failed", "attempts": 1, "error": REFUSED}


def skipped(reason: str) -> dict[str, Any]:
    return {"state": "skipped", "attempts": 0, "skip_reason": reason}


ABORTED = skipped("Aborted due to previous failure")
DEPENDENCY = skipped("Dependency failed")


def ids(answer: dict[str, Any]) -> list[str]:
    return sorted(row["node_id"] for row in answer["results"])


def test_the_answer_has_exactly_its_fields(v2: Runtime) -> None:
    """An answer has its fields; those that are empty are left out."""
    answer = v2.run(v2.llm("a"), v2.function("f"))
    assert set(answer) == ALWAYS | WHEN_RUN
    assert str(uuid.UUID(answer["execution_id"])) == answer["execution_id"]
    rows = {row["node_id"]: row for row in answer["results"]}
    common = {
        "node_id",
        "output",
        "execution_time_ms",
        "token_cost",
        "cache_hit",
        "input_tokens",
        "output_tokens",
        "level",
    }
    assert set(rows["a"]) == common | {"rendered_prompt"}
    assert set(rows["f"]) == common


def test_no_nodes(v2: Runtime) -> None:
    """A DAG without nodes succeeds with nothing, and leaves out what is empty."""
    answer = v2.run()
    assert set(answer) == ALWAYS
    assert (answer["results"], answer["errors"], answer["aborted"]) == ([], [], False)
    assert (answer["max_concurrency_used"], answer["cache_hit_rate"]) == (0, 0.0)


def test_the_mock(v2: Runtime, mock: Runtime) -> None:
    """The mock's text holds the model and the prompt's hash; tokens follow from the prompt's bytes."""
    prompt = fresh(40) + "é"
    (row,) = v2.run(v2.llm("a", prompt, model="gpt-4o"))["results"]
    digest = hashlib.sha256(prompt.encode()).hexdigest()[:16]
    lines = row["output"].split("\n")
    assert lines[:2] == ["[Mock Response]", "Model: gpt-4o"]
    assert digest in lines[2]
    assert re.fullmatch(r"[A-Z][a-z ]+\.", lines[3])
    tokens = (row["input_tokens"], row["output_tokens"], row["token_cost"])
    assert tokens == (10, 52, 62)
    assert row["rendered_prompt"] == prompt


def test_the_default_model(v2: Runtime, mock: Runtime) -> None:
    """A node without a model is answered by gpt-4o-mini."""
    assert "\nModel: gpt-4o-mini\n" in v2.run(v2.llm("a"))["results"][0]["output"]


@pytest.mark.parametrize("kind", ["compute", "conditional", "input", "output"])
def test_nodes_that_are_no_llm_nodes(v2: Runtime, kind: str) -> None:
    """Every other type runs as a function, and costs nothing."""
    (row,) = v2.run({"id": "n", "node_type": kind, "prompt": "not looked at: jailbreak"})["results"]
    assert (row["output"], row["token_cost"], row["cache_hit"]) == ("Function n executed", 0, False)


def test_an_llm_node_without_a_prompt_is_a_function(v2: Runtime) -> None:
    """An LLM node that has no prompt runs as a function."""
    (row,) = v2.run({"id": "n", "node_type": "llm_fn"})["results"]
    assert (row["output"], "rendered_prompt" in row) == ("Function n executed", False)


def test_the_template_goes_before_the_older_prompt(v2: Runtime) -> None:
    """prompt_template is used where there are both, prompt where it is alone."""
    new, old = fresh(), fresh()
    rows = v2.run(v2.llm("a", new, prompt=old), {"id": "b", "node_type": "llm_fn", "prompt": old})["results"]
    assert {row["node_id"]: row["rendered_prompt"] for row in rows} == {"a": new, "b": old}


def test_times_are_whole_milliseconds_that_were_waited_for(v2: Runtime, mock: Runtime) -> None:
    """A completion takes 60 ms, a cached one and a function 10; levels and total hold their nodes."""
    node = v2.llm("a")
    first = v2.run(node, v2.function("f", dependencies=["a"]))
    times = first["node_execution_times_ms"]
    assert times["a"] >= 60
    assert times["f"] >= 10
    assert v2.run(node)["node_execution_times_ms"]["a"] >= 10
    assert {row["node_id"]: row["execution_time_ms"] for row in first["results"]} == times
    levels = first["level_execution_times_ms"]
    assert levels[0] >= times["a"]
    assert levels[1] >= times["f"]
    assert first["total_execution_time_ms"] >= sum(levels)
    assert all(type(number) is int for number in (*times.values(), *levels, first["total_execution_time_ms"]))


def test_percentiles_are_those_of_the_answer(v2: Runtime) -> None:
    """The percentiles are taken at the floored index among the nodes, and among the levels."""
    answer = v2.run(v2.llm("a"), v2.function("b"), v2.function("c", dependencies=["b"]))
    for what, values in (
        ("node", sorted(row["execution_time_ms"] for row in answer["results"])),
        ("level", sorted(answer["level_execution_times_ms"])),
    ):
        wanted = [values[int(share * (len(values) - 1))] for share in (0.5, 0.95, 0.99)]
        assert [answer[f"{what}_latency_{which}_ms"] for which in ("p50", "p95", "p99")] == wanted


def test_levels_are_the_longest_way_from_a_root(v2: Runtime) -> None:
    """A node's level is one below its deepest dependency; a dependency that is not there does not count."""
    nodes = [
        v2.function("join", dependencies=["short", "deep"]),
        v2.function("deep", dependencies=["middle"]),
        v2.function("middle", dependencies=["root"]),
        v2.function("short", dependencies=["root"]),
        v2.function("root", dependencies=["nowhere"]),
    ]
    answer = v2.run(*nodes)
    assert answer["node_levels"] == {"root": 0, "middle": 1, "short": 1, "deep": 2, "join": 3}
    assert [row["level"] for row in answer["results"]] == [0, 1, 1, 2, 3]
    assert (len(answer["level_execution_times_ms"]), answer["max_concurrency_used"]) == (4, 2)


def test_results_come_in_order_of_completion(v2: Runtime, mock: Runtime) -> None:
    """Of one level, what is done first comes first."""
    answer = v2.run(v2.llm("slow"), v2.function("fast"))
    assert [row["node_id"] for row in answer["results"]] == ["fast", "slow"]


def test_the_parallelization_factor(v2: Runtime) -> None:
    """The factor is the nodes' time over the total; in sequential mode it is 1."""
    nodes = [v2.llm("a"), v2.llm("b")]
    answer = v2.run(*nodes)
    wanted = sum(answer["node_execution_times_ms"].values()) / answer["total_execution_time_ms"]
    assert answer["parallelization_factor"] == pytest.approx(wanted)
    assert v2.run(*nodes, query="?sequential=true")["parallelization_factor"] == 1.0


def test_sequential_mode(v2: Runtime) -> None:
    """One node at a time: the total holds the sum of all nodes."""
    answer = v2.run(v2.function("a"), v2.function("b"), v2.function("c"), query="?sequential=true")
    assert (answer["sequential_mode"], answer["max_concurrency_used"]) == (True, 1)
    assert answer["total_execution_time_ms"] >= sum(answer["node_execution_times_ms"].values())
    assert v2.run(v2.function("a"), query="?sequential=false")["sequential_mode"] is False


@pytest.mark.parametrize("needs", [{"a": "a"}, {"a": "b", "b": "a"}, {"a": "b", "b": "c", "c": "a"}])
def test_cycles(v2: Runtime, needs: dict[str, str]) -> None:
    """A circle of dependencies runs nothing and is told at 200, also beside nodes that could run."""
    nodes = [v2.function(name, dependencies=[needed]) for name, needed in needs.items()]
    answer = v2.run(*nodes, v2.function("free"), v2.function("below", dependencies=["a"]))
    assert set(answer) == ALWAYS
    assert (answer["aborted"], answer["results"], answer["parallelization_factor"]) == (True, [], 0.0)
    (error,) = answer["errors"]
    match = re.fullmatch(r"Cycle detected in DAG involving node '(\w+)'", error)
    assert match is not None
    assert match[1] in needs


def test_two_nodes_of_one_id(v2: Runtime) -> None:
    """Two nodes of one id end in a closed connection without an answer."""
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        v2.run(v2.function("a"), v2.function("a"))


def policy_dag(v2: Runtime, policy: str | None) -> list[dict[str, Any]]:
    hints = {} if policy is None else {"execution_hints": {"error_policy": policy}}
    return [
        v2.function("good", **hints),
        v2.llm("bad", "a jailbreak"),
        v2.function("below", dependencies=["bad"]),
        v2.function("beside", dependencies=["good"]),
        v2.function("last", dependencies=["below"]),
    ]


@pytest.mark.parametrize("policy", [None, "fail", "fail_fast", "FAIL", "collect"])
def test_fail_finishes_the_level_and_skips_the_rest(v2: Runtime, policy: str | None) -> None:
    """By default, and for policies that it does not know, the failed node's level is finished and the rest skipped."""
    answer = v2.run(*policy_dag(v2, policy))
    assert answer["node_status"] == {
        "good": RAN,
        "bad": FAILED,
        "below": ABORTED,
        "beside": ABORTED,
        "last": ABORTED,
    }
    assert sorted(answer["skipped_nodes"]) == ["below", "beside", "last"]
    assert (answer["aborted"], answer["errors"]) == (True, [f"Node bad: {REFUSED}"])
    assert len(answer["level_execution_times_ms"]) == 1
    assert answer["node_execution_times_ms"]["bad"] == 0
    assert set(answer["node_execution_times_ms"]) == {"good", "bad"}
    assert len(answer["node_levels"]) == 5


def test_skip_goes_on_with_what_is_independent(v2: Runtime) -> None:
    """With skip, dependents of a failed node are skipped, and theirs, and everything else runs."""
    answer = v2.run(*policy_dag(v2, "skip"))
    assert answer["node_status"] == {
        "good": RAN,
        "bad": FAILED,
        "below": DEPENDENCY,
        "beside": RAN,
        "last": DEPENDENCY,
    }
    assert (answer["aborted"], answer["skipped_nodes"]) == (False, ["below", "last"])
    assert len(answer["level_execution_times_ms"]) == 3


def test_retry_retries_nothing(v2: Runtime) -> None:
    """With retry, every node runs once, dependents of failed ones too."""
    retry = {"max_attempts": 3, "base_delay_ms": 1, "strategy": "constant"}
    nodes = policy_dag(v2, "retry")
    nodes[1]["execution_hints"] = {"retry": retry}
    answer = v2.run(*nodes)
    assert answer["node_status"] == {"good": RAN, "bad": FAILED, "below": RAN, "beside": RAN, "last": RAN}
    assert (answer["aborted"], answer["errors"], "skipped_nodes" in answer) == (False, [f"Node bad: {REFUSED}"], False)


def test_only_the_first_nodes_policy_counts(v2: Runtime) -> None:
    """A policy on any other node means nothing."""
    nodes = policy_dag(v2, None)
    nodes[1]["execution_hints"] = {"error_policy": "skip"}
    assert v2.run(*nodes)["aborted"] is True


def test_a_failure_in_sequence_breaks_the_level_off(v2: Runtime) -> None:
    """In sequence, nodes of the level that were not reached stand nowhere; in which order they run is not defined."""
    nodes = [v2.llm("bad", "a jailbreak"), v2.function("good"), v2.function("below", dependencies=["bad"])]
    answer = v2.run(*nodes, query="?sequential=true")
    reached = {"good": RAN} if ids(answer) else {}
    assert answer["node_status"] == {**reached, "bad": FAILED, "below": ABORTED}
    assert (answer["aborted"], answer["skipped_nodes"]) == (True, ["below"])
    assert len(answer["level_execution_times_ms"]) == 1


def test_skip_in_sequence(v2: Runtime) -> None:
    """Skip means the same in sequence."""
    answer = v2.run(*policy_dag(v2, "skip"), query="?sequential=true")
    assert (ids(answer), answer["skipped_nodes"]) == (["beside", "good"], ["below", "last"])


def test_a_failed_node_fails_what_needs_its_output(v2: Runtime) -> None:
    """With retry, a dependent that needs the failed node's output fails for want of it."""
    ref = {"raw": "{{node.bad.output}}", "kind": "node_output", "node_id": "bad"}
    below = v2.llm("below", "{{node.bad.output}}", template_refs=[ref], dependencies=["bad"])
    nodes = [v2.llm("bad", "a jailbreak", execution_hints={"error_policy": "retry"}), below]
    assert v2.run(*nodes)["errors"][1].startswith("Node below: Template rendering failed: ")
