"""Define HTTP requests and answers, and write the head of an answer."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import NamedTuple

from aether_load._version import __version__

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
CORS = (
    "vary: origin, access-control-request-method, access-control-request-headers\r\naccess-control-allow-origin: *\r\n"
)


@dataclass(slots=True)
class Request:
    """One request; `arrival_ns` is the monotonic time at which its first bytes were read.

    `body` is empty when it was longer than the limit, and `too_large` is set. `refusal` is the status for bytes that
    are not HTTP or have no end.
    """

    arrival_ns: int
    method: str = ""
    target: bytes = b""
    path: str = ""
    query: str = ""
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""
    too_large: bool = False
    http10: bool = False
    keep_alive: bool = True
    refusal: int | None = None


class Answer(NamedTuple):
    """One answer; `headers` are further lines, each with its line end."""

    status: int
    content_type: str | None = None
    body: bytes = b""
    headers: str = CORS


def text(status: int, sentence: str) -> Answer:
    """Return a plain-text answer."""
    return Answer(status, TEXT, sentence.encode())


def render_head(answer: Answer, request: Request) -> bytes:
    """Return status line and headers, up to the empty line."""
    start = _start(answer.status, answer.content_type, answer.headers, request.keep_alive, request.http10)
    return b"%bcontent-length: %d\r\ndate: %b\r\n\r\n" % (start, len(answer.body), _date(int(time.time())))


@lru_cache(maxsize=128)
def _start(status: int, content_type: str | None, headers: str, keep_alive: bool, http10: bool) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "<none>"
    lines = [f"HTTP/{'1.0' if http10 else '1.1'} {status} {phrase}"]
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


@lru_cache(maxsize=2)
def _date(second: int) -> bytes:
    return formatdate(second, usegmt=True).encode("ascii")
