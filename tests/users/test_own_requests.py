"""What is sent for a text, a DAG, and a prompt with other settings; what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from aether_load.load.http.endpoint import Endpoint
from aether_load.load.users.own_requests import ModelSettings, OwnRequests
from aether_load.protocol import Generation, NodeShape
from aether_load.scenario.workload_plan import WorkloadPlan

if TYPE_CHECKING:
    from aether_load.load.users.own_requests import OwnRequest

PLAIN = ModelSettings()
NODE = {"id": "a", "node_type": "llm_fn", "prompt_template": "Ask {{context.who}}", "dependencies": []}
NODE_V1 = {"id": "a", "node_type": "llm_fn", "prompt": "Ask", "dependencies": []}


def requests(generation: Generation = Generation.V2) -> OwnRequests:
    return OwnRequests(
        Endpoint.of("http://h:1/base"), generation, WorkloadPlan(model="m", temperature=0.5, max_tokens=9)
    )


def sent(request: OwnRequest) -> tuple[str, dict[str, Any]]:
    head, _, body = request.data.partition(b"\r\n\r\n")
    return head.split(b"\r\n")[0].decode(), msgspec.json.decode(body)


def test_a_text_is_one_node_with_the_scenarios_settings() -> None:
    """Unless the request has its own; the answer repeats the text."""
    line, body = sent(requests().of_text('Say "yes".', "ask", PLAIN))
    assert line == "POST /base/execute HTTP/1.1"
    assert body == {
        "dag": {
            "schema_version": "1.0",
            "metadata": {"flow_name": "aether_load_ask"},
            "nodes": [
                {
                    "id": "answer", "node_type": "llm_fn", "prompt_template": 'Say "yes".', "model": "m",
                    "dependencies": [], "temperature": 0.5, "max_tokens": 9,
                }
            ],
        },
        "context": {},
    }  # fmt: skip
    own = requests().of_text("Hi", "ask", ModelSettings({"who": "you"}, "other", 0.0, 1, sequential=True))
    line, body = sent(own)
    (node,) = body["dag"]["nodes"]
    assert line == "POST /base/execute?sequential=true HTTP/1.1"
    assert (node["model"], node["temperature"], node["max_tokens"], body["context"]) == (
        "other",
        0.0,
        1,
        {"who": "you"},
    )
    assert own.prompt is not None
    assert own.dag is not None
    assert (bytes(own.prompt), own.dag.prompt_node, own.dag.answer_node) == (b'"Hi"', "answer", "answer")


def test_a_text_with_placeholders_is_not_looked_for_in_its_answer() -> None:
    """The runtime fills something in, so that the answer repeats another text."""
    own = requests().of_text("Ask {{context.who}}", "ask", ModelSettings({"who": "you"}))
    assert own.dag is not None
    assert (own.prompt, own.dag.prompt_node) == (None, None)


@pytest.mark.parametrize("body", [{"nodes": [NODE]}, {"dag": {"nodes": [NODE]}, "context": {"who": "them"}}])
def test_a_dag_goes_out_as_it_is(body: dict[str, Any]) -> None:
    """With the nodes' settings where the request has its own, and with the template refs that it needs."""
    own = requests().of_dag(body, ModelSettings({"who": "you"}, max_tokens=3))
    _, found = sent(own)
    (node,) = found["dag"]["nodes"]
    assert (node["prompt_template"], node["max_tokens"], "model" in node) == ("Ask {{context.who}}", 3, False)
    assert [ref["path"] for ref in node["template_refs"]] == [["who"]]
    assert found["context"] == {"who": "you"}
    assert own.dag is not None
    assert own.dag.nodes == (NodeShape("a"),)
    assert NODE.keys() == {"id", "node_type", "prompt_template", "dependencies"}


def test_a_prompt_keeps_all_but_what_is_changed() -> None:
    """The body that the main job sends, with other settings."""
    body = msgspec.json.encode({"dag": {"nodes": [NODE | {"model": "m"}]}, "context": {"a": 1}})
    _, found = sent(requests().of_body(body, ModelSettings({"b": 2}, temperature=1.0)))
    assert found == {"dag": {"nodes": [NODE | {"model": "m", "temperature": 1.0}]}, "context": {"a": 1, "b": 2}}


def test_v1_has_texts_and_dags() -> None:
    """In the words of its generation."""
    _, body = sent(requests(Generation.V1).of_text("Hi", "ask", ModelSettings(model="other")))
    assert body == {
        "nodes": [{"id": "answer", "node_type": "llm_fn", "prompt": "Hi", "model": "other", "dependencies": []}]
    }
    _, body = sent(requests(Generation.V1).of_dag({"nodes": [NODE_V1]}, ModelSettings(model="other", max_tokens=3)))
    assert body == {"nodes": [NODE_V1 | {"model": "other"}]}


@pytest.mark.parametrize(
    ("generation", "dag", "settings", "words"),
    [
        (Generation.V2, {}, PLAIN, "key dag.nodes is missing"),
        (Generation.V2, {"nodes": [NODE | {"node_type": "llm"}]}, PLAIN, "node_type 'llm' is not known"),
        (Generation.V2, {"nodes": [NODE, NODE]}, PLAIN, "'a'"),
        (Generation.V2, {"nodes": [NODE | {"dependencies": ["b"]}]}, PLAIN, "'b'"),
        (Generation.V2, {"nodes": [NODE | {"prompt_template": "Hi"}], "x": object()}, PLAIN, "is no JSON"),
        (Generation.V1, {"nodes": [NODE_V1]}, ModelSettings({"who": "you"}), "a v1 runtime takes no context"),
        (Generation.V1, {"nodes": [NODE_V1]}, ModelSettings(sequential=True), "has no sequential mode"),
        (Generation.V1, {"dag": {"nodes": [NODE]}}, PLAIN, "it has no nodes"),
    ],
)
def test_what_the_runtime_would_not_take_is_refused(
    generation: Generation, dag: dict[str, Any], settings: ModelSettings, words: str
) -> None:
    """With a sentence that begins with the call."""
    with pytest.raises(ValueError, match=r"^execute: ") as refused:
        requests(generation).of_dag(dag, settings)
    assert words in str(refused.value)
