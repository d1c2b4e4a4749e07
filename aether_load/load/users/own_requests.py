"""Write the requests of user code: a text, a DAG, or a prompt of the scenario with other settings."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from aether_load.dag.check import DagMistake
from aether_load.dag.request_check import check_v1, check_v2
from aether_load.dag.sent_dag import WorkloadDag
from aether_load.dag.shapes import ANSWER
from aether_load.load.http.endpoint import Endpoint
from aether_load.protocol import EXECUTE_PATH, SEQUENTIAL_QUERY, Generation, LlmNode, NodeShape, request_body
from aether_load.protocol import DagRequest as Request
from aether_load.response import sent_prompt
from aether_load.scenario.workload_plan import WorkloadPlan


class ModelSettings(NamedTuple):
    """Settings of a request's LLM nodes, and what it is sent with; None leaves what the scenario says."""

    context: Mapping[str, Any] | None = None
    model: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    sequential: bool = False

    @property
    def are_plain(self) -> bool:
        """Tell whether nothing differs from the scenario."""
        return self is PLAIN or self == PLAIN

    @property
    def of_nodes(self) -> dict[str, Any]:
        """Return the keys of a v2 node that are set."""
        keys = {"model": self.model, "temperature": self.temperature, "max_tokens": self.max_tokens}
        return {key: value for key, value in keys.items() if value is not None}


PLAIN = ModelSettings()


class OwnRequest(NamedTuple):
    """The bytes of a request, the prompt that its answer repeats, and its DAG (None: that of its prompt)."""

    data: bytes
    prompt: Raw | None
    dag: WorkloadDag | None


class OwnRequests:
    """Writes requests for one target, in the words of its generation."""

    def __init__(self, endpoint: Endpoint, generation: Generation, plan: WorkloadPlan) -> None:
        """Take where they go, and the settings of the model where user code has none of its own."""
        self._endpoint = endpoint
        self._generation = generation
        self._plan = plan

    def of_text(self, text: str, name: str, settings: ModelSettings) -> OwnRequest:
        """Return a request of one LLM node that is asked `text`."""
        node = LlmNode(
            id=ANSWER,
            prompt=text,
            model=settings.model or self._plan.model,
            temperature=self._plan.temperature if settings.temperature is None else settings.temperature,
            max_tokens=self._plan.max_tokens if settings.max_tokens is None else settings.max_tokens,
        )
        body = request_body(Request(flow_name=f"aether_load_{name}", nodes=(node,)), self._generation)
        if settings.context is not None:
            self._add_context(body, settings.context)
        is_repeated = self._generation is Generation.V2 and "{{" not in text and bool(text)
        dag = WorkloadDag(nodes=(NodeShape(ANSWER),), answer_node=ANSWER, prompt_node=ANSWER if is_repeated else None)
        return self._request(body, settings, dag)

    def of_dag(self, dag: Mapping[str, Any], settings: ModelSettings) -> OwnRequest:
        """Return a request of a DAG as the runtime takes it: `{"nodes": [...]}`, or a whole v2 body with `dag`.

        Raises ValueError for what the runtime would not take.
        """
        body: dict[str, Any] = copy.deepcopy(dict(dag))
        if self._generation is Generation.V2 and "dag" not in body:
            body = {"dag": body, "context": {}}
        if settings.context is not None:
            self._add_context(body, settings.context)
        try:
            if not isinstance(body.get("nodes" if self._generation is Generation.V1 else "dag"), (list, dict)):
                raise DagMistake('it has no nodes; expected {"nodes": [...]}.')
            nodes = check_v1(body) if self._generation is Generation.V1 else check_v2(body)
        except DagMistake as mistake:
            raise ValueError(f"execute: the DAG: {mistake}") from None
        self._set_nodes(body, settings)
        return self._request(body, settings, WorkloadDag(nodes=nodes, answer_node=None))

    def of_body(self, body: bytes, settings: ModelSettings) -> OwnRequest:
        """Return the request of a prompt of the scenario, with other settings."""
        changed = msgspec.json.decode(body)
        if settings.context is not None:
            self._add_context(changed, settings.context)
        self._set_nodes(changed, settings)
        return self._request(changed, settings, None)

    def _add_context(self, body: dict[str, Any], context: Mapping[str, Any]) -> None:
        if self._generation is Generation.V1:
            raise ValueError("execute: a v1 runtime takes no context; leave it away, or give a v2 runtime.")
        body["context"] = {**body.get("context", {}), **context}

    def _set_nodes(self, body: dict[str, Any], settings: ModelSettings) -> None:
        keys = settings.of_nodes
        if self._generation is Generation.V1:
            keys = {key: value for key, value in keys.items() if key == "model"}
        for node in body["nodes"] if self._generation is Generation.V1 else body["dag"]["nodes"]:
            if node["node_type"] == "llm_fn":
                node.update(keys)

    def _request(self, body: dict[str, Any], settings: ModelSettings, dag: WorkloadDag | None) -> OwnRequest:
        if settings.sequential and self._generation is Generation.V1:
            raise ValueError("execute: a v1 runtime has no sequential mode; leave sequential away.")
        path = EXECUTE_PATH + SEQUENTIAL_QUERY if settings.sequential else EXECUTE_PATH
        try:
            content = msgspec.json.encode(body)
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"execute: what is to be sent is no JSON: {error}") from None
        data = self._endpoint.request_bytes("POST", path, content)
        node = None if dag is None else dag.prompt_node
        return OwnRequest(data, None if node is None else sent_prompt(content, node), dag)
