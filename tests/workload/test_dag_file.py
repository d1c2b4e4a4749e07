"""The user's own DAG file: what is put in for a row, what is filled in for the runtime, and every mistake."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aether_load.dag.dag import asked_columns
from aether_load.dag.file import read_dag_file
from aether_load.dag.workload import build_workload
from aether_load.datasets.dataset import hub_prompts
from aether_load.datasets.prompt import Prompt
from aether_load.errors import UsageError
from aether_load.protocol import Generation, NodeShape
from aether_load.scenario.workload_plan import WorkloadPlan

ROW = Prompt("set/0", "set", "Why?", ("so", "no"), 0, {"who": 'Ann "the" \\ Bé\n', "extra.tier": "pro"})
GOOD_V2 = {
    "dag": {
        "metadata": {"flow_name": "mine"},
        "nodes": [
            {"id": "a", "node_type": "llm_fn", "prompt_template": "{{prompt}}", "unknown_to_us": {"x": 0.10}},
            {
                "id": "b",
                "node_type": "llm_fn",
                "prompt_template": '{{context.user.name}} {{ node.a.output }} {{a}} {{row.who}} {"a": {{}}}',
                "dependencies": ["a"],
            },
        ],
    },
    "context": {"user": {"name": "{{row.who}} on {{row.extra.tier}}"}},
}
GOOD_V1 = {
    "nodes": [
        {"id": "a", "node_type": "llm_fn", "prompt": "{{prompt}}", "dependencies": []},
        {"id": "b", "node_type": "fn", "dependencies": ["a"]},
    ]
}


def plan_of(tmp_path: Path, value: Any, **keys: Any) -> WorkloadPlan:
    path = tmp_path / "dag.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return WorkloadPlan(dag="file", dag_file=str(path), **keys)


def sentence_of(tmp_path: Path, value: Any) -> str:
    """The sentence of a file that is refused, after its name."""
    with pytest.raises(UsageError) as raised:
        asked_columns(plan_of(tmp_path, value))
    return str(raised.value).removeprefix(f"DAG file {tmp_path / 'dag.json'}: ")


def changed(value: dict[str, Any], *changes: tuple[str, Any]) -> dict[str, Any]:
    """A copy of a good file with values set at dotted paths; None takes a key away."""
    value = copy.deepcopy(value)
    for path, new in changes:
        *steps, last = [int(step) if step.isdigit() else step for step in path.split("/")]
        held: Any = value
        for step in steps:
            held = held[step]
        if new is None:
            del held[last]
        else:
            held[last] = new
    return value


def test_a_v2_file_is_sent_with_a_rows_words_and_the_refs_that_it_lacks(tmp_path: Path) -> None:
    """Everything else in it stays: keys that we do not know, numbers, braces that are the prompt's own."""
    plan = plan_of(tmp_path, GOOD_V2)
    workload = build_workload([ROW], plan, Generation.V2)
    question = "Why?\n\nA. so\nB. no\n\nAnswer with one letter only: A or B."
    expected = changed(
        GOOD_V2,
        ("dag/nodes/0/prompt_template", question),
        (
            "dag/nodes/1/prompt_template",
            '{{context.user.name}} {{ node.a.output }} {{a}} Ann "the" \\ Bé\n {"a": {{}}}',
        ),
        (
            "dag/nodes/1/template_refs",
            [
                {
                    "raw": "{{context.user.name}}",
                    "kind": "context",
                    "path": ["user", "name"],
                    "required": True,
                    "sensitivity": "low",
                },
                {
                    "raw": "{{ node.a.output }}",
                    "kind": "node_output",
                    "node_id": "a",
                    "field": "output",
                    "path": [],
                    "required": True,
                },
            ],
        ),
        ("context/user/name", 'Ann "the" \\ Bé\n on pro'),
    )
    assert [json.loads(body) for body in workload.bodies] == [expected]
    assert (workload.nodes, workload.answer_node) == ((NodeShape("a"), NodeShape("b", ("a",))), "b")
    places = {"who": "node 'b', prompt_template", "extra.tier": "context.user.name"}
    assert asked_columns(plan) == {name: f"DAG file {plan.dag_file}: {place}" for name, place in places.items()}


