"""Compiled programs as DAGs: how inputs are bound, what is refused, and which program and source are named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aether_load.dag.dag import asked_columns
from aether_load.dag.program import ProgramIdentity, read_program
from aether_load.dag.workload import build_workload
from aether_load.datasets.prompt import Prompt
from aether_load.errors import UsageError
from aether_load.protocol import Generation, NodeShape
from aether_load.scenario.load import load_scenario
from aether_load.scenario.workload_plan import WorkloadPlan
from aether_programs import LINES, SOURCE, compiled, install_compiler, path_with, write_program

V2 = Generation.V2
INPUTS: dict[str, str | int | float | bool] = {"complaint": "{{prompt}}", "style": "terse"}
ROW = Prompt("set/0", "set", "Why?", ("so", "no"), 0, {"mood": 'Ann "the" {Bé}'})


def plan_of(
    tmp_path: Path, value: dict[str, Any] | list[Any] | None = None, *, source: bool = True, **keys: Any
) -> WorkloadPlan:
    keys.setdefault("inputs", INPUTS)
    return WorkloadPlan(dag="program", program=str(write_program(tmp_path, value, source=source)), **keys)


def body_of(plan: WorkloadPlan, row: Prompt = ROW) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(build_workload([row], plan, V2).bodies[0])
    return answer


def prompts_of(body: dict[str, Any]) -> dict[str, str]:
    return {node["id"]: node["prompt_template"] for node in body["dag"]["nodes"]}


def sentence_of(plan: WorkloadPlan) -> str:
    with pytest.raises(UsageError) as refusal:
        build_workload([ROW], plan, V2)
    return str(refusal.value).removeprefix(f"Program {plan.program}: ")


def with_ref(**keys: list[str]) -> dict[str, Any]:
    """A program whose first parameter is another."""
    value = compiled()
    value["nodes"][0]["template_refs"][0] |= keys
    return value


def test_inputs_are_written_into_the_prompts(tmp_path: Path) -> None:
    """Wherever a parameter stands, its ref is gone, and all else of the program is sent as the compiler wrote it."""
    body = body_of(plan_of(tmp_path))
    question = prompts_of(body)["mood"].removeprefix("How müde does this sound, from 1 to 5? ")
    assert question.startswith("Why?\n")
    expected = compiled()
    mood, summary, _ = expected["nodes"]
    mood |= {"prompt_template": f"How müde does this sound, from 1 to 5? {question}", "template_refs": []}
    summary |= {"prompt_template": f"In a terse style, sum up: {question} ({question})", "template_refs": []}
    assert body == {"dag": expected, "context": {}}


def test_inputs_can_go_through_the_context(tmp_path: Path) -> None:
    """The parameters become refs of the context, which is what tests the runtime's own substitution."""
    body = body_of(plan_of(tmp_path, inputs={"complaint": "{{row.mood}}!", "style": "terse"}, bind="context"))
    expected = compiled()
    for node in expected["nodes"]:
        for ref in node["template_refs"]:
            if ref["kind"] == "parameter":
                ref["kind"] = "context"
    assert body == {"dag": expected, "context": {"complaint": 'Ann "the" {Bé}!', "style": "terse"}}


def test_a_binding_mixes_words_of_a_row_with_a_constant(tmp_path: Path) -> None:
    """Columns, the prompt and text around them; numbers and truth are written as JSON has them."""
    plan = plan_of(tmp_path, inputs={"complaint": '{"a": {{ row.mood }}, {{}}} {{row.mood}}', "style": 5})
    assert asked_columns(plan) == {"mood": f"Program {plan.program}: input complaint (of complaint, style)"}
    assert prompts_of(body_of(plan))["summary"] == (
        'In a 5 style, sum up: {"a": Ann "the" {Bé}, {{}}} Ann "the" {Bé} ({"a": Ann "the" {Bé}, {{}}} Ann "the" {Bé})'
    )
    plan = plan_of(tmp_path, inputs={"complaint": "x", "style": True})
    assert prompts_of(body_of(plan))["summary"] == "In a true style, sum up: x (x)"


def test_a_single_text_input_is_bound_to_the_prompt(tmp_path: Path) -> None:
    """Beside inputs of other types, too; an optional one takes its default, or nothing."""
    value = compiled(
        inputs=[
            {"name": "complaint", "type": "string", "required": True},
            {"name": "style", "type": "int", "required": False, "default_value": "3"},
        ]
    )
    workload = build_workload([ROW], plan_of(tmp_path, value, inputs={}), V2)
    assert workload.program is not None
    assert workload.program.inputs == {"complaint": "{{prompt}}", "style": "3"}
    del value["metadata"]["inputs"][1]["default_value"]
    assert prompts_of(body_of(plan_of(tmp_path, value, inputs={})))["summary"].startswith("In a  style, sum up: Why?")


