"""Requests and answers, and the head of an answer as bytes."""

from __future__ import annotations

import time
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import NamedTuple

from aether_load._version import __version__

BODY_LIMIT = 2 * 1024 * 1024
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
TEXT = "text/plain; charset=utf-8"
JSON = "application/json"


class Request:
    """One request; `arrival_ns` is the monotonic time of the bytes that began it."""

    __slots__ = (
        "arrival_ns",
        "content_type",
        "expects_continue",
        "headers",
        "headers_done",
        "http10",
        "keep_alive",
        "method",
        "path",
        "pieces",
        "query",
        "size",
        "target",
        "too_large",
        "wanted",
    )

    def __init__(self, arrival_ns: int) -> None:
        self.arrival_ns = arrival_ns
        self.method = ""
        self.target = b""
        self.path = ""
        self.query = ""
        self.headers: dict[bytes, bytes] = {}
        self.content_type: bytes | None = None
        self.expects_continue = False
        self.headers_done = False
        self.http10 = False
        self.keep_alive = True
        self.wanted = False
        self.too_large = False
        self.pieces: list[bytes] = []
        self.size = 0

    @property
    def body(self) -> bytes:
        """The whole body."""
        return self.pieces[0] if len(self.pieces) == 1 else b"".join(self.pieces)


CORS = (
    "vary: origin, access-control-request-method, access-control-request-headers\r\naccess-control-allow-origin: *\r\n"
)


class Answer(NamedTuple):
    """One answer; `headers` are further lines, each with its line end."""

    status: int
    content_type: str | None = None
    body: bytes = b""
    headers: str = CORS


def text(status: int, sentence: str) -> Answer:
    """Return a plain-text answer."""
    return Answer(status, TEXT, sentence.encode())


def render_head(answer: Answer, *, keep_alive: bool, http10: bool) -> bytes:
    """Return status line and headers, up to the empty line."""
    start = _start(answer.status, answer.content_type, answer.headers, keep_alive, http10)
    return b"%bcontent-length: %d\r\ndate: %b\r\n\r\n" % (start, len(answer.body), _date(int(time.time())))


@lru_cache(maxsize=128)
def _start(status: int, content_type: str | None, headers: str, keep_alive: bool, http10: bool) -> bytes:
    version = "1.0" if http10 else "1.1"
    lines = [f"HTTP/{version} {status} {_phrase(status)}"]
    if content_type is not None:
        lines.append(f"content-type: {content_type}")
    if not keep_alive:
        lines.append("connection: close")
    elif http10:
        lines.append("connection: keep-alive")
    lines += [
        f"server: aether-load-simulator/{__version__}",
        f"x-aether-load-simulator: {__version__}",  # proxies replace `server`
    ]
    return ("\r\n".join(lines) + "\r\n" + headers).encode("latin-1")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "<none>"


@lru_cache(maxsize=2)
def _date(second: int) -> bytes:
    return formatdate(second, usegmt=True).encode("ascii")