def test_refs_of_the_users_own_stay_as_they_are(tmp_path: Path) -> None:
    """A ref that is there is neither doubled nor changed."""
    own = {"raw": "{{ node.a.output }}", "kind": "node_output", "node_id": "a", "required": False}
    value = changed(GOOD_V2, ("dag/nodes/1/template_refs", [own]))
    file = plan_of(tmp_path, value).dag_file
    assert file is not None
    refs = read_dag_file(file).body["dag"]["nodes"][1]["template_refs"]
    assert [ref["raw"] for ref in refs] == ["{{ node.a.output }}", "{{context.user.name}}"]
    assert refs[0] == own


def test_a_v1_file_is_sent_with_a_rows_words(tmp_path: Path) -> None:
    """Nodes as they stand, the question in its place; the end of the DAG answers."""
    workload = build_workload([ROW], plan_of(tmp_path, GOOD_V1), Generation.V1)
    assert json.loads(workload.bodies[0]) == changed(
        GOOD_V1, ("nodes/0/prompt", "Why?\n\nA. so\nB. no\n\nAnswer with one letter only: A or B.")
    )
    assert workload.answer_node == "b"


@pytest.mark.parametrize(
    ("value", "generation", "wanted"),
    [(GOOD_V1, "v2", '{"dag": {"nodes": […]}, "context": {…}}'), (GOOD_V2, "v1", '{"nodes": […]}')],
)
def test_a_file_of_the_other_generation_is_refused(
    value: dict[str, Any], generation: str, wanted: str, tmp_path: Path
) -> None:
    """The sentence says what the target wants."""
    plan = plan_of(tmp_path, value)
    with pytest.raises(UsageError) as raised:
        build_workload([ROW], plan, Generation(generation))
    other = "v1" if generation == "v2" else "v2"
    assert str(raised.value) == (
        f"DAG file {plan.dag_file}: it is written for a {other} runtime, and the target speaks {generation}, which "
        f"wants {wanted}."
    )


NEITHER = 'it is of neither shape; a v2 file is {"dag": {"nodes": […]}, "context": {…}}, a v1 file {"nodes": […]}.'


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "it is not JSON: expecting value (line 1, column 1)."),
        ('{"dag": {},\n "x": }', "it is not JSON: expecting value (line 2, column 7)."),
        ('{"dag": NaN}', "it is not JSON: NaN is no JSON number."),
        ('{"dag": {}, "dag": {}}', "key 'dag' stands twice in one object, so it is unclear which is meant."),
        ('{"dag": "\\ud800"}', "it is not JSON: a text in it holds half a character (a lone surrogate)."),
        ("[" * 100_000, "it is nested too deep."),
        ("[]", NEITHER),
        ("{}", NEITHER),
        ('{"dag": {"nodes": []}}', "it has no nodes."),
        ('{"nodes": []}', "it has no nodes."),
        ('{"dag": []}', "dag = []: expected an object, got a list."),
        (
            '{"dag": {}, "nodes": []}',
            (
                'it holds both dag and nodes; a v2 file is {"dag": {"nodes": […]}, "context": {…}}, a v1 file '
                '{"nodes": […]}.'
            ),
        ),
        (
            '{"schema_version": "1.0", "nodes": []}',
            (
                'its key schema_version belongs to v2, but there is no dag around it; write {"dag": {"nodes": […]}, '
                '"context": {…}}, as a v2 runtime wants it, or give a compiled program with --program.'
            ),
        ),
    ],
)
def test_a_file_that_is_no_dag_is_one_sentence(text: str, sentence: str, tmp_path: Path) -> None:
    """Where it breaks off, or what a DAG file looks like."""
    assert sentence_of(tmp_path, text) == sentence


