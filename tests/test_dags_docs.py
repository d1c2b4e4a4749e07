"""docs/dags.md says what is so: its shapes, its keys, its files."""

import json
import re
from pathlib import Path
from typing import get_args

import pytest

from aether_load.dag.file import read_dag_file
from aether_load.dag.workload import build_workload
from aether_load.datasets.prompt import Prompt
from aether_load.protocol import Generation
from aether_load.scenario.load import load_scenario
from aether_load.scenario.workload_plan import DagName, WorkloadPlan
from processes import REPOSITORY

PAGE = (REPOSITORY / "docs" / "dags.md").read_text(encoding="utf-8")
SHAPES = dict(
    re.findall(r"^### (single|chain|fan_out|triage|extraction)\n\n```\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL)
)
FILES = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
ROW = Prompt("set/0", "set", "Why?", columns={"query": "Why?", "customer.plan": "pro"})


def test_every_shape_has_its_section() -> None:
    """The names are those of the key, and the comment beside it lists them."""
    assert [*SHAPES, "file", "program"] == list(get_args(DagName))
    match = re.search(r"^dag = .*# (.*)$", PAGE, re.MULTILINE)
    assert match is not None
    listed = match[1]
    assert re.findall(r"[a-z_]{4,}", listed) == list(get_args(DagName))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_pictures_show_the_nodes_that_are_sent(shape: DagName) -> None:
    """Each node of the default shape stands in its picture, and no other; the default number beside it is so."""
    nodes = [node.id for node in build_workload([ROW], WorkloadPlan(dag=shape), Generation.V2).nodes]
    picture = re.sub(r"dag_nodes = .*", "", SHAPES[shape])
    assert sorted(re.findall(r"[a-z_0-9]+", picture)) == sorted(nodes)
    if number := re.search(r"dag_nodes = (\d+) \(the default\)", SHAPES[shape]):
        given = build_workload([ROW], WorkloadPlan(dag=shape, dag_nodes=int(number[1])), Generation.V2)
        assert [node.id for node in given.nodes] == nodes


def test_the_scenarios_of_the_page_are_valid(tmp_path: Path) -> None:
    """Each fragment is a whole scenario."""
    plans = []
    for number, text in enumerate(re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)):
        (tmp_path / f"{number}.toml").write_text(text)
        plans.append(load_scenario(tmp_path / f"{number}.toml").workload)
    assert [(plan.dag, plan.dag_nodes, plan.answer_node) for plan in plans] == [
        ("fan_out", 8, None),
        ("file", None, "reply"),
        ("program", None, None),
    ]


@pytest.mark.parametrize(("number", "generation"), [(0, Generation.V2), (1, Generation.V1)])
def test_the_files_of_the_page_are_sent(number: int, generation: Generation, tmp_path: Path) -> None:
    """Each is found right, is of the generation said, answers by its last node and loses every placeholder of ours."""
    path = tmp_path / "my.json"
    path.write_text(FILES[number])
    file = read_dag_file(str(path))
    workload = build_workload([ROW], WorkloadPlan(dag="file", dag_file=str(path)), generation)
    assert (file.generation, workload.answer_node) == (generation, "reply")
    assert set(file.columns) == ({"query", "customer.plan"} if generation is Generation.V2 else set())
    left = set(re.findall(r"{{.*?}}", workload.bodies[0].decode()))
    assert left == ({"{{context.plan}}", "{{node.urgency.output}}"} if generation is Generation.V2 else set())
    nodes = json.loads(workload.bodies[0]).get("dag", {}).get("nodes", [])
    raws = [ref["raw"] for node in nodes for ref in node["template_refs"]]
    assert sorted(raws) == sorted(left)


def test_the_rows_of_the_scenarios_are_as_many_as_the_page_says() -> None:
    """Forty requests, twenty documents."""
    for words, name in (("40 requests", "queries"), ("20 documents", "documents")):
        assert f"brings {words}" in PAGE
        lines = (REPOSITORY / "scenarios" / "data" / f"{name}.jsonl").read_text().splitlines()
        assert len(lines) == int(words.split()[0])
