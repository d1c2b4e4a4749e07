"""The runtime's endpoints, and the simulator's own under `/_sim`."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import msgspec

from aether_load.simulator import control
from aether_load.simulator.delivery import WHOLE, deliver, error_page
from aether_load.simulator.engine.dag import DuplicateIdError
from aether_load.simulator.engine.engine_v1 import EngineV1
from aether_load.simulator.engine.engine_v2 import EngineV2
from aether_load.simulator.engine.outcomes import PanicError
from aether_load.simulator.fault_kinds import Status
from aether_load.simulator.http.messages import CORS, JSON, TEXT, Answer, Request, text
from aether_load.simulator.refusals import BodyRefusedError, read_body
from aether_load.simulator.wire import RequestV1, RequestV2, encode

if TYPE_CHECKING:
    from aether_load.simulator.http.connection import Connection
    from aether_load.simulator.record import Entry
    from aether_load.simulator.runtime_state import RuntimeState

_decode_v1 = msgspec.json.Decoder(RequestV1).decode
_decode_v2 = msgspec.json.Decoder(RequestV2).decode
_NOT_FOUND = Answer(404)
_METHODS = {"/health": "GET", "/metrics": "GET", "/execute": "POST", "/cache/stats": "GET", "/cache/clear": "POST"}
_PREFLIGHT = Answer(200, headers=f"{CORS}access-control-allow-methods: *\r\naccess-control-allow-headers: *\r\n")


class Service:
    """Answers requests for one simulated runtime."""

    def __init__(self, world: RuntimeState) -> None:
        self._world = world
        self._v1 = EngineV1(world.provider, world.metrics)
        self._v2 = EngineV2(world.provider, world.cache, world.metrics)
        self._is_v2 = world.options.generation == "v2"
        self.connections: set[Connection] = set()

    def reads_body(self, request: Request) -> bool:
        """Want the body of a run with the right content type, and that of an order to the simulator."""
        if request.method != "POST":
            return False
        if request.path == "/execute":
            return _is_json(request.content_type) and (not self._is_v2 or _sequential(request.query) is not None)
        return request.path.startswith("/_sim/")

    async def serve(self, request: Request, connection: Connection) -> None:
        """Answer one request."""
        path = request.path
        if self._world.options.control and path.startswith("/_sim"):
            connection.send(control.answer(request, connection.peer, self._world), request)
            await connection.drained()
            return
        await self._world.clock.pause()
        if path == "/execute" and request.method == "POST":
            await self._run(request, connection)
            return
        answer = self._other(request)
        fault = self._world.faults.on_answer(path) if answer.status < 400 else None
        await deliver(answer, fault, request, connection, self._world.clock)

    def _other(self, request: Request) -> Answer:
        """Answer everything that runs nothing."""
        if request.method == "OPTIONS":
            return _PREFLIGHT
        allowed = _METHODS.get(request.path)
        if allowed is None or (not self._is_v2 and request.path.startswith("/cache/")):
            return _NOT_FOUND
        if request.method != allowed and not (request.method == "HEAD" and allowed == "GET"):
            return Answer(405, headers=f"{CORS}allow: {'GET,HEAD' if allowed == 'GET' else 'POST'}\r\n")
        match request.path:
            case "/health":
                return text(200, "OK")
            case "/metrics":
                return Answer(200, TEXT, self._world.metrics.exposition(cache=self._is_v2).encode())
            case "/cache/stats":
                return Answer(200, JSON, encode(self._world.cache.stats()))
        self._world.cache.clear()
        return text(200, "Cache cleared")

    async def _run(self, request: Request, connection: Connection) -> None:
        """Answer `POST /execute`, and keep a record of it."""
        world = self._world
        entry = world.record.begin(request.arrival_ns)
        try:
            fault = world.faults.on_answer("/execute")
            if isinstance(fault, Status):
                answer = error_page(fault.code)
            else:
                answer = await self._execute(request, entry)
            if fault is not None:
                entry.fault = str(fault.__struct_config__.tag)
            sent = await deliver(answer, fault, request, connection, world.clock)
            entry.sent = sent
            entry.status = None if sent in {"closed_before", "closed_headers"} else answer.status
        except (PanicError, DuplicateIdError):
            entry.sent = "panic"
            connection.transport.close()
        except GeneratorExit:
            entry.sent = connection.loss
            raise
        except Exception:
            entry.sent = "error"
            raise
        finally:
            world.record.end(entry, connection.written_ns if entry.sent == WHOLE else time.monotonic_ns())

    async def _execute(self, request: Request, entry: Entry) -> Answer:
        """Run the request's DAG, or say why not, in the order in which the runtime looks."""
        sequential = _sequential(request.query) if self._is_v2 else False
        if sequential is None:
            return text(400, "Failed to deserialize query string: provided string was not `true` or `false`")
        if not _is_json(request.content_type):
            return text(415, "Expected request with `Content-Type: application/json`")
        if request.too_large:
            return text(413, "Failed to buffer the request body: length limit exceeded")
        execution_id = str(uuid.uuid4())
        try:
            if self._is_v2:
                v2 = read_body(_decode_v2, request.body)
                entry.execution_id = execution_id
                answer_v2 = await self._v2.execute(execution_id, v2, entry.nodes, sequential=sequential)
                entry.total_ms = answer_v2.total_execution_time_ms
                return Answer(200, JSON, encode(answer_v2))
            v1 = read_body(_decode_v1, request.body)
            entry.execution_id = execution_id
            answer_v1 = await self._v1.execute(execution_id, v1, entry.nodes)
            entry.total_ms = answer_v1.total_execution_time_ms
            return Answer(200, JSON, encode(answer_v1))
        except BodyRefusedError as refused:
            return text(refused.status, str(refused))


def _is_json(content_type: bytes | None) -> bool:
    """Tell `application/json` and `application/…+json`, with parameters or without."""
    if content_type == b"application/json":
        return True
    essence = (content_type or b"").partition(b";")[0].strip().lower()
    return essence == b"application/json" or (essence.startswith(b"application/") and essence.endswith(b"+json"))


def _sequential(query: str) -> bool | None:
    """Read `sequential` of a query string: False when it is not there, None when it is neither true nor false."""
    if not query:
        return False
    values = [value for name, value in parse_qsl(query, keep_blank_values=True) if name == "sequential"]
    if not values:
        return False
    return {"true": True, "false": False}.get(values[0]) if len(values) == 1 else None
