"""The node whose prompt an answer repeats as it was sent, and that prompt in the bytes of each request."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aether_load.dag.workload import build_workload
from aether_load.datasets.prompt import Prompt
from aether_load.load.http.endpoint import Endpoint
from aether_load.load.sending.prepared_requests import PreparedRequests
from aether_load.protocol import Generation
from aether_load.scenario.phase import Phase
from aether_load.scenario.scenario import Scenario
from aether_load.scenario.stage import variants
from aether_load.scenario.workload_plan import DagName, WorkloadPlan

ROWS = [Prompt("set/0", "set", "Why?", ("so", "no"), 0), Prompt("set/1", "set", 'A "quote", a line\nbreak, é')]


@pytest.mark.parametrize(
    ("dag", "node"),
    [
        ("single", "answer"),
        ("chain", "step_1"),
        ("fan_out", "reader_1"),
        ("triage", "urgency"),
        ("extraction", "parties"),
    ],
)
def test_the_prompt_node_of_the_dags_that_ship(dag: DagName, node: str) -> None:
    """The first node that reads no other; a v1 answer repeats no prompt."""
    assert build_workload(ROWS, WorkloadPlan(dag=dag), Generation.V2).dags[0].prompt_node == node
    assert build_workload(ROWS, WorkloadPlan(dag=dag), Generation.V1).dags[0].prompt_node is None


def llm(node_id: str, prompt: str, **fields: list[str]) -> dict[str, Any]:
    return {"id": node_id, "node_type": "llm_fn", "prompt_template": prompt, **fields}


@pytest.mark.parametrize(
    ("nodes", "node"),
    [
        ([llm("a", "{{prompt}}")], "a"),
        ([llm("a", "the same for all"), llm("b", "{{ prompt }}!")], "b"),
        ([llm("a", "{{prompt}}"), llm("b", "{{prompt}}")], "a"),
        ([llm("a", "{{prompt}} {{context.user}}"), llm("b", "{{prompt}}")], "b"),
        ([llm("a", "{{context.user}}"), llm("b", "{{a}} {{prompt}}", dependencies=["a"])], None),
        ([{"id": "f", "node_type": "compute", "prompt_template": "{{prompt}}"}], None),
        ([{"id": "a", "node_type": "llm_fn", "prompt": "{{prompt}}", "prompt_template": None}], "a"),
    ],
)
def test_the_prompt_node_of_a_file(nodes: list[dict[str, Any]], node: str | None, tmp_path: Path) -> None:
    """Words of a row stand in its prompt, and nothing that the runtime fills in."""
    path = tmp_path / "dag.json"
    path.write_text(json.dumps({"dag": {"nodes": nodes}, "context": {"user": "Ann"}}), encoding="utf-8")
    plan = WorkloadPlan(dag="file", dag_file=str(path), answer_node=nodes[-1]["id"])
    assert build_workload(ROWS, plan, Generation.V2).dags[0].prompt_node == node


@pytest.mark.parametrize("dag", ["single", "chain", "triage"])
def test_each_prepared_request_tells_its_prompt(dag: DagName) -> None:
    """As JSON text, in the path of each variant; not where each request has a mark of its own."""
    workload = build_workload(ROWS, WorkloadPlan(dag=dag), Generation.V2)
    phases = (
        Phase(name="a", passes=1),
        Phase(name="b", passes=1, sequential=True),
        Phase(name="c", passes=1, unique_prompts=True),
    )
    stages = variants(Scenario(name="s", workload=WorkloadPlan(dag=dag), phases=phases))
    endpoint = Endpoint.of("http://127.0.0.1:1")
    prepared = PreparedRequests(endpoint, workload.bodies, stages, "seed", workload.prompt_nodes)
    sent = [json.loads(body)["dag"]["nodes"][0]["prompt_template"] for body in workload.bodies]
    for stage in stages:
        prepared.use(stage)
        told = [prepared.prompt_of(place) for place in range(len(ROWS))]
        if stage.unique_prompts:
            assert told == [None, None]
        else:
            assert [one and msgspec.json.decode(one) for one in told] == sent
    unknown = PreparedRequests(endpoint, workload.bodies, stages, "seed")
    assert unknown.prompt_of(0) is None