TYPES = "there are llm_fn, compute, conditional, input, output."
REF = {"raw": "{{context.user.name}}", "kind": "context", "path": ["user", "name"]}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ([("dag/nodes/1/id", "a")], "node 'a': id 'a' stands there twice; each node needs one of its own."),
        ([("dag/nodes/1/id", "")], "an id is empty; each node needs one of its own."),
        ([("dag/nodes/1/id", None)], "key dag.nodes.1.id is missing."),
        ([("dag/nodes/1/node_type", None)], "node 'b': key dag.nodes.1.node_type is missing."),
        ([("dag/nodes/1/node_type", "LlmFn")],
         "node 'b': node_type 'LlmFn' is not known to a v2 runtime; did you mean 'llm_fn'?"),
        ([("dag/nodes/1/node_type", "fn")],
         "node 'b': node_type 'fn' is not known to a v2 runtime; " + TYPES),
        ([("dag/nodes/1/node_type", "zzz")],
         "node 'b': node_type 'zzz' is not known to a v2 runtime; " + TYPES),
        ([("dag/nodes/1/dependencies", ["a", "aa"])],
         "node 'b': dependencies names 'aa', which is no node; did you mean 'a'?"),
        ([("dag/nodes/0/dependencies", ["b"])], "dependencies go round in a circle: 'a' needs 'b' needs 'a'."),
        ([("dag/nodes/1/dependencies", ["b"])], "dependencies go round in a circle: 'b' needs 'b'."),
        ([("dag/nodes/1/temperature", "hot")],
         "node 'b': dag.nodes.1.temperature = 'hot': expected a number, got a text."),
        ([("dag/nodes/1/dependencies", None), ("dag/nodes/1/dependancies", ["a"])],
         "node 'b': unknown key dependancies, which the runtime would pass over; did you mean 'dependencies'?"),
        ([("dag/nodes/1/prompt_template", None)],
         "node 'b': key prompt_template is missing; without a prompt the runtime runs an llm_fn node as a function."),
        ([("dag/nodes/0/execution_hints", {"error_policy": "skipp"})],
         "node 'a', execution_hints.error_policy: 'skipp': did you mean 'skip'?"),
        ([("dag/nodes/1/prompt_template", "{{context.user.nmae}}")],
         "node 'b', prompt_template: {{context.user.nmae}}: context.user has no 'nmae'; did you mean 'name'?"),
        ([("dag/nodes/1/prompt_template", "{{context.query}}")],
         "node 'b', prompt_template: {{context.query}}: context has no 'query'; did you mean 'user'?"),
        ([("context", None)],
         "node 'b', prompt_template: {{context.user.name}}: context has no 'user'; there are none."),
        ([("dag/nodes/1/prompt_template", "{{node.c.output}}")],
         "node 'b', prompt_template: {{node.c.output}}: there is no node 'c'; there are a, b."),
        ([("dag/nodes/1/dependencies", None)],
         "node 'b', prompt_template: { node.a.output }: node 'a' need not have run before; put 'a' into its "
         "dependencies.".replace("{ node", "{{ node").replace("output }", "output }}")),
        ([("dag/nodes/1/prompt_template", "{{a}}"), ("dag/nodes/1/dependencies", None)],
         "node 'b', prompt_template: {{a}}: node 'a' need not have run before; put 'a' into its dependencies."),
        ([("dag/nodes/1/prompt_template", "{{promt}}")],
         ("node 'b', prompt_template: {{promt}} means nothing, so it would reach the model as it stands; did you mean "
         "{{prompt}}?")),
        ([("dag/nodes/1/prompt_template", "{{node.a.outptu}}")],
         ("node 'b', prompt_template: {{node.a.outptu}} means nothing, so it would reach the model as it stands; did "
         "you mean {{node.a.output}}?")),
        ([("dag/nodes/1/prompt_template", "{{zzz}}")],
         ("node 'b', prompt_template: {{zzz}} means nothing, so it would reach the model as it stands; known are "
         "{{row.…}}, {{prompt}}, {{context.user}}, {{node.a.output}}.")),
        ([("dag/nodes/1/system_prompt", "Be {{context.user.name}}")],
         ("node 'b', system_prompt: the runtime fills in nothing there, so {{context.user.name}} would reach the model "
         "as it stands; only {{prompt}} and {{row.…}} are filled in everywhere.")),
        ([("dag/nodes/1/template_refs", [{**REF, "raw": "{{context.user.nme}}"}])],
         ("node 'b', template_refs.0: its raw '{{context.user.nme}}' does not stand in prompt_template; did you mean "
         "'{{context.user.name}}'?")),
        ([("dag/nodes/0/template_refs", [REF])],
         ("node 'a', template_refs.0: its raw '{{context.user.name}}' does not stand in prompt_template; no "
         "placeholder stands there that the runtime could fill in.")),
        ([("dag/nodes/1/template_refs", [{**REF, "kind": "Context"}])],
         "node 'b', template_refs.0: kind 'Context' is not known; did you mean 'context'?"),
        ([("dag/nodes/1/template_refs", [{**REF, "path": []}])],
         ("node 'b', template_refs.0: {{context.user.name}}: a ref of kind 'context' needs a path, such as "
         '["query"].')),
        ([("dag/nodes/1/template_refs", [{**REF, "path": ["name"]}])],
         "node 'b', template_refs.0: {{context.user.name}}: context has no 'name'; there are user."),
        ([("dag/nodes/1/template_refs", [{"raw": "{{a}}", "kind": "node_output"}])],
         "node 'b', template_refs.0: a ref of kind 'node_output' needs a node_id."),
        ([("dag/nodes/1/template_refs", [{"raw": "{{a}}", "kind": "node_output", "node_id": "A1"}])],
         "node 'b', template_refs.0: node_id 'A1': there is no node 'A1'; did you mean 'a'?"),
        ([("dag/nodes/1/template_refs", [{"raw": "{{a}}", "kind": "node_output", "node_id": "b"}])],
         "node 'b', template_refs.0: node_id 'b': node 'b' need not have run before; put 'b' into its dependencies."),
        ([("dag/nodes/1/template_refs", [{"kind": "context"}])],
         "node 'b': key dag.nodes.1.template_refs.0.raw is missing."),
        ([("dag/nodes/1/id", "{{row.who}}")],
         "node '{{row.who}}', id: {{row.who}} there would make each row a DAG of its own."),
        ([("context/{{row.who}}", "x")], "context: a row's words go into values, not into the key '{{row.who}}'."),
    ],
)  # fmt: skip
def test_a_v2_file_with_a_mistake_is_one_sentence(
    changes: list[tuple[str, Any]], sentence: str, tmp_path: Path
) -> None:
    """Node and key, what is wrong, and what was meant or what there is."""
    assert sentence_of(tmp_path, changed(GOOD_V2, *changes)) == sentence


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ([("nodes/0/node_type", "LlmFn")],
         "node 'a': node_type 'LlmFn' is not known to a v1 runtime; did you mean 'llm_fn'?"),
        ([("nodes/1/node_type", "compute")],
         "node 'b': node_type 'compute' is not known to a v1 runtime; there are llm_fn, fn."),
        ([("nodes/1/dependencies", None)], "node 'b': key nodes.1.dependencies is missing."),
        ([("nodes/1/dependencies", ["x"])], "node 'b': dependencies names 'x', which is no node; there are a, b."),
        ([("nodes/0/dependencies", ["b"])], "dependencies go round in a circle: 'a' needs 'b' needs 'a'."),
        ([("nodes/0/prompt", None)], "node 'a': key prompt is missing, so the model would be asked nothing."),
        ([("nodes/0/prompt", "{{node.b.output}}")],
         ("node 'a', prompt: a v1 runtime fills in nothing, so {{node.b.output}} would reach the model as it stands; "
         "only {{prompt}} and {{row.…}} are filled in, before it is sent.")),
        ([("nodes/0/prompt_template", "x")],
         ('its key prompt_template belongs to v2, but there is no dag around it; write {"dag": {"nodes": […]}, '
         '"context": {…}}, as a v2 runtime wants it, or give a compiled program with --program.')),
    ],
)  # fmt: skip
def test_a_v1_file_with_a_mistake_is_one_sentence(
    changes: list[tuple[str, Any]], sentence: str, tmp_path: Path
) -> None:
    """The same of the first generation, in its own words."""
    assert sentence_of(tmp_path, changed(GOOD_V1, *changes)) == sentence


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """No file, and no traceback."""
    with pytest.raises(UsageError) as raised:
        asked_columns(WorkloadPlan(dag="file", dag_file=str(tmp_path / "none.json")))
    assert str(raised.value) == f"DAG file {tmp_path / 'none.json'}: it cannot be read: No such file or directory."


