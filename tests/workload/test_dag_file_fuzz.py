"""Files nobody would write: each is refused in one sentence, or a runtime takes it and fills everything in."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import urllib3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aether_load.dag.dag import asked_columns
from aether_load.dag.workload import build_workload
from aether_load.datasets.prompt import Prompt
from aether_load.errors import UsageError
from aether_load.protocol import Generation
from aether_load.scenario.workload_plan import WorkloadPlan
from aether_programs import compiled
from processes import running_simulator
from property_tests import examples

if TYPE_CHECKING:
    from hypothesis.strategies._internal.core import DataObject

PATIENT = settings(max_examples=examples(150), deadline=None, suppress_health_check=list(HealthCheck))
NAMES = ["a", "b", "c"]
GOOD: dict[Generation, dict[str, Any]] = {
    Generation.V2: {
        "dag": {
            "schema_version": "1.0",
            "metadata": {"flow_name": "f"},
            "nodes": [
                {
                    "id": "a",
                    "node_type": "llm_fn",
                    "prompt_template": "{{prompt}} {{context.x.y}}",
                    "template_refs": [{"raw": "{{context.x.y}}", "kind": "context", "path": ["x", "y"]}],
                    "temperature": 0.5,
                    "max_tokens": 7,
                    "execution_hints": {"error_policy": "skip"},
                },
                {"id": "b", "node_type": "llm_fn", "prompt": "{{node.a.output}}{{a}}", "dependencies": ["a"]},
                {"id": "c", "node_type": "compute", "dependencies": ["a", "b"]},
            ],
        },
        "context": {"x": {"y": "{{row.z}}"}},
    },
    Generation.V1: {
        "nodes": [
            {"id": "a", "node_type": "llm_fn", "prompt": "{{prompt}} {{row.z}}", "model": "m", "dependencies": []},
            {"id": "b", "node_type": "fn", "prompt": None, "dependencies": ["a"]},
        ]
    },
}
scraps = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2**33),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "x", "{{prompt}}", "{{row.z}}", "{{context.x}}", "{{node.b.output}}", "{{c}}", "{{", *NAMES]),
    st.just([]),
    st.just({}),
    st.lists(st.sampled_from(NAMES), max_size=2),
)


@pytest.fixture(scope="module")
def runtimes() -> Iterator[dict[Generation, str]]:
    """A simulated runtime of each generation that takes no time."""
    with (
        running_simulator("--generation", "v1", "--latency", "constant:0") as first,
        running_simulator("--generation", "v2", "--latency", "constant:0") as second,
    ):
        yield {Generation.V1: f"{first.url}/execute", Generation.V2: f"{second.url}/execute"}


@st.composite
def damaged(draw: st.DrawFn, good: dict[str, Any]) -> dict[str, Any]:
    """A good file with a value or two taken away or replaced, wherever it stands."""
    value = copy.deepcopy(good)
    for _ in range(draw(st.integers(0, 2))):
        held = value
        while True:
            keys = list(held) if isinstance(held, dict) else list(range(len(held)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(held[key], dict | list) and draw(st.integers(0, 5)):
                held = held[key]
                continue
            if draw(st.booleans()):
                del held[key]
            else:
                held[key] = draw(scraps)
            break
    return value


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, Any]:
    """Nodes with any dependencies, whose prompts and refs name anything."""
    placeholders = ["{{prompt}}", "{{row.z}}", "{{context.x.y}}", "{{context.x}}", "{{ node.a.output }}"]
    placeholders += ["{{node.b.output}}", "{{c}}", "{{b}}", '{"j": {}}']
    nodes = []
    for name in NAMES:
        prompt = " ".join(draw(st.lists(st.sampled_from(placeholders), max_size=3)))
        needed = draw(st.lists(st.sampled_from([other for other in NAMES if other < name] or ["a"]), max_size=2))
        needed = [other for other in needed if other != name]
        nodes.append({"id": name, "node_type": "llm_fn", "prompt_template": prompt, "dependencies": needed})
    return {"dag": {"nodes": draw(st.permutations(nodes))}, "context": {"x": {"y": "{{row.z}}"}}}


def sent(
    value: dict[str, Any], generation: Generation, folder: Path, runtimes: dict[Generation, str]
) -> dict[str, Any] | None:
    """The answer to the file, or None when it is refused."""
    path = folder / "dag.json"
    path.write_text(json.dumps(value))
    return answer_to(
        WorkloadPlan(dag="file", dag_file=str(path)), f"DAG file {path}: ", runtimes[generation], generation
    )


def answer_to(plan: WorkloadPlan, begins: str, url: str, generation: Generation) -> dict[str, Any] | None:
    """The answer of a runtime to a row sent by a plan, or None when that is refused in a sentence."""
    try:
        row = Prompt("set/0", "set", "Why?", columns=dict.fromkeys(asked_columns(plan), "zed"))
        workload = build_workload([row], plan, generation)
    except UsageError as error:
        sentence = str(error)
        assert sentence.startswith(begins)
        assert sentence.endswith((".", "?"))
        assert "\n" not in sentence
        return None
    headers = {"content-type": "application/json"}
    answer = urllib3.request("POST", url, body=workload.bodies[0], headers=headers, retries=False)
    assert answer.status == 200, (answer.data, workload.bodies[0])
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize("generation", Generation)
@given(data=st.data())
@PATIENT
def test_a_damaged_file_is_refused_or_runs(
    generation: Generation, data: DataObject, runtimes: dict[Generation, str], tmp_path: Path
) -> None:
    """No traceback on our side, and no refusal, no closed connection and no failed node on the runtime's."""
    value = data.draw(damaged(GOOD[generation]))
    answer = sent(value, generation, tmp_path, runtimes)
    assert answer is None or answer["errors"] == []


@pytest.mark.parametrize("bind", ["literal", "context"])
@given(data=st.data())
@PATIENT
def test_a_damaged_program_is_refused_or_runs(
    bind: Any, data: DataObject, runtimes: dict[Generation, str], tmp_path: Path
) -> None:
    """The same of compiled programs, whose metadata may be damaged, too."""
    path = tmp_path / "program.json"
    path.write_text(json.dumps(data.draw(damaged(compiled()))))
    inputs: dict[str, str | int | float | bool] = {"complaint": "{{prompt}} of {{row.z}}", "style": "{{terse"}
    plan = WorkloadPlan(dag="program", program=str(path), inputs=inputs, bind=bind)
    answer = answer_to(plan, f"Program {path}: ", runtimes[Generation.V2], Generation.V2)
    assert answer is None or answer["errors"] == []


@given(graphs())
@PATIENT
def test_whatever_is_let_through_is_filled_in(
    runtimes: dict[Generation, str], tmp_path_factory: pytest.TempPathFactory, value: dict[str, Any]
) -> None:
    """Each placeholder of a file that is found right is gone from what the model is asked."""
    answer = sent(value, Generation.V2, tmp_path_factory.getbasetemp(), runtimes)
    for result in answer["results"] if answer else ():
        assert "{{" not in result["rendered_prompt"]
