"""Parse requests from the bytes of one connection."""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import urlsplit

import httptools

from aether_load.simulator.http.messages import Request

BODY_LIMIT = 2 * 1024 * 1024
_HEAD_LIMIT = 400 * 1024


class RequestParser:
    """Parses with httptools, which calls the methods that begin with `on_`, and delivers each request when it is whole.

    Bytes that are not HTTP, and a head without end, are delivered as a request with a `refusal`. After that, and
    after a request that closes the connection, all bytes are ignored.
    """

    def __init__(self, deliver: Callable[[Request], None]) -> None:
        self._deliver = deliver
        self._parser = httptools.HttpRequestParser(self)
        self._received_ns = 0
        self._request: Request | None = None
        self._head_bytes = 0
        self._body_bytes = 0
        self._pieces: list[bytes] = []
        self._has_ended = False
        self.asks_to_continue = False

    def feed(self, data: bytes) -> None:
        """Parse the next bytes."""
        if self._has_ended:
            return
        self._received_ns = time.monotonic_ns()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._parser = httptools.HttpRequestParser(self)  # the client goes on in HTTP/1.1
            self.feed(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse(400)
        if self._request is not None and not self._request.method:
            self._head_bytes += len(data)
            if self._head_bytes > _HEAD_LIMIT:
                self._refuse(431)

    def _refuse(self, status: int) -> None:
        if not self._has_ended:
            self._has_ended = True
            self._deliver(Request(self._received_ns, keep_alive=False, refusal=status))

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._request = Request(self._received_ns)
        self._head_bytes = self._body_bytes = 0
        self._pieces = []

    def on_url(self, piece: bytes) -> None:
        """Add a piece of the target."""
        assert self._request is not None
        self._request.target += piece

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; trailers are ignored."""
        assert self._request is not None
        if not self._request.method:
            self._request.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """Read method, version and target."""
        request = self._request
        assert request is not None
        request.method = self._parser.get_method().decode()
        request.http10 = self._parser.get_http_version() == "1.0"
        target = request.target.decode("latin-1")
        if target.startswith("/"):
            request.path, _, request.query = target.partition("?")
        else:
            parts = urlsplit(target)
            request.path, request.query = parts.path or "/", parts.query
        self.asks_to_continue = request.headers.get(b"expect", b"").lower() == b"100-continue"

    def on_body(self, piece: bytes) -> None:
        """Keep a piece of the body, up to the limit."""
        self._body_bytes += len(piece)
        if self._body_bytes <= BODY_LIMIT:
            self._pieces.append(piece)

    def on_message_complete(self) -> None:
        """Deliver the request."""
        request, self._request = self._request, None
        assert request is not None
        request.keep_alive = self._parser.should_keep_alive()
        request.too_large = self._body_bytes > BODY_LIMIT
        if not request.too_large:
            request.body = b"".join(self._pieces)
        self.asks_to_continue = False
        self._has_ended = not request.keep_alive
        self._deliver(request)
