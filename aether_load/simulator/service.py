"""Serve the runtime's endpoints."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from urllib.parse import parse_qsl

import msgspec

from aether_load.simulator import control
from aether_load.simulator.delivery import WHOLE, deliver, error_page
from aether_load.simulator.engine.dag import DuplicateIdError
from aether_load.simulator.engine.engine_v1 import execute_v1
from aether_load.simulator.engine.engine_v2 import execute_v2
from aether_load.simulator.engine.outcomes import PanicError
from aether_load.simulator.fault_kinds import Status
from aether_load.simulator.http.connection import Connection
from aether_load.simulator.http.messages import CORS, JSON, TEXT, Answer, Request, text
from aether_load.simulator.record import Entry
from aether_load.simulator.refusals import BodyRefusedError, read_body
from aether_load.simulator.runtime_state import RuntimeState
from aether_load.simulator.wire import AnswerV1, AnswerV2, RequestV1, RequestV2, encode

_METHODS = {"/health": "GET", "/metrics": "GET", "/execute": "POST", "/cache/stats": "GET", "/cache/clear": "POST"}
_PREFLIGHT = Answer(200, headers=f"{CORS}access-control-allow-methods: *\r\naccess-control-allow-headers: *\r\n")
_decode_v1 = msgspec.json.Decoder(RequestV1).decode
_decode_v2 = msgspec.json.Decoder(RequestV2).decode


class Service:
    """Answers the requests of one simulated runtime."""

    def __init__(self, state: RuntimeState) -> None:
        self._state = state
        self._is_v2 = state.options.generation == "v2"
        self._decode: Callable[[bytes], RequestV1 | RequestV2] = _decode_v2 if self._is_v2 else _decode_v1
        self.connections: set[Connection] = set()

    async def serve(self, request: Request, connection: Connection) -> None:
        """Answer one request."""
        state = self._state
        if state.options.control and request.path.startswith("/_sim"):
            peer = str(connection.transport.get_extra_info("peername")[0])
            await connection.send(control.answer(request, peer, state), request)
            return
        await state.clock.pause()
        if request.path == "/execute" and request.method == "POST":
            await self._run(request, connection)
            return
        answer = self._other(request)
        fault = state.faults.on_answer(request.path) if answer.status < 400 else None
        await deliver(answer, fault, request, connection, state.clock)

    def _other(self, request: Request) -> Answer:
        """Answer everything that runs nothing."""
        if request.method == "OPTIONS":
            return _PREFLIGHT
        allowed = _METHODS.get(request.path)
        if allowed is None or (not self._is_v2 and request.path.startswith("/cache/")):
            return Answer(404)
        if request.method != allowed and not (request.method == "HEAD" and allowed == "GET"):
            return Answer(405, headers=f"{CORS}allow: {'GET,HEAD' if allowed == 'GET' else 'POST'}\r\n")
        match request.path:
            case "/health":
                return text(200, "OK")
            case "/metrics":
                return Answer(200, TEXT, self._state.metrics.exposition(is_v2=self._is_v2).encode())
            case "/cache/stats":
                return Answer(200, JSON, encode(self._state.cache.stats()))
        self._state.cache.clear()
        return text(200, "Cache cleared")

    async def _run(self, request: Request, connection: Connection) -> None:
        """Answer `POST /execute`, and keep a record of it."""
        state = self._state
        entry = state.record.begin(request.arrival_ns)
        try:
            fault = state.faults.on_answer("/execute")
            entry.fault = None if fault is None else str(fault.__struct_config__.tag)
            answer = error_page(fault.code) if isinstance(fault, Status) else await self._execute(request, entry)
            entry.sent = await deliver(answer, fault, request, connection, state.clock)
            entry.status = None if entry.sent in {"closed_before", "closed_headers"} else answer.status
        except (PanicError, DuplicateIdError):
            entry.sent = "panic"
            connection.transport.close()
        except asyncio.CancelledError:
            entry.sent = connection.cancel_reason
            raise
        except Exception:
            entry.sent = "error"
            raise
        finally:
            state.record.end(entry, connection.written_ns if entry.sent == WHOLE else time.monotonic_ns())

    async def _execute(self, request: Request, entry: Entry) -> Answer:
        """Run the request's DAG, or refuse it; the checks are in the runtime's order."""
        sequential = _sequential(request.query) if self._is_v2 else False
        if sequential is None:
            return text(400, "Failed to deserialize query string: provided string was not `true` or `false`")
        if not _is_json(request.headers.get(b"content-type", b"")):
            return text(415, "Expected request with `Content-Type: application/json`")
        if request.too_large:
            return text(413, "Failed to buffer the request body: length limit exceeded")
        try:
            body = read_body(self._decode, request.body)
        except BodyRefusedError as refused:
            return text(refused.status, str(refused))
        entry.execution_id = execution_id = str(uuid.uuid4())
        answer: AnswerV1 | AnswerV2
        if isinstance(body, RequestV2):
            answer = await execute_v2(self._state, execution_id, body, entry.nodes, sequential=sequential)
        else:
            answer = await execute_v1(self._state, execution_id, body, entry.nodes)
        entry.total_ms = answer.total_execution_time_ms
        return Answer(200, JSON, encode(answer))


def _is_json(content_type: bytes) -> bool:
    """Tell `application/json` and `application/…+json`, with parameters or without."""
    if content_type == b"application/json":
        return True
    essence = content_type.partition(b";")[0].strip().lower()
    return essence == b"application/json" or (essence.startswith(b"application/") and essence.endswith(b"+json"))


def _sequential(query: str) -> bool | None:
    """Read `sequential` of a query string: False when it is not there, None when it is neither true nor false."""
    if not query:
        return False
    values = [value for name, value in parse_qsl(query, keep_blank_values=True) if name == "sequential"]
    if not values:
        return False
    return {"true": True, "false": False}.get(values[0]) if len(values) == 1 else None
