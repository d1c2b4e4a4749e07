"""Filling in templates, of today's generation."""

from __future__ import annotations

import http.client
from typing import Any

import pytest

from contract.contract_runtime import Runtime, fresh


def context_ref(*path: str, **fields: bool) -> dict[str, Any]:
    return {"raw": "{{context." + ".".join(path) + "}}", "kind": "context", "path": list(path), **fields}


def render(
    runtime: Runtime,
    template: str,
    refs: list[dict[str, Any]],
    context: dict[str, Any] | None = None,
    **fields: dict[str, Any],
) -> str:
    """Return the rendered prompt of one node, behind a text that keeps it out of the cache; or its error."""
    prefix = fresh()
    answer = runtime.run(runtime.llm("a", prefix + template, template_refs=refs, **fields), context=context)
    if answer["errors"]:
        return str(answer["errors"][0])
    prompt = answer["results"][0]["rendered_prompt"]
    assert prompt.startswith(prefix)
    return str(prompt.removeprefix(prefix))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        (None, ""),
        (5, "5"),
        (1.5, "1.5"),
        (True, "true"),
        ([1, "a"], '[1,"a"]'),
        ({"b": 1, "a": None}, '{"a":null,"b":1}'),
        ("", ""),
        ("{{context.x}}", "{{context.x}}"),
    ],
)
def test_context_values(v2: Runtime, value: Any, text: str) -> None:
    """Text goes in as it is, null as nothing, everything else as compact JSON."""
    assert render(v2, "<{{context.x}}>", [context_ref("x")], {"x": value}) == f"<{text}>"


def test_nested_paths(v2: Runtime) -> None:
    """A path may go several levels down."""
    refs = [context_ref("user", "profile", "city")]
    context = {"user": {"profile": {"city": "Seattle"}}}
    assert render(v2, "in {{context.user.profile.city}}", refs, context) == "in Seattle"


@pytest.mark.parametrize("path", [["nowhere"], ["user", "nowhere"], ["user", "name", "first"], []])
def test_a_required_value_that_is_missing(v2: Runtime, path: list[str]) -> None:
    """A required ref without a value fails the node; an optional one leaves the placeholder."""
    ref = {**context_ref("x"), "path": path}
    context = {"user": {"name": "Ann"}}
    assert render(v2, "{{context.x}}", [ref], context).startswith("Node a: Template rendering failed: Missing required")
    assert render(v2, "{{context.x}}", [{**ref, "required": False}], context) == "{{context.x}}"


def test_no_context_at_all(v2: Runtime) -> None:
    """A DAG may come without a context, or with null."""
    assert "Missing required" in render(v2, "{{context.x}}", [context_ref("x")])
    assert v2.execute({"dag": {"nodes": [v2.llm("a")]}})["errors"] == []


def test_without_its_ref_a_placeholder_stays(v2: Runtime) -> None:
    """Only template_refs fill in context and outputs."""
    answer = v2.run(
        v2.function("f"),
        v2.llm("a", "{{context.x}} {{node.f.output}} {{ f }} {{g}}", dependencies=["f"]),
        context={"x": 1},
    )
    prompts = [row["rendered_prompt"] for row in answer["results"] if "rendered_prompt" in row]
    assert prompts == ["{{context.x}} {{node.f.output}} Function f executed {{g}}"]


def test_outputs_of_other_nodes(v2: Runtime) -> None:
    """A node_output ref fills in what the other node said, at each place."""
    ref = {"raw": "{{node.f.output}}", "kind": "node_output", "node_id": "f", "field": "output", "path": []}
    node = v2.llm("a", "{{node.f.output}}, {{node.f.output}}", template_refs=[ref], dependencies=["f"])
    rows = v2.run(v2.function("f"), node)["results"]
    assert rows[1]["rendered_prompt"] == "Function f executed, Function f executed"


