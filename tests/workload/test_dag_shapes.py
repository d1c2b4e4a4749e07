"""The DAGs that ship: what is sent for a row, in both generations."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from aether_load.dag.file import read_dag_file
from aether_load.dag.workload import Workload, build_workload
from aether_load.datasets.prompt import Prompt
from aether_load.datasets.question import question_text
from aether_load.errors import UsageError
from aether_load.protocol import DagRequest, Generation, LlmNode, NodeShape, encode_request
from aether_load.scenario.load import load_scenario
from aether_load.scenario.workload_plan import DagName, WorkloadPlan
from processes import REPOSITORY

V1, V2 = Generation.V1, Generation.V2
CHOICE = Prompt("set/0", "set", "Why?", ("so", "no"), 0)
PLAIN = Prompt("set/1", "set", "Sing.")
LETTERED = "Why?\n\nA. so\nB. no"
PLANS = {
    "single": {},
    "chain": {"dag_nodes": 4},
    "fan_out": {"dag_nodes": 3},
    "triage": {},
    "extraction": {},
}
# Substrings on which the runtime's guard refuses a prompt, in any case.
GUARDED = (
    "ignore previous instructions", "forget everything above", "system prompt", "jailbreak", "dan mode",
    "developer mode", "ignore all previous", "act as if", "pretend you are", "roleplay as", "badword1", "badword2",
    "offensive",
)  # fmt: skip


def built(dag: DagName, generation: Any = V2, prompts: Any = (CHOICE,), **keys: Any) -> Workload:
    return build_workload(list(prompts), WorkloadPlan(dag=dag, **keys), generation)


def nodes_of(body: bytes) -> list[dict[str, Any]]:
    value = json.loads(body)
    answer: list[dict[str, Any]] = value.get("dag", value)["nodes"]
    return answer


def ref(node_id: str) -> dict[str, Any]:
    return {
        "raw": f"{{{{node.{node_id}.output}}}}",
        "kind": "node_output",
        "node_id": node_id,
        "field": "output",
        "path": [],
        "required": True,
    }


def node(node_id: str, prompt: str, *reads: str) -> dict[str, Any]:
    fields: dict[str, Any] = {"id": node_id, "node_type": "llm_fn", "prompt_template": prompt, "model": "gpt-4o-mini",
              "dependencies": list(reads)}  # fmt: skip
    if reads:
        fields["template_refs"] = [ref(read) for read in reads]
    return {**fields, "temperature": 0.0, "max_tokens": 16}


@pytest.mark.parametrize("generation", Generation)
@pytest.mark.parametrize("prompt", [CHOICE, PLAIN, Prompt("q/0", "q", 'é "{{answer}}" \\ \x01\u2028', ("{{a}}", "b"))])
def test_a_single_node_is_byte_for_byte_the_question(generation: Generation, prompt: Prompt) -> None:
    """What stands in the text stands in the body, braces too: one node has nothing to fill in."""
    only = LlmNode("answer", question_text(prompt), "gpt-4o-mini", 0.0, 16)
    expected = encode_request(DagRequest(f"aether_load_{prompt.dataset}", (only,)), generation)
    workload = built("single", generation, [prompt])
    assert workload.bodies == (expected,)
    assert (workload.nodes, workload.answer_node) == ((NodeShape("answer"),), "answer")


def test_a_chain_reads_the_node_before(tmp_path: Path) -> None:
    """Each node has the question literally and the output of the one before through its ref; the last is asked."""
    ask = "Answer with one letter only: A or B."
    first = "Do not answer yet. Say in one sentence what the answer depends on."
    then = "Step 2 of 3: say in one sentence what the text bears out, and what it does not."
    workload = built("chain", prompts=[CHOICE, PLAIN])
    assert [nodes_of(body) for body in workload.bodies] == [
        [
            node("step_1", f"{LETTERED}\n\n{first}"),
            node("step_2", f"{LETTERED}\n\nWhat step 1 says: {{{{node.step_1.output}}}}\n\n{then}", "step_1"),
            node("answer", f"{LETTERED}\n\nWhat step 2 says: {{{{node.step_2.output}}}}\n\n{ask}", "step_2"),
        ],
        [
            node("step_1", f"Sing.\n\n{first}"),
            node("step_2", f"Sing.\n\nWhat step 1 says: {{{{node.step_1.output}}}}\n\n{then}", "step_1"),
            node("answer", "Sing.\n\nWhat step 2 says: {{node.step_2.output}}\n\n"
                 "Now give the answer, and nothing else.", "step_2"),
        ],
    ]  # fmt: skip
    assert workload.nodes == (NodeShape("step_1"), NodeShape("step_2", ("step_1",)), NodeShape("answer", ("step_2",)))


def test_a_chain_of_one_is_the_single_node() -> None:
    """A sweep over lengths may begin at one."""
    assert built("chain", dag_nodes=1).bodies == built("single").bodies


def test_a_fan_out_is_joined() -> None:
    """Four readers by default, no two with the same prompt, and one node that reads all of them."""
    workload = built("fan_out")
    *readers, answer = nodes_of(workload.bodies[0])
    assert len({reader["prompt_template"] for reader in readers}) == 4
    assert [reader["dependencies"] for reader in readers] == [[]] * 4
    assert answer["template_refs"] == [ref(f"reader_{number}") for number in range(1, 5)]
    assert answer["dependencies"] == [f"reader_{number}" for number in range(1, 5)]


LEVELS = {
    "single": [["answer"]],
    "chain": [["step_1"], ["step_2"], ["step_3"], ["answer"]],
    "fan_out": [["reader_1", "reader_2", "reader_3"], ["answer"]],
    "triage": [["urgency", "category", "sentiment"], ["route"], ["reply"]],
    "extraction": [["parties", "dates", "figures", "topic"], ["merge"], ["validate"]],
}


def levels(nodes: tuple[NodeShape, ...]) -> list[list[str]]:
    depth: dict[str, int] = {}
    for shape in nodes:
        depth[shape.id] = 1 + max((depth[needed] for needed in shape.depends_on), default=-1)
    return [[name for name in depth if depth[name] == level] for level in range(max(depth.values()) + 1)]


@pytest.mark.parametrize("generation", Generation)
@pytest.mark.parametrize("dag", PLANS)
def test_each_shape_stands_in_its_levels_and_in_an_order_that_v1_can_run(dag: DagName, generation: Generation) -> None:
    """Both generations have the same nodes; each node comes after what it waits for."""
    assert levels(built(dag, generation, **PLANS[dag]).nodes) == LEVELS[dag]


@pytest.mark.parametrize("generation", Generation)
@pytest.mark.parametrize("dag", PLANS)
def test_each_shape_is_a_file_that_is_found_right(dag: DagName, generation: Generation, tmp_path: Path) -> None:
    """What we write ourselves passes the check that the users' files pass, and nothing is left to put in."""
    (body,) = built(dag, generation, [CHOICE], **PLANS[dag]).bodies
    path = tmp_path / "dag.json"
    path.write_bytes(body)
    file = read_dag_file(str(path))
    assert (file.generation, file.nodes) == (generation, built(dag, generation, **PLANS[dag]).nodes)
    assert json.loads(body) == file.body