def two_ends(tmp_path: Path, **keys: str) -> WorkloadPlan:
    value = changed(GOOD_V2, ("dag/nodes/1/prompt_template", "x"), ("dag/nodes/1/dependencies", []))
    return plan_of(tmp_path, value, **keys)


def test_of_several_ends_the_scenario_says_which_answers(tmp_path: Path) -> None:
    """Without its word none is scored, and the reason is written down."""
    workload = build_workload([ROW], two_ends(tmp_path), Generation.V2)
    assert (workload.answer_node, workload.unscored) == (
        None,
        (
            "nothing was scored: 2 nodes of the DAG have no successor (a, b), and workload.answer_node does not say "
            "which one answers"
        ),
    )
    workload = build_workload([ROW], two_ends(tmp_path, answer_node="a"), Generation.V2)
    assert (workload.answer_node, workload.unscored) == ("a", None)


def test_an_answering_node_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """The nearest name of the file's is in the sentence."""
    plan = two_ends(tmp_path, answer_node="bb")
    with pytest.raises(UsageError) as raised:
        asked_columns(plan)
    assert str(raised.value) == (
        f"workload.answer_node = 'bb': DAG file {plan.dag_file} has no such node; did you mean 'b'?"
    )


PIQA = {"goal": "open a jar", "sol1": "twist", "sol2": "shout", "label": 0, "of": {"tier": "pro", "none": None}}