def test_a_parameter_named_prompt_is_the_functions_own(tmp_path: Path) -> None:
    """`{{prompt}}` in a program is a placeholder of the program, not of the harness."""
    value = json.loads(json.dumps(compiled()).replace("{{mood}}", "{{prompt}}").replace("{{text}}", "{{row.mood}}"))
    prompts = prompts_of(body_of(plan_of(tmp_path, value, inputs={"complaint": "tired", "style": "s"})))
    assert prompts["advice"] == "Mood {{prompt}}. Give advice on: {{summary}}"
    assert prompts["mood"] == "How müde does this sound, from 1 to 5? tired"


def test_a_parameter_that_is_a_node_stays_as_it_is(tmp_path: Path) -> None:
    """The runtime does look a parameter up among the outputs of nodes."""
    value = compiled()
    ref = value["nodes"][2]["template_refs"][0]
    value["nodes"][2]["template_refs"][0] = {key: ref[key] for key in ("raw", "required")} | {
        "kind": "parameter", "path": ["mood"]
    }  # fmt: skip
    assert body_of(plan_of(tmp_path, value))["dag"]["nodes"][2] == value["nodes"][2]


def test_a_row_that_holds_a_placeholder_of_the_program_is_refused(tmp_path: Path) -> None:
    """The runtime would put another node's output there; a parameter's name is gone by then, and harms nobody."""
    plan = plan_of(tmp_path, inputs={"complaint": "{{row.mood}}", "style": "s"})
    for text, is_right in (("{{style}} {{text}}", True), ("{{mood}}", False), ("{{ summary }}", False)):
        row = Prompt("set/0", "set", "Why?", columns={"mood": text})
        if is_right:
            assert text in prompts_of(body_of(plan, row))["mood"]
        else:
            with pytest.raises(UsageError, match=r"Row set/0: its text holds \{\{ ?(mood|summary) ?\}\}, which"):
                body_of(plan, row)


LISTING = "The flow tired has the inputs complaint (string), style (string)."


UNBOUND = "without a binding; say what goes there, as in --bind {}={{{{prompt}}}}, or in [workload.inputs]. " + LISTING
NO_WORD = "means nothing; there are {{prompt}} and {{row.COLUMN}};"


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ({}, f"inputs complaint, style {UNBOUND.format('complaint')}"),
        ({"complaint": "x"}, f"input style {UNBOUND.format('style')}"),
        ({**INPUTS, "stile": "x"}, f"there is no input 'stile' to bind; did you mean 'style'? {LISTING}"),
        ({**INPUTS, "x": "x"}, f"there is no input 'x' to bind. {LISTING}"),
        (
            {**INPUTS, "style": "{{promt}}"},
            f"input style = '{{{{promt}}}}': {{{{promt}}}} {NO_WORD} did you mean {{{{prompt}}}}?",
        ),
        (
            {**INPUTS, "style": "{{mood}}"},
            f"input style = '{{{{mood}}}}': {{{{mood}}}} {NO_WORD} a row has no such word.",
        ),
    ],
)
def test_a_binding_that_does_not_fit_is_one_sentence(tmp_path: Path, inputs: dict[str, str], sentence: str) -> None:
    """With the program's own list of inputs."""
    assert sentence_of(plan_of(tmp_path, inputs=inputs)) == sentence


NO_PROGRAM = "it is no compiled program: metadata or nodes are missing; give what aetherc compile writes, or a DAG of "


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({"dag": compiled()}, "it is a request and no compiled program; send it with --dag-file."),
        (compiled(compiled_at=[]), "metadata.compiled_at = []: expected a text, got a list."),
        (compiled(inputs=[{"name": "a b", "type": "string"}]), "metadata.inputs: 'a b' is no name of an input."),
        (compiled(inputs={}), "metadata.inputs = {}: expected a list, got an object."),
        ({"nodes": []}, f"{NO_PROGRAM}your own with --dag-file."),
        ([], f"{NO_PROGRAM}your own with --dag-file."),
        (compiled() | {"nodes": []}, "it has no nodes."),
        (
            with_ref(path=["elsewhere"]),
            f"node 'mood': {{{{text}}}} reads 'elsewhere', which is neither an input nor a node. {LISTING}",
        ),
        (
            with_ref(path=["complaint", "body"]),
            "node 'mood': {{text}} reads complaint.body, a part of an input, and only whole inputs can be bound.",
        ),
        (
            compiled() | {"nodes": [compiled()["nodes"][0] | {"dependencies": ["x"]}]},
            "node 'mood': dependencies names 'x', which is no node; there are mood.",
        ),
    ],
)
def test_what_is_no_program_is_one_sentence(tmp_path: Path, value: dict[str, Any] | list[Any], sentence: str) -> None:
    """Exit code 2, before any load."""
    assert sentence_of(plan_of(tmp_path, value)) == sentence