@pytest.mark.parametrize("dag", PLANS)
def test_nothing_is_filled_in_on_v1_and_no_placeholder_pretends_it(dag: DagName) -> None:
    """A v1 body has the nodes with their dependencies and no braces at all."""
    (body,) = built(dag, V1, **PLANS[dag]).bodies
    assert b"{{" not in body
    assert [set(made) for made in nodes_of(body)] == [{"id", "node_type", "prompt", "model", "dependencies"}] * len(
        nodes_of(body)
    )


@pytest.mark.parametrize("dag", PLANS)
def test_no_words_of_ours_trip_the_guard(dag: DagName) -> None:
    """A refusal is the row's, never the shape's."""
    (body,) = built(dag, **PLANS[dag]).bodies
    assert [phrase for phrase in GUARDED if phrase in body.decode().lower()] == []


@pytest.mark.parametrize(
    ("dag", "scored", "column"), [("triage", "category", "query"), ("extraction", "topic", "document")]
)
def test_the_bundled_rows_are_ready_for_their_dag(dag: DagName, scored: str, column: str) -> None:
    """Plain ASCII, none twice, no braces, no phrase of the guard's; every one has options and one of them is right."""
    scenario = load_scenario(REPOSITORY / "scenarios" / f"{dag}.toml")
    (file,) = scenario.workload.files.values()
    rows = [json.loads(line) for line in Path(file.path).read_text(encoding="ascii").splitlines()]
    texts = [row[column] for row in rows]
    assert len(set(texts)) == len(texts) == {"triage": 40, "extraction": 20}[dag]
    assert [text for text in texts if "{{" in text or any(phrase in text.lower() for phrase in GUARDED)] == []
    assert [row for row in rows if row[file.answer] not in row[file.options]] == []
    right = [row[file.answer] for row in rows]
    assert max(right.count(option) for option in rows[0][file.options]) <= len(rows) / 4
    assert built(dag).answer_node == scored