def test_nodes_of_one_level_do_not_see_each_other(v2: Runtime) -> None:
    """An output is there for later levels only."""
    ref = {"raw": "{{node.f.output}}", "kind": "node_output", "node_id": "f"}
    answer = v2.run(v2.function("f"), v2.llm("a", "{{node.f.output}}", template_refs=[ref]))
    assert answer["errors"] == [
        "Node a: Template rendering failed: Missing output from node 'f' for placeholder '{{node.f.output}}'"
    ]


@pytest.mark.parametrize("kind", ["parameter", "variable"])
def test_parameters_are_outputs_by_name(v2: Runtime, kind: str) -> None:
    """A parameter or variable is the output of the node of that name."""
    refs = [{"raw": "{{p}}", "kind": kind, "path": ["f"]}, {"raw": "{{f}}", "kind": kind}]
    answer = v2.run(v2.function("f"), v2.llm("a", "{{p}} {{f}}", template_refs=refs, dependencies=["f"]))
    assert answer["results"][1]["rendered_prompt"] == "Function f executed Function f executed"


def test_constants_are_folded_or_missing(v2: Runtime) -> None:
    """A folded value goes in whatever the kind; a constant that is not folded has none."""
    ref = {"raw": "{{const.V}}", "kind": "constant", "path": ["V"]}
    assert render(v2, "{{const.V}}", [{**ref, "folded_value": "2.0"}]) == "2.0"
    assert "Missing required Constant" in render(v2, "{{const.V}}", [ref])


def test_a_node_output_without_its_node(v2: Runtime) -> None:
    """A node_output ref that names no node fails."""
    assert "Invalid template syntax" in render(v2, "{{x}}", [{"raw": "{{x}}", "kind": "node_output"}])


def test_allowed_context_keys(v2: Runtime) -> None:
    """With a list of allowed keys, another one fails."""
    policy = {"allowed_context_keys": ["name"]}
    context = {"name": "Ann", "secret": "x"}
    assert render(v2, "{{context.name}}", [context_ref("name")], context, render_policy=policy) == "Ann"
    error = render(v2, "{{context.secret}}", [context_ref("secret")], context, render_policy=policy)
    assert error == ("Node a: Template rendering failed: Context key 'secret' not in allowed list: [\"name\"]")


def test_html_is_escaped_when_asked(v2: Runtime) -> None:
    """escape_html escapes what is filled in, not the template."""
    policy = {"escape_html": True}
    assert render(v2, "<{{context.x}}>", [context_ref("x")], {"x": "<&\"'>"}, render_policy=policy) == (
        "<&lt;&amp;&quot;&#x27;&gt;>"
    )


def test_a_longest_value(v2: Runtime) -> None:
    """A longer value fails when required and is cut when not."""
    policy = {"max_value_length": 3}
    error = render(v2, "{{context.x}}", [context_ref("x")], {"x": "12345"}, render_policy=policy)
    assert error == "Node a: Template rendering failed: Value for '{{context.x}}' exceeds max length (5 > 3)"
    optional = [context_ref("x", required=False)]
    assert render(v2, "{{context.x}}", optional, {"x": "12345"}, render_policy=policy) == "123"


def test_the_guard_sees_what_is_filled_in(v2: Runtime) -> None:
    """The guard judges the rendered prompt."""
    assert "Security violation" in render(v2, "{{context.x}}break", [context_ref("x")], {"x": "jail"})


@pytest.mark.parametrize(
    ("value", "breaks"), [("x" * 46 + "é" + "x" * 10, True), ("x" * 47 + "é" * 9, False), ("x" * 46 + "éx", False)]
)
def test_a_value_cut_inside_a_character_panics(v2: Runtime, value: str, breaks: bool) -> None:
    """A value over 50 bytes is cut after 47 for the log; inside a character that is a panic."""
    shown = render(v2, "{{context.x}}", [context_ref("x")], {"x": value})
    assert shown.startswith("Task execution panicked: ") if breaks else shown == value


def test_a_panic_over_a_value_in_sequence(v2: Runtime) -> None:
    """In sequence such a panic closes the connection."""
    node = v2.llm("a", "{{context.x}}", template_refs=[context_ref("x")])
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        v2.run(node, context={"x": "x" * 46 + "é" * 9}, query="?sequential=true")