def test_a_program_is_of_v2(tmp_path: Path) -> None:
    """A v1 runtime fills in nothing."""
    plan = plan_of(tmp_path)
    with pytest.raises(UsageError) as refusal:
        build_workload([ROW], plan, Generation.V1)
    assert str(refusal.value) == (f"Program {plan.program}: a compiled program is of v2, and the target speaks v1.")


def test_nodes_have_their_function_and_the_line_of_their_source(tmp_path: Path) -> None:
    """The line is counted where the compiler wrote an offset, taken where it wrote a line, and absent otherwise."""
    functions = {"mood": "rate", "summary": "sum_up", "advice": "advise"}

    def nodes(value: dict[str, Any] | None = None, **more: bool) -> dict[str, Any]:
        return {node.id: node.source for node in build_workload([ROW], plan_of(tmp_path, value, **more), V2).nodes}

    workload = build_workload([ROW], plan_of(tmp_path), V2)
    assert workload.nodes == tuple(
        NodeShape(id_, ("mood", "summary") if id_ == "advice" else (), functions[id_], f"tired.aether:{line}")
        for id_, line in LINES.items()
    )
    right = {id_: f"tired.aether:{line}" for id_, line in LINES.items()}
    by_line = compiled()
    for node in by_line["nodes"]:
        node["source_location"] |= {"line": LINES[node["id"]], "column": 5}
    assert nodes(by_line) == right
    # An older source beside the program, one that was edited, and none.
    (tmp_path / "tired.aether").write_text("// Edited.\n" * 3 + SOURCE, encoding="utf-8")
    assert set(nodes(by_line, source=False).values()) == {None}
    (tmp_path / "tired.aether").unlink()
    assert nodes(by_line, source=False) == right
    assert set(nodes(source=False).values()) == {None}


def test_a_hash_is_of_what_the_program_does(tmp_path: Path) -> None:
    """Not of when, where and from which file it was compiled, nor of where its statements stand."""
    identity = build_workload([ROW], plan_of(tmp_path), V2).program
    assert identity is not None
    assert identity == ProgramIdentity(
        flow_name="tired", compiler_version="0.1.0", hash=identity.hash, source_file="tired.aether",
        inputs={"complaint": "{{prompt}}", "style": "terse"},
    )  # fmt: skip
    assert identity.title == f"program tired {identity.hash}, aetherc 0.1.0"

    def hash_of(value: dict[str, Any]) -> str:
        return read_program(str(write_program(tmp_path, value))).identity({}).hash

    again = compiled(compiled_at="2027-01-01T00:00:00+00:00", source_file="other.aether", compiler_version="0.2.0")
    again["nodes"][0]["source_location"]["line"] = 1
    assert hash_of(again) == identity.hash
    again["nodes"][0]["temperature"] = 0.5
    assert hash_of(again) != identity.hash


def test_rows_that_make_the_runtime_panic_are_counted_in_a_note(tmp_path: Path) -> None:
    """Only through the context, where the runtime cuts its preview of a value."""
    row = Prompt("set/0", "set", "x" * 46 + "éé" + "x" * 10)
    notes = [build_workload([row], plan_of(tmp_path, bind=bind), V2).notes for bind in ("literal", "context")]
    assert notes[0] == ()
    assert "1 of 1 rows (such as set/0)" in notes[1][0]
    assert notes[1][0].endswith('bind = "literal" keeps clear of that.')
    fixed = plan_of(tmp_path, inputs={"complaint": "always", "style": "the same"})
    assert build_workload([row], fixed, V2).notes[0].startswith("No input of the program takes anything")


def test_the_node_whose_prompt_tells_requests_apart(tmp_path: Path) -> None:
    """It holds words of the row and nothing that the runtime fills in; a constant tells nobody apart."""
    assert build_workload([ROW], plan_of(tmp_path), V2).dags[0].prompt_node == "mood"
    only_style = plan_of(tmp_path, inputs={"complaint": "always", "style": "{{prompt}}"})
    assert build_workload([ROW], only_style, V2).dags[0].prompt_node == "summary"
    assert build_workload([ROW], plan_of(tmp_path, bind="context"), V2).dags[0].prompt_node is None