def test_options_are_lettered_where_the_category_is_asked_for() -> None:
    """The letter's meaning goes on to the node that reads it; without options one or two words are asked for."""
    choices, plain = (nodes_of(body) for body in built("triage", prompts=[CHOICE, PLAIN]).bodies)
    ask = "Which category does this support request belong to?\n\nRequest: "
    assert choices[1]["prompt_template"] == f"{ask}{LETTERED}\n\nAnswer with one letter only: A or B."
    assert plain[1]["prompt_template"] == f"{ask}Sing.\n\nAnswer in one or two words."
    assert "\nCategory (A is so, B is no): {{node.category.output}}\n" in choices[3]["prompt_template"]
    assert "\nCategory: {{node.category.output}}\n" in plain[3]["prompt_template"]


def test_a_row_that_holds_a_placeholder_of_the_dag_is_refused() -> None:
    """The runtime would put a node's output into the row's own text."""
    for text in ("What is {{step_1}}?", "What is {{ node.step_2.output }}?"):
        with pytest.raises(UsageError) as raised:
            built("chain", prompts=[Prompt("set/7", "set", text)])
        match = re.search("{{.*}}", text)
        assert match is not None
        assert str(raised.value) == (
            f"Row set/7: its text holds {match[0]}, which the runtime would take for the DAG's own "
            "placeholder and fill in. Take the row out of the dataset, or give the node another id."
        )
    assert b"{{other}}" in built("chain", prompts=[Prompt("set/7", "set", "What is {{other}}?")]).bodies[0]
    assert b"{{step_1}}" in built("chain", V1, prompts=[Prompt("set/7", "set", "What is {{step_1}}?")]).bodies[0]


def test_a_body_over_two_mebibytes_is_refused_with_its_row() -> None:
    """The longest body that a runtime takes is taken; one byte more is not."""
    frame = len(built("single", prompts=[Prompt("set/3", "set", "x")]).bodies[0]) - 1
    longest = 2 * 1024 * 1024
    (body,) = built("single", prompts=[Prompt("set/3", "set", "x" * (longest - frame))]).bodies
    assert len(body) == longest
    with pytest.raises(UsageError) as raised:
        built("single", prompts=[CHOICE, Prompt("set/3", "set", "x" * (longest - frame + 1))])
    assert str(raised.value) == (
        "Row set/3: its request body has 2097153 bytes, and a runtime takes no more than 2097152 (2 MiB). Shorten the "
        "row, or take it out of the dataset."
    )


@pytest.mark.parametrize(
    ("workload", "sentence"),
    [
        (
            'dag = "fanout"',
            "workload.dag = 'fanout': did you mean 'fan_out'?",
        ),
        (
            "dag_nodes = 4",
            'workload.dag_nodes = 4: it is for "chain" and "fan_out"; the number of nodes of "single" is its own.',
        ),
        ('dag = "chain"\ndag_nodes = 0', "workload.dag_nodes = 0: expected a whole number >= 1."),
        ('dag = "fan_out"\ndag_nodes = 101', "workload.dag_nodes = 101: expected a whole number <= 100."),
        ('dag_file = "x.json"', 'workload.dag_file = \'x.json\': it goes with workload.dag = "file", not "single".'),
        (
            'dag = "triage"\nanswer_node = "reply"',
            (
                "workload.answer_node = 'reply': it is for a DAG file or a program; the answering node of "
                '"triage" is its own.'
            ),
        ),
        ('dag = "file"', 'workload.dag = "file": say which with workload.dag_file = "path.json", or --dag-file PATH.'),
    ],
)
def test_keys_that_do_not_go_together_are_one_sentence(workload: str, sentence: str, tmp_path: Path) -> None:
    """Key, value, and what to do."""
    path = tmp_path / "mine.toml"
    path.write_text(f"[workload]\n{workload}\n[[phases]]\npasses = 1\n")
    with pytest.raises(UsageError) as raised:
        load_scenario(path)
    assert str(raised.value) == f"Scenario {path}: {sentence}"
