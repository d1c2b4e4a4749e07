"""Serve one client's HTTP/1.1 connection."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Coroutine
from typing import Protocol

from aether_load.simulator.http.messages import Answer, Request, render_head
from aether_load.simulator.http.parser import RequestParser

_WAITING_LIMIT = 32
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Service(Protocol):
    """What answers requests, and knows all connections."""

    connections: set[Connection]

    def serve(self, request: Request, connection: Connection) -> Coroutine[None, None, None]:
        """Answer one request over its connection."""


class Connection(asyncio.Protocol):
    """Lets a service answer the requests of one connection, one after the other.

    `written_ns` is the monotonic time just before the last piece of an answer was given to the kernel, and so never
    after the client has it. `cancel_reason` says why the request that is under way is cancelled.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._parser = RequestParser(self._enqueue)
        self._waiting: deque[Request] = deque()
        self._task: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self.transport: asyncio.Transport
        self.cancel_reason = "client_gone"
        self.written_ns = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; asyncio calls this and the methods up to `resume_writing`."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(high=0)  # so that `drained` means that the kernel has everything
        self._service.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncio's signature
        """Drop what is under way, as the runtime does when its client is gone."""
        self._service.connections.discard(self)
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        """Parse what the client sends."""
        self._parser.feed(data)
        if self._parser.asks_to_continue and self._task is None:
            self._parser.asks_to_continue = False
            self.transport.write(_CONTINUE)

    def pause_writing(self) -> None:
        """Note that the kernel takes no more for now."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Note that the kernel has everything."""
        self._writable.set()

    def _enqueue(self, request: Request) -> None:
        self._waiting.append(request)
        if len(self._waiting) >= _WAITING_LIMIT:
            self.transport.pause_reading()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._serve())

    async def _serve(self) -> None:
        try:
            while self._waiting and not self.transport.is_closing():
                request = self._waiting.popleft()
                self.transport.resume_reading()
                if request.refusal is None:
                    await self._service.serve(request, self)
                else:
                    await self.send(Answer(request.refusal), request)
                if not request.keep_alive:
                    self.transport.close()
        except Exception as error:  # noqa: BLE001 -- an error in the simulator, which costs this connection only
            context = {"message": "The simulator failed to answer a request", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)
            self.transport.abort()
        finally:
            self._task = None

    def break_off(self, reason: str) -> None:
        """Give up what is under way for a reason, and close."""
        self.cancel_reason = reason
        if self._task is None:
            self.transport.close()
        else:
            self._task.cancel()
            self.transport.abort()

    async def send(self, answer: Answer, request: Request) -> None:
        """Write an answer, and wait until the kernel has it."""
        head = render_head(answer, request)
        self.write(head if request.method == "HEAD" else head + answer.body)
        await self.drained()

    def write(self, piece: bytes) -> None:
        """Write a piece of an answer."""
        self.written_ns = time.monotonic_ns()
        self.transport.write(piece)

    async def drained(self) -> None:
        """Wait until the kernel has taken everything."""
        if not self._writable.is_set():
            await self._writable.wait()
            self.written_ns = time.monotonic_ns()
