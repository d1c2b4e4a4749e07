"""A client of one runtime, simulated or real, over plain sockets; it shares no code with either side."""

from __future__ import annotations

import http.client
import socket
import uuid
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

import msgspec

JSON_TYPE = {"content-type": "application/json"}


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return msgspec.json.decode(self.body)


@dataclass(frozen=True)
class Runtime:
    """Where it is, which generation it is of, and whether it is a simulator that a test has started."""

    url: str
    generation: Literal["v1", "v2"]
    simulated: bool

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or 80

    def call(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, **more: Any
    ) -> Reply:
        """Send one request on a connection of its own; ConnectionError when it closes without an answer."""
        connection = http.client.HTTPConnection(*self.address, timeout=60)
        try:
            connection.request(method, path, body, headers or {}, **more)
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, names, response.read())
        finally:
            connection.close()

    def post(self, value: Any, query: str = "") -> Reply:
        return self.call("POST", f"/execute{query}", msgspec.json.encode(value), JSON_TYPE)

    def execute(self, value: Any, query: str = "") -> Any:
        """Run a body that is accepted; return the decoded answer."""
        reply = self.post(value, query)
        assert (reply.status, reply.headers["content-type"]) == (200, "application/json"), reply
        return reply.json()

    def run(self, *nodes: dict[str, Any], query: str = "", context: dict[str, Any] | None = None) -> Any:
        """Run nodes, in the body of this generation; return the decoded answer."""
        if self.generation == "v1":
            return self.execute({"nodes": nodes}, query)
        return self.execute({"dag": {"nodes": nodes}, "context": context}, query)

    def llm(self, node_id: str, prompt: str | None = None, /, **fields: Any) -> dict[str, Any]:
        """Return an LLM node of this generation; its prompt has never been seen before unless one is given."""
        field = "prompt" if self.generation == "v1" else "prompt_template"
        text = fresh() if prompt is None else prompt
        return {"id": node_id, "node_type": "llm_fn", field: text, "dependencies": [], **fields}

    def function(self, node_id: str, **fields: Any) -> dict[str, Any]:
        """Return a node that is not an LLM node."""
        kind = "fn" if self.generation == "v1" else "compute"
        return {"id": node_id, "node_type": kind, "dependencies": [], **fields}

    def metrics(self) -> dict[str, float]:
        """Return the samples by name, the buckets' with their label."""
        lines = self.call("GET", "/metrics").text.splitlines()
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}

    def raw(self, sent: bytes) -> bytes:
        """Send bytes, and read until the runtime closes the connection."""
        with socket.create_connection(self.address, timeout=60) as connection:
            connection.sendall(sent)
            pieces = []
            while piece := connection.recv(65536):
                pieces.append(piece)
            return b"".join(pieces)


def fresh(size: int = 32) -> str:
    """Return an ASCII text that no cache has seen, of `size` bytes."""
    return (f"{uuid.uuid4().hex} " * (size // 33 + 1))[:size]