def test_a_source_is_compiled_once_by_the_compiler_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As often as it changes; what it makes is what the compiled file would be."""
    log = install_compiler(tmp_path / "bin")
    monkeypatch.setenv("PATH", path_with(tmp_path / "bin"))
    (tmp_path / "tired.aether").write_text(SOURCE, encoding="utf-8")
    plan = WorkloadPlan(dag="program", program=str(tmp_path / "tired.aether"), inputs=INPUTS)
    assert body_of(plan) == body_of(plan_of(tmp_path, source=False))
    assert [node.source for node in build_workload([ROW], plan, V2).nodes] == [
        "tired.aether:20", "tired.aether:21", "tired.aether:22",
    ]  # fmt: skip
    assert log.read_text() == "tired.aether\n"
    (tmp_path / "tired.aether").write_text(SOURCE + "\n", encoding="utf-8")
    body_of(plan)
    assert log.read_text() == "tired.aether\n" * 2


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "it cannot be read: No such file or directory."),
        ("fn", "aetherc does not compile it (exit code 1): error[E0001]: expected a flow  --> own.aether:1:1"),
        ("flow of nothing", "aetherc ended well and wrote no file for -o."),
    ],
)
def test_a_source_that_is_not_compiled_is_refused_in_the_compilers_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, sentence: str
) -> None:
    """In one sentence with the compiler's message."""
    install_compiler(tmp_path / "bin")
    monkeypatch.setenv("PATH", path_with(tmp_path / "bin"))
    if text is not None:
        (tmp_path / "own.aether").write_text(text)
    assert sentence_of(WorkloadPlan(dag="program", program=str(tmp_path / "own.aether"))) == sentence


def test_without_a_compiler_one_sentence_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile it elsewhere, and give what came of it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "own.aether").write_text(SOURCE)
    assert sentence_of(WorkloadPlan(dag="program", program=str(tmp_path / "own.aether"))) == (
        "there is no aetherc on the PATH to compile it; compile it elsewhere, with aetherc compile own.aether -o "
        "own.json, and give that file."
    )


def test_a_scenario_names_a_program_beside_its_own_file(tmp_path: Path) -> None:
    """`program` alone says that the DAG is a program; inputs are texts, numbers or truth."""
    (tmp_path / "own.toml").write_text(
        '[workload]\nprogram = "tired.json"\nbind = "context"\n[workload.inputs]\ncomplaint = "{{prompt}}"\nstyle = 5\n'
        "[[phases]]\npasses = 1\n"
    )
    plan = load_scenario(tmp_path / "own.toml").workload
    assert (plan.dag, plan.program, plan.bind) == ("program", str(tmp_path / "tired.json"), "context")
    assert plan.inputs == {"complaint": "{{prompt}}", "style": 5}


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ('dag = "program"', 'workload.dag = "program": say which with workload.program = "path.json", or --program'),
        ('dag = "chain"\nprogram = "x.json"',
         "workload.program = 'x.json': it goes with workload.dag = \"program\", not \"chain\"."),
        ('inputs = {x = "y"}', "workload.inputs: it is for a program, which workload.program or --program PATH names."),
        ('bind = "context"', "workload.bind: it is for a program, which workload.program or --program PATH names."),
        ('program = "x.json"\nbind = "contxt"', "workload.bind = 'contxt': did you mean 'context'?"),
        ('program = "x.json"\ninputs = {x = []}', "workload.inputs.* = []: expected"),
        ('answer_node = "x"', "workload.answer_node = 'x': it is for a DAG file or a program;"),
    ],
)  # fmt: skip
def test_keys_that_do_not_go_together_are_refused(tmp_path: Path, keys: str, sentence: str) -> None:
    """One sentence that names the key."""
    (tmp_path / "own.toml").write_text(f"[workload]\n{keys}\n[[phases]]\npasses = 1\n")
    with pytest.raises(UsageError) as refusal:
        load_scenario(tmp_path / "own.toml")
    assert str(refusal.value).startswith(f"Scenario {tmp_path / 'own.toml'}: {sentence}")


def test_the_nodes_of_a_program_that_no_other_reads_answer(tmp_path: Path) -> None:
    """Its only sink is scored; with several, the plan says which."""
    assert build_workload([ROW], plan_of(tmp_path), V2).answer_node == "advice"
    value = compiled()
    del value["nodes"][2]
    assert build_workload([ROW], plan_of(tmp_path, value), V2).answer_node is None
    assert build_workload([ROW], plan_of(tmp_path, value, answer_node="mood"), V2).answer_node == "mood"
    assert "has no such node; did you mean 'mood'?" in sentence_of(plan_of(tmp_path, value, answer_node="moot"))
