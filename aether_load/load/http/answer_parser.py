"""Read answers of any legal form through the C parser llhttp: chunked, until close, after interim answers."""

from __future__ import annotations

from collections.abc import Callable

import httptools

MOST_HEAD_BYTES = 65536
_MOST_FRAMING = 8
"""Bytes on the wire to a byte of a body; a chunk of one byte has six."""


class MalformedAnswer(Exception):
    """What came is not an answer; the text says why."""


class AnswerCutShort(Exception):
    """The other side closed before the answer was whole; the text says where."""


def read_answer(data: bytes, receive: Callable[[], bytes], most_bytes: int) -> tuple[int, bytes, bool]:
    """Return status, body and whether the connection can be used again, from `data` and what `receive` brings next.

    `receive` returns no bytes when the other side has closed. A body of more than `most_bytes` is not read to its end.
    Raises MalformedAnswer and AnswerCutShort.
    """
    answer = _Answer()
    parser = httptools.HttpResponseParser(answer)
    answer.status_of = parser.get_status_code
    answer.is_kept_alive = parser.should_keep_alive
    try:
        received = 0
        while data:
            received += len(data)
            _feed(parser, data)
            if answer.fault:
                raise MalformedAnswer(answer.fault)
            if answer.body_bytes > most_bytes:
                raise MalformedAnswer(f"the answer goes on beyond the limit of {most_bytes} bytes")
            if answer.complete:
                return answer.status, b"".join(answer.body), answer.reusable
            if answer.in_head and received > MOST_HEAD_BYTES:
                raise MalformedAnswer(f"no end of the head within {MOST_HEAD_BYTES} bytes")
            if received > MOST_HEAD_BYTES + _MOST_FRAMING * most_bytes:
                raise MalformedAnswer(f"the answer is {received} bytes of chunks that hold {answer.body_bytes}")
            data = receive()
        if answer.ends_by_close:
            return answer.status, b"".join(answer.body), False
        if not received:
            raise AnswerCutShort("connection closed without an answer")
        raise AnswerCutShort(f"connection closed in the middle of {'a head' if answer.in_head else 'a body'}")
    finally:
        # Parser and answer hold each other: left so, each pair would wait for a garbage collection.
        answer.status_of = int
        answer.is_kept_alive = bool


def _feed(parser: httptools.HttpResponseParser, data: bytes) -> None:
    try:
        parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        raise MalformedAnswer("the other side switched protocols without being asked to") from None
    except httptools.HttpParserError as error:
        raise MalformedAnswer(f"not HTTP: {error}") from None


class _Answer:
    """What the C parser calls back into; an interim answer (1xx) is passed over."""

    def __init__(self) -> None:
        self.status = 0
        self.in_head = True
        self.ends_by_close = False
        self.complete = False
        self.fault = ""
        self.body: list[bytes] = []
        self.body_bytes = 0
        self.reusable = False
        self.status_of: Callable[[], int] = int
        self.is_kept_alive: Callable[[], bool] = bool
        self._has_length = False
        self._coding: bytes | None = None

    def on_message_begin(self) -> None:
        if self.complete:
            self.fault = "more bytes came than the answer's own length"
        self._has_length = False
        self._coding = None

    def on_header(self, name: bytes, value: bytes | None) -> None:
        name = name.lower()
        if name == b"content-length":
            self._has_length = True
        elif name == b"transfer-encoding":
            self._coding = (value or b"").rsplit(b",", 1)[-1].strip().lower()
            if self._coding == b"chunked" and value and value.endswith(b"\t"):
                # llhttp takes it for another coding, and would wait for the connection's end.
                self.fault = "a tab after the transfer coding, which the parser does not read"

    def on_headers_complete(self) -> None:
        if self.complete:
            return
        status = self.status_of()
        if status >= 200:
            self.status = status
            self.in_head = False
            # The parser itself never says that a body is one that ends where the connection does.
            bodiless = status in {204, 304}
            self.ends_by_close = not bodiless and self._coding != b"chunked" and not self._has_length
        elif status < 100:
            self.fault = f"not HTTP: {status:03} is no status"

    def on_body(self, part: bytes) -> None:
        if self.status:
            self.body.append(part)
            self.body_bytes += len(part)

    def on_message_complete(self) -> None:
        if self.status and not self.complete:
            self.complete = True
            # The parser knows it only here: once past the message it says no to every answer.
            self.reusable = self.is_kept_alive()
