"""Templates are rendered as the runtime does it, and in bounded memory and time."""

from __future__ import annotations

import re
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aether_load.simulator.engine.outcomes import NodeFailedError
from aether_load.simulator.engine.templates import RENDER_LIMIT, Renderer
from aether_load.simulator.wire import NodeV2, RenderPolicy, TemplateRef
from simulator.simulated import Simulator, llm

MIB = 1024 * 1024


def refs(*raws: str, path: tuple[str, ...] = ("x",), **fields: Any) -> tuple[TemplateRef, ...]:
    return tuple(TemplateRef(raw, "context", path=path, **fields) for raw in raws)


def node(template_refs: tuple[TemplateRef, ...] = (), **fields: Any) -> NodeV2:
    return NodeV2("n", "llm_fn", template_refs=template_refs, **fields)


@given(
    template=st.lists(st.sampled_from(["{{", "}}", "{", "}", "a", "b", " ", "{{a}}", "{{ b }}"]), max_size=12).map(
        "".join
    ),
    outputs=st.dictionaries(st.sampled_from(["a", "b", "{{a", "a}b"]), st.sampled_from(["1", "", "xyz"])),
)
def test_bare_placeholders_are_those_of_the_runtimes_pattern(template: str, outputs: dict[str, str]) -> None:
    """`{{X}}` is filled in where X is the id of a finished node, whatever braces stand around it."""
    wanted = template
    for match in re.finditer(r"\{\{([^}]+)\}\}", template):
        if (value := outputs.get(match[1].strip())) is not None:
            wanted = wanted.replace(match[0], value)
    assert Renderer({}).render(template, node(), outputs) == wanted


def test_the_limit_is_for_all_nodes_of_a_request() -> None:
    """A request may write the limit's characters in all its templates together, and another request as many again."""
    half = "x" * (RENDER_LIMIT // 2)
    renderer = Renderer({})
    assert renderer.render(half, node(), {}) == half
    assert renderer.render(half, node(), {}) == half
    with pytest.raises(
        NodeFailedError, match=r"Template rendering failed: the simulator writes no more than 33554432 "
    ):
        renderer.render("x", node(), {})
    assert Renderer({}).render(half, node(), {}) == half


LARGE = "b" * MIB
HOSTILE = {
    "references that multiply each other": (node(refs("a", "b", "b")), "a" * 3000, {"x": "b" * 3000}, {}),
    "a raw text that stands between all characters": (node(refs("", "", "")), "a" * 1000, {"x": "b" * 1000}, {}),
    "many references to one large text": (node(refs(*["{{x}}"] * 30_000)), "{{y}}", {"x": LARGE}, {}),
    "many references in one large template": (node(refs(*["{{x}}"] * 30_000)), LARGE, {"x": "y"}, {}),
    "many references to one large value": (node(refs(*["{{x}}"] * 30_000)), "{{y}}", {"x": [LARGE]}, {}),
    "many long integers": (node(refs(*["{{x}}"] * 30_000)), "", {"x": [10**4000] * 250}, {}),
    "many values that are cut": (
        node(refs(*["{{x}}"] * 30_000, required=False), render_policy=RenderPolicy(max_value_length=1)),
        "",
        {"x": LARGE},
        {},
    ),
    "many values that are escaped": (
        node(refs(*["{{x}}"] * 30_000), render_policy=RenderPolicy(escape_html=True)),
        "",
        {"x": LARGE},
        {},
    ),
    "many placeholders of many nodes": (
        node(),
        "".join(f"{{{{n{number}}}}}" for number in range(100_000)),
        {},
        {f"n{number}": "x" for number in range(100_000)},
    ),
}
HARMLESS = {
    "braces that never close": (node(), "{" * 2 * MIB, {}, {}),
    "braces that close late": (node(), "{" * 2 * MIB + "}x}", {}, {}),
    "one placeholder many times": (node(), "{{a}}" * 300_000, {}, {"a": "b"}),
    "many allowed keys": (
        node(
            refs(*["{{x}}"] * 30_000),
            render_policy=RenderPolicy(allowed_context_keys=(*map(str, range(100_000)), "x")),
        ),
        "",
        {"x": "y"},
        {},
    ),
}


def rendered(case: Any) -> tuple[str, float]:
    """Render; return the prompt or the failure, and the seconds of CPU that it took."""
    of_node, template, context, outputs = case
    began = time.process_time()
    try:
        end = Renderer(context).render(template, of_node, outputs)
    except NodeFailedError as failure:
        end = str(failure)
    return end, time.process_time() - began


@pytest.mark.parametrize("case", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_template_fails_its_node_soon(case: tuple[NodeV2, str, dict[str, Any], dict[str, str]]) -> None:
    """A template that would take all memory, or hours, fails its node within two seconds."""
    end, seconds = rendered(case)
    assert end.startswith("Template rendering failed: the simulator writes no more than")
    assert seconds < 2


def test_references_that_multiply_take_little_memory() -> None:
    """Two references of 3 KB that would make 9 GB take a few megabytes."""
    tracemalloc.start()
    try:
        rendered(HOSTILE["references that multiply each other"])
        assert tracemalloc.get_traced_memory()[1] < 50 * MIB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("case", HARMLESS.values(), ids=HARMLESS.keys())
def test_a_large_template_takes_time_in_proportion(case: tuple[NodeV2, str, dict[str, str], dict[str, str]]) -> None:
    """A template of the largest size of a body is rendered within two seconds."""
    end, seconds = rendered(case)
    assert len(end) <= 2 * MIB + 3
    assert seconds < 2


def test_a_hostile_request_is_answered(simulate: Callable[..., Simulator]) -> None:
    """References that would make a prompt of 9 GB fail their node, and the next request is served."""
    template_refs = [{"raw": raw, "kind": "context", "path": ["x"]} for raw in ("a", "b", "b")]
    simulator = simulate()
    answer = simulator.run(llm("n", "a" * 3000, template_refs=template_refs), context={"x": "b" * 3000})
    assert answer["errors"][0].startswith("Node n: Template rendering failed: the simulator writes no more than")
    assert simulator.run(llm())["errors"] == []


def test_the_largest_body_is_within_the_limit() -> None:
    """A context and a template that fill a body are rendered into each other."""
    body = msgspec.json.encode({"x": LARGE})
    assert len(Renderer(msgspec.json.decode(body)).render("<{{x}}>", node(refs("{{x}}")), {})) == MIB + 2
