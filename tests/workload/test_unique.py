"""Prompts that no cache has seen."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aether_load.dag.unique import MARK, mark_of, with_mark
from aether_load.dag.workload import build_workload
from aether_load.datasets.prompt import Prompt
from aether_load.protocol import Generation
from aether_load.scenario.workload_plan import DagName, WorkloadPlan

PROMPTS = [
    Prompt("set/0", "set", "Why?"),
    Prompt("set/1", "set", 'Quote " backslash \\ umlaut ü emoji 🙂 and a line\nbreak', ("a", "b"), 1),
    Prompt("set/2", "set", "{{not.a.ref}} {{node.x.output}}"),
]


def sent(body: bytes, request: int) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(body.replace(MARK, mark_of("run", request)))
    return answer


def prompts_in(request: dict[str, Any]) -> list[str]:
    nodes = request.get("dag", request)["nodes"]
    return [node.get("prompt_template") or node.get("prompt") for node in nodes]


@pytest.mark.parametrize("generation", list(Generation))
@pytest.mark.parametrize("dag", ["single", "chain", "fan_out", "triage", "extraction"])
def test_a_marked_request_is_the_same_but_for_its_remark(generation: Generation, dag: DagName) -> None:
    """Every prompt ends with the remark; everything else, and the length, stays as it was."""
    plain = build_workload(PROMPTS, WorkloadPlan(dag=dag), generation)
    for body in plain.bodies:
        marked = with_mark(body)
        request = sent(marked, 7)
        remark = f"\n\n(Request {mark_of('run', 7).decode()}.)"
        assert all(prompt.endswith(remark) for prompt in prompts_in(request))
        for node in request.get("dag", request)["nodes"]:
            for key in ("prompt_template", "prompt"):
                if isinstance(node.get(key), str):
                    node[key] = node[key].removesuffix(remark)
        assert request == json.loads(body)
        assert len(marked.replace(MARK, mark_of("run", 7))) == len(marked)


def test_each_request_has_its_own_mark_and_the_seed_decides_it() -> None:
    """None twice among many, of one length, the same for the same run and another in another run."""
    marks = [mark_of("run", request) for request in range(20_000)]
    assert len(set(marks)) == len(marks)
    assert {len(mark) for mark in marks} == {len(MARK)} == {16}
    assert marks[:100] == [mark_of("run", request) for request in range(100)]
    assert not set(marks) & {mark_of("another", request) for request in range(20_000)}
    assert MARK not in marks


def test_a_long_seed_is_taken_as_it_is() -> None:
    """A run's id may be longer than a hash's key."""
    assert mark_of("x" * 500, 1) != mark_of("x" * 500, 2)
