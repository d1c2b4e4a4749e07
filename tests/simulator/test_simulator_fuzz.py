"""Any request, and any bytes, in this process and without sockets; `pytest -m slow` draws more of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aether_load.simulator.options import Generation
from simulator.fed import Target

EXAMPLES = [100, pytest.param(1000, marks=pytest.mark.slow)]

names = st.sampled_from(["a", "b", "c", "é", "", "{{a}}", "context.x"])
words = st.text(max_size=20) | st.sampled_from(
    ["{{context.x}}", "{{a}}", "{{node.a.output}}", "jailbreak", "offensive", "é" * 60, "x" * 99 + "é jailbreak", "{{"]
)
texts = st.lists(words, max_size=4).map("".join)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=15,
)
refs = st.fixed_dictionaries(
    {"raw": words, "kind": st.sampled_from(["context", "node_output", "parameter", "constant", "variable"])},
    optional={
        "path": st.lists(names, max_size=3),
        "node_id": names | st.none(),
        "required": st.booleans(),
        "folded_value": texts,
        "sensitivity": st.sampled_from(["low", "medium", "high"]),
    },
)
nodes = st.fixed_dictionaries(
    {"id": names, "node_type": st.sampled_from(["llm_fn", "llm_fn", "compute", "output"])},
    optional={
        "prompt_template": texts,
        "prompt": texts | st.none(),
        "template_refs": st.lists(refs, max_size=3),
        "dependencies": st.lists(names, max_size=3),
        "model": texts,
        "temperature": st.floats(0, 2),
        "max_tokens": st.integers(0, 2**32 - 1),
        "execution_hints": st.fixed_dictionaries(
            {}, optional={"error_policy": st.sampled_from(["fail", "skip", "retry", "?"]), "priority": st.just(-1)}
        ),
        "render_policy": st.fixed_dictionaries(
            {},
            optional={
                "escape_html": st.booleans(),
                "max_value_length": st.integers(0, 2**64 - 1) | st.just(7),
                "allowed_context_keys": st.lists(names, max_size=2),
            },
        ),
    },
)
requests_v2 = st.fixed_dictionaries(
    {"dag": st.fixed_dictionaries({"nodes": st.lists(nodes, max_size=5)})},
    optional={"context": st.dictionaries(names | st.just("x"), json_values, max_size=3) | st.none()},
)
requests_v1 = st.fixed_dictionaries(
    {
        "nodes": st.lists(
            st.fixed_dictionaries(
                {"id": names, "node_type": st.sampled_from(["llm_fn", "fn", "?"]), "dependencies": st.lists(names)},
                optional={"prompt": texts | st.none(), "model": texts | st.none()},
            ),
            max_size=5,
        )
    }
)


def fuzz(*generations: str, **strategies: Any) -> Callable[..., Any]:
    """Call a check with many examples for each generation; the draws are the same each time."""

    def decorate(check: Callable[..., Any]) -> Callable[..., Any]:
        @pytest.mark.parametrize("examples", EXAMPLES)
        @pytest.mark.parametrize("generation", generations)
        def test(generation: Generation, examples: int) -> None:
            with asyncio.Runner() as runner:
                errors = []
                runner.get_loop().set_exception_handler(lambda _loop, context: errors.append(context))
                target = Target(generation, runner)
                run = given(**strategies)(lambda **drawn: check(target, **drawn))
                health = (HealthCheck.too_slow, HealthCheck.function_scoped_fixture)
                settings(max_examples=examples, derandomize=True, deadline=None, suppress_health_check=health)(run)()
                assert errors == []

        test.__doc__ = check.__doc__
        return test

    return decorate


@fuzz("v2", value=requests_v2, sequential=st.booleans())
def test_any_dag_of_today_is_answered(target: Target, value: dict[str, Any], sequential: bool) -> None:
    """Any DAG is run to a whole answer, or ends in the panic that the runtime would have; and never in a 500."""
    ids = [node["id"] for node in value["dag"]["nodes"]]
    end = target.ask(json.dumps(value).encode(), "sequential=true" if sequential else "")
    if end is None:
        assert sequential or len(set(ids)) < len(ids)
        return
    status, answer = end
    assert status == 200
    assert answer["sequential_mode"] is sequential
    if answer["errors"] and answer["errors"][0].startswith("Cycle"):
        return
    states = {name: state["state"] for name, state in answer.get("node_status", {}).items()}
    assert set(states) <= set(ids) == set(answer.get("node_levels", {}))
    assert {row["node_id"] for row in answer["results"]} == {name for name in states if states[name] == "succeeded"}
    assert sorted(answer.get("skipped_nodes", [])) == sorted(name for name in states if states[name] == "skipped")
    assert answer["total_token_cost"] == sum(row["token_cost"] for row in answer["results"])
    if not sequential:
        panicked = sum(error.startswith("Task execution panicked") for error in answer["errors"])
        assert len(states) + panicked == len(ids)


@fuzz("v1", value=requests_v1)
def test_any_dag_of_the_first_generation_is_answered(target: Target, value: dict[str, Any]) -> None:
    """Each node of a v1 DAG is a result or an error, unless one panics."""
    end = target.ask(json.dumps(value).encode())
    if end is not None:
        status, answer = end
        assert (status, len(answer["results"]) + len(answer["errors"])) == (200, len(value["nodes"]))


@fuzz(
    "v1",
    "v2",
    value=json_values
    | st.fixed_dictionaries({"dag": json_values})
    | st.fixed_dictionaries({"nodes": st.lists(json_values)}),
)
def test_any_json_is_answered_or_refused(target: Target, value: dict[str, Any] | list[Any] | None) -> None:
    """JSON of any shape is 200 or 422."""
    found = target.ask(json.dumps(value).encode())
    assert found is not None
    assert found[0] in {200, 422}


@fuzz("v1", "v2", body=st.binary(max_size=60) | requests_v2.map(lambda value: json.dumps(value).encode()[:-3]))
def test_any_bytes_are_answered_or_refused(target: Target, body: bytes) -> None:
    """Bytes of any kind are 400 or, where a shape is wrong before the JSON is, 422."""
    found = target.ask(body)
    assert found is not None
    assert found[0] in {200, 400, 422}


@fuzz("v1", "v2", content_type=st.binary(max_size=30), query=st.text(max_size=12))
def test_any_header_and_query_are_answered_or_refused(target: Target, content_type: bytes, query: str) -> None:
    """Content types and queries of any kind are refused as the contract says, or mean nothing."""
    found = target.ask(b"{}", query, content_type)
    assert found is not None
    assert found[0] in {400, 415, 422}


@fuzz(
    "v2",
    pieces=st.lists(
        st.binary(max_size=40)
        | st.sampled_from(
            [
                b"GET /health HTTP/1.1\r\n",
                b"POST /execute HTTP/1.0\r\n",
                b"GET http://[x/health HTTP/1.1\r\n",
                b"host: x\r\n",
                b"content-length: 2\r\n",
                b"transfer-encoding: chunked\r\n",
                b"expect: 100-continue\r\n",
                b"connection: upgrade\r\nupgrade: h2c\r\n",
                b"\r\n",
                b"{}",
            ]
        ),
        max_size=12,
    ),
    is_one_piece=st.booleans(),
)
def test_any_bytes_on_the_wire_end_in_an_answer_or_nothing(
    target: Target, pieces: list[bytes], is_one_piece: bool
) -> None:
    """Whatever is sent, what comes back is HTTP or nothing, and no error is left behind."""
    written = target.feed(*([b"".join(pieces)] if is_one_piece else pieces))
    assert written == b"" or written.startswith(b"HTTP/1.")