def test_prompts_carry_the_columns_that_are_asked_for_and_no_more() -> None:
    """Also what lies inside a column, and what is null there."""
    asked = {"goal": "here", "label": "here", "of.tier": "here", "of.none": "here", "of": "here"}
    (prompt,) = hub_prompts("piqa", [PIQA], asked)
    assert prompt.columns == {
        "goal": "open a jar", "label": "0", "of.tier": "pro", "of.none": "", "of": '{"none":null,"tier":"pro"}',
    }  # fmt: skip


def test_a_column_that_nobody_asked_for_is_explained() -> None:
    """As a user's own code reads it, also of a prompt that another process has read."""
    (prompt,) = hub_prompts("piqa", [PIQA])
    for read in (prompt, msgspec.json.decode(msgspec.json.encode(prompt), type=Prompt)):
        assert (read, read.columns, read.columns.get("goal")) == (prompt, {}, None)
        with pytest.raises(UsageError) as raised:
            read.columns["goal"]
        assert str(raised.value) == (
            "prompt.columns['goal']: the rows were read without that column; name it in the scenario, as in "
            'workload.columns = ["goal"].'
        )


@pytest.mark.parametrize(
    ("column", "advice"),
    [
        ("gaol", "did you mean 'goal'?"),
        ("of.teir", "did you mean 'of.tier'?"),
        ("zzz", "there are goal, sol1, sol2, label, of."),
        ("goal.x", "did you mean 'goal'?"),
    ],
)
def test_a_column_that_is_not_there_is_refused_with_the_nearest(column: str, advice: str) -> None:
    """The place that asks, the dataset, the column."""
    with pytest.raises(UsageError) as raised:
        hub_prompts("piqa", [PIQA], {column: "DAG file x.json: node 'a', prompt_template"})
    assert str(raised.value) == (
        f"DAG file x.json: node 'a', prompt_template: {{{{row.{column}}}}}: dataset piqa has no column {column!r}; "
        f"{advice}"
    )


def test_rows_that_make_the_runtime_panic_are_told(tmp_path: Path) -> None:
    """Only through context, only where byte 47 of a value over 50 bytes is inside a character."""
    plan = plan_of(tmp_path, GOOD_V2)
    inside, between, short = "x" * 46 + "é" + "x" * 9, "x" * 47 + "é" + "x" * 9, "x" * 38 + "é"
    rows = [
        Prompt(f"set/{number}", "set", "é" * 60, columns={"who": who, "extra.tier": ""})
        for number, who in enumerate([between, inside, short])
    ]
    (note,) = build_workload(rows, plan, Generation.V2).notes
    assert note.startswith("1 of 3 rows (such as set/1) reach a prompt through context and have a character")
    assert build_workload([rows[0], rows[2]], plan, Generation.V2).notes == ()


def test_a_file_that_takes_nothing_of_a_row_is_told(tmp_path: Path) -> None:
    """It is sent as it is, and the report says that every request was the same."""
    workload = build_workload([ROW, ROW], plan_of(tmp_path, changed(GOOD_V1, ("nodes/0/prompt", "x"))), Generation.V1)
    assert len(set(workload.bodies)) == 1
    assert workload.notes == (
        (
            "The DAG file takes nothing of a row, so all requests are the same, and a v2 cache answers them; put "
            "{{prompt}} or {{row.…}} into it."
        ),
    )


def test_a_row_that_holds_a_placeholder_of_the_file_is_refused(tmp_path: Path) -> None:
    """The runtime would fill it in as if it were the file's own."""
    row = Prompt("set/4", "set", "{{context.user.name}}", columns={"who": "", "extra.tier": ""})
    with pytest.raises(UsageError, match=r"^Row set/4: its text holds \{\{context\.user\.name\}\}, which the runtime"):
        build_workload([row], plan_of(tmp_path, GOOD_V2), Generation.V2)
