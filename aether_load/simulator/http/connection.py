"""HTTP/1.1 as hyper speaks it: one connection, its requests in order, its answers."""

from __future__ import annotations

import asyncio
import sys
import time
import traceback
from collections import deque
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

import httptools

from aether_load.simulator.http.fiber import Fiber, suspend
from aether_load.simulator.http.messages import BODY_LIMIT, CONTINUE, Answer, Request, render_head

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from aether_load.simulator.http.fiber import Arm, Disarm, Resume

_HEAD_LIMIT = 417_792
_HEADERS_LIMIT = 100
_URL_LIMIT = 65_534
_WAITING_LIMIT = 32
_LINGER_SECONDS = 2.0


class Service(Protocol):
    """What answers requests."""

    connections: set[Connection]

    def reads_body(self, request: Request) -> bool:
        """Tell whether the body of a request is wanted; otherwise it is read past."""

    def serve(self, request: Request, connection: Connection) -> Coroutine[Arm, None, None]:
        """Answer one request over its connection."""


class Connection(asyncio.Protocol):
    """One client's connection; requests wait here until those before them are answered.

    `written_ns` is the monotonic time just before the last piece was given to the kernel, which is never after the
    client has it; `loss` is why a request that is under way comes to nothing when the connection goes.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._parser = httptools.HttpRequestParser(self)
        self._current: Request | None = None
        self._waiting: deque[Request] = deque()
        self._serving: Request | None = None
        self._fiber: Fiber | None = None
        self._advancing = False
        self._deaf = False
        self._received_ns = 0
        self._head_bytes = 0
        self._headers = 0
        self._continue_due = False
        self._drained: Resume | None = None
        self._going_on: asyncio.Handle | None = None
        self._blocked = False
        self.transport: asyncio.Transport
        self.loss = "client_gone"
        self.written_ns = 0

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(high=0)  # so that "sent" means given to the kernel
        self._service.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the loop's signature
        """Give up what is under way: the runtime drops a request whose client is gone."""
        self._service.connections.discard(self)
        self._deaf = True
        self._waiting.clear()
        if self._fiber is not None:
            self._fiber.cancel()

    def data_received(self, data: bytes) -> None:
        """Read requests."""
        if self._deaf:
            return
        self._received_ns = time.monotonic_ns()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            # Nothing here upgrades, and the client is to go on in HTTP/1.1.
            self._parser = httptools.HttpRequestParser(self)
            if rest := data[upgrade.args[0] :]:
                self.data_received(rest)
        except httptools.HttpParserError:
            self._refuse(400)
        if self._current is not None and not self._deaf:
            self._head_bytes += len(data)
            if self._head_bytes > _HEAD_LIMIT and not self._current.headers_done:
                self._refuse(431)

    def pause_writing(self) -> None:
        """Note that the kernel takes no more for now."""
        self._blocked = True

    def resume_writing(self) -> None:
        """Go on after the last byte was taken."""
        self._blocked = False
        if self._drained is not None:
            # Not called here: a transport that is closed inside this callback loses its connection twice.
            self._going_on = asyncio.get_running_loop().call_soon(self._drained)
            self._drained = None

    # What the parser calls.

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._current = Request(self._received_ns)
        self._head_bytes = self._headers = 0

    def on_url(self, url: bytes) -> None:
        """Add a piece of the target."""
        assert self._current is not None
        self._current.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep the headers that matter."""
        assert self._current is not None
        self._headers += 1
        name = name.lower()
        self._current.headers[name] = value
        if name == b"content-type":
            self._current.content_type = value
        elif name == b"expect":
            self._current.expects_continue = value.lower() == b"100-continue"

    def on_headers_complete(self) -> None:
        """Decide what is to become of the body."""
        request = self._current
        assert request is not None
        request.headers_done = True
        request.http10 = self._parser.get_http_version() == "1.0"
        request.method = self._parser.get_method().decode()
        if self._headers > _HEADERS_LIMIT or len(request.target) > _URL_LIMIT:
            self._refuse(431 if self._headers > _HEADERS_LIMIT else 414)
            return
        target = request.target
        if target.startswith(b"/"):
            path, _, query = target.partition(b"?")
            request.path, request.query = path.decode("latin-1"), query.decode("latin-1")
        else:
            parts = urlsplit(target.decode("latin-1"))
            request.path, request.query = parts.path or "/", parts.query
        request.wanted = self._service.reads_body(request)
        if request.wanted and request.expects_continue and not request.http10:
            self._continue_due = True
            self._continue()

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body, up to the limit."""
        request = self._current
        if request is None or not request.wanted:
            return
        request.size += len(body)
        if request.size <= BODY_LIMIT:
            request.pieces.append(body)
            return
        request.too_large = True
        request.keep_alive = False
        self._deaf = True
        self._enqueue(request)

    def on_message_complete(self) -> None:
        """Let a request wait for its turn."""
        request = self._current
        if request is None or self._deaf:
            return
        request.keep_alive = self._parser.should_keep_alive()
        self._continue_due = False
        if not request.keep_alive:
            self._deaf = True
        self._enqueue(request)

    # One request after the other.

    def _enqueue(self, request: Request) -> None:
        self._current = None
        self._waiting.append(request)
        if len(self._waiting) > _WAITING_LIMIT:
            self.transport.pause_reading()
        self._advance()

    def _advance(self) -> None:
        if self._advancing:
            return
        self._advancing = True
        while self._waiting and self._fiber is None and not self.transport.is_closing():
            self._serving = self._waiting.popleft()
            self._fiber = Fiber(self._service.serve(self._serving, self), self._served)
            self._fiber.step()
        self._advancing = False
        if not self._waiting and not self._deaf and not self.transport.is_reading():
            self.transport.resume_reading()
        self._continue()

    def _served(self, _result: None, error: Exception | None) -> None:
        request, self._serving, self._fiber = self._serving, None, None
        if error is not None:
            traceback.print_exception(error, file=sys.stderr)
            self.transport.abort()
        elif request is not None and not request.keep_alive:
            self._linger() if request.too_large else self.transport.close()
        self._advance()

    def _continue(self) -> None:
        """Ask for the body of a request that waits to be asked, once those before it are answered."""
        if self._continue_due and self._fiber is None and not self._waiting and not self.transport.is_closing():
            self._continue_due = False
            self.transport.write(CONTINUE)

    def _refuse(self, status: int) -> None:
        """Answer what is no HTTP, after the requests before it, and close."""
        self._deaf = True
        self._current = None
        if self._serving is not None:
            last = self._waiting[-1] if self._waiting else self._serving
            last.keep_alive = False
            return
        self.transport.write(render_head(Answer(status), keep_alive=False, http10=False))
        self._linger()

    def _linger(self) -> None:
        """Let the client finish its sending: closing on unread bytes would reset what was answered."""
        if self.transport.is_closing():
            return
        self.transport.write_eof()
        if not self.transport.is_reading():
            self.transport.resume_reading()
        asyncio.get_running_loop().call_later(_LINGER_SECONDS, self.transport.close)

    # What the service and the server call.

    @property
    def peer(self) -> str:
        """Return the client's address."""
        return str(self.transport.get_extra_info("peername")[0])

    def break_off(self, loss: str) -> None:
        """Give up what is under way for the reason `loss`, and close after what was already sent."""
        self.loss = loss
        self._deaf = True
        self._waiting.clear()
        fiber, self._fiber = self._fiber, None
        if fiber is None:
            self.transport.close()
        else:
            fiber.cancel()
            self.transport.abort()

    def send(self, answer: Answer, request: Request) -> None:
        """Write an answer."""
        head = render_head(answer, keep_alive=request.keep_alive, http10=request.http10)
        self.write(head if request.method == "HEAD" else head + answer.body)

    def write(self, piece: bytes) -> None:
        """Write a piece of an answer."""
        self.written_ns = time.monotonic_ns()
        self.transport.write(piece)

    async def drained(self) -> None:
        """Wait until the kernel has taken everything."""
        if self._blocked:
            await suspend(self._when_drained)
            self.written_ns = time.monotonic_ns()

    def _when_drained(self, resume: Resume) -> Disarm:
        self._drained = resume
        return self._forget_drained

    def _forget_drained(self) -> None:
        self._drained = None
        if self._going_on is not None:
            self._going_on.cancel()
