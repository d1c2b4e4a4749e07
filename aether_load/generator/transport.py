"""HTTP/1.1 over one keep-alive connection a user: request bytes go out, status and body come back.

TransportError
 ├── ConnectError     no connection could be made
 ├── TimedOut         it took longer than its limit
 ├── ConnectionLost   the other side closed or reset while an answer was due
 └── NotHttp          what came back is not HTTP/1.1
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from urllib.parse import urlsplit

import httptools
import msgspec
from gevent import socket as gsocket
from gevent import ssl as gssl

_RECEIVE_BYTES = 65536
_MOST_HEAD_BYTES = 65536


class TransportError(Exception):
    """An exchange that brought no whole answer; the text says what happened."""


class ConnectError(TransportError):
    """No connection could be made."""


class TimedOut(TransportError):
    """It took longer than its limit."""


class ConnectionLost(TransportError):
    """The other side closed or reset the connection while an answer was due."""


class NotHttp(TransportError):
    """What came back is not HTTP/1.1."""


class Endpoint(msgspec.Struct, frozen=True):
    """Where a connection goes: host and port, whether in TLS, and the path in front of every request's own."""

    host: str
    port: int
    tls: bool
    base_path: str

    @classmethod
    def of(cls, url: str) -> Endpoint:
        """Return the endpoint of a base URL that has been checked."""
        parts = urlsplit(url)
        tls = parts.scheme == "https"
        assert parts.hostname is not None
        return cls(parts.hostname, parts.port or (443 if tls else 80), tls, parts.path.rstrip("/"))

    @property
    def authority(self) -> str:
        """Return the value of the Host header."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == (443 if self.tls else 80) else f"{name}:{self.port}"

    def request_bytes(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Return a whole request, ready to be sent any number of times."""
        lines = [f"{method} {self.base_path}{path} HTTP/1.1", f"Host: {self.authority}", "User-Agent: aether-load"]
        if body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + (body or b"")


class Counts:
    """How often the connections of one process had to be opened."""

    def __init__(self) -> None:
        self.opened = 0
        self.stale_reopened = 0


class Connection:
    """One keep-alive connection; not for use by two greenlets at once."""

    def __init__(
        self, endpoint: Endpoint, counts: Counts, *, connect_timeout_s: float, answer_timeout_s: float
    ) -> None:
        self._endpoint = endpoint
        self._counts = counts
        self._connect_timeout_s = connect_timeout_s
        self._answer_timeout_s = answer_timeout_s
        self._socket: gsocket.socket | None = None

    def open(self) -> None:
        """Connect now, if not connected; raises ConnectError or TimedOut."""
        if self._socket is not None:
            return
        endpoint = self._endpoint
        try:
            connected = gsocket.create_connection((endpoint.host, endpoint.port), timeout=self._connect_timeout_s)
            connected.setsockopt(gsocket.IPPROTO_TCP, gsocket.TCP_NODELAY, 1)
            if endpoint.tls:
                context = gssl.create_default_context()
                connected = context.wrap_socket(connected, server_hostname=endpoint.host)
        except TimeoutError:
            raise TimedOut(f"no connection within {self._connect_timeout_s:g} s") from None
        except (OSError, ssl.SSLError) as error:
            raise ConnectError(f"no connection: {error.strerror or error}") from None
        connected.settimeout(self._answer_timeout_s)
        self._socket = connected
        self._counts.opened += 1

    def close(self) -> None:
        """Close the connection; the next exchange opens a new one."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def exchange(self, request: bytes) -> tuple[int, bytes]:
        """Send a request and return the status and body of its answer; raises TransportError.

        A request is never sent twice: when the connection breaks after it went out, it may have been executed.
        """
        if self._socket is None:
            self.open()
        elif self._is_stale():
            self.close()
            self._counts.stale_reopened += 1
            self.open()
        try:
            assert self._socket is not None
            self._socket.sendall(request)
            return self._receive()
        except TimeoutError:
            self.close()
            raise TimedOut(f"no answer within {self._answer_timeout_s:g} s") from None
        except OSError as error:
            self.close()
            raise ConnectionLost(f"connection lost: {error.strerror or error}") from None
        except BaseException:
            # An answer may still be on its way; the next request must not read it as its own.
            self.close()
            raise

    def _is_stale(self) -> bool:
        """Tell whether an idle connection has been closed, or holds bytes that nobody asked for."""
        assert self._socket is not None
        if self._endpoint.tls:
            return False
        raw = self._socket._sock  # noqa: SLF001 -- gevent's own recv would wait for the next byte
        try:
            raw.recv(1, gsocket.MSG_PEEK | gsocket.MSG_DONTWAIT)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            return True
        return True

    def _receive(self) -> tuple[int, bytes]:
        assert self._socket is not None
        data = self._socket.recv(_RECEIVE_BYTES)
        if not data:
            self.close()
            raise ConnectionLost("connection closed without an answer")
        end = data.find(b"\r\n\r\n")
        if end < 0 or not data.startswith(b"HTTP/1.1 "):
            return self._receive_any(data)
        head = data[:end].lower()
        length_at = head.find(b"\r\ncontent-length:")
        if (
            length_at < 0
            or b"\r\ntransfer-encoding:" in head
            or b"\r\nconnection:" in head
            or head.find(b"\r\ncontent-length:", length_at + 1) >= 0
        ):
            return self._receive_any(data)
        line_end = head.find(b"\r\n", length_at + 2)
        digits = head[length_at + 17 : line_end if line_end >= 0 else end].strip()
        status_text = head[9:12]
        if not digits.isdigit() or not status_text.isdigit() or status_text < b"200" or status_text in {b"204", b"304"}:
            return self._receive_any(data)
        length = int(digits)
        start = end + 4
        have = len(data) - start
        if have == length:
            return int(status_text), data[start:]
        if have > length:
            self.close()
            raise NotHttp("more bytes came than the answer's Content-Length")
        parts = [data[start:]]
        while have < length:
            more = self._socket.recv(min(1 << 20, length - have))
            if not more:
                self.close()
                raise ConnectionLost(f"connection closed after {have} of {length} bytes of the body")
            parts.append(more)
            have += len(more)
        return int(status_text), b"".join(parts)

    def _receive_any(self, data: bytes) -> tuple[int, bytes]:
        """Read an answer of any legal form through the C parser."""
        assert self._socket is not None
        answer = _Answer()
        parser = httptools.HttpResponseParser(answer)
        answer.status_of = parser.get_status_code
        received = 0
        while True:
            received += len(data)
            try:
                parser.feed_data(data)
            except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
                self.close()
                raise NotHttp(f"not HTTP: {error}") from None
            if answer.trailing:
                self.close()
                raise NotHttp("more bytes came than the answer's own length")
            if answer.complete:
                if not parser.should_keep_alive():
                    self.close()
                return answer.status, b"".join(answer.body)
            if not answer.status and received > _MOST_HEAD_BYTES:
                self.close()
                raise NotHttp(f"no end of the head within {_MOST_HEAD_BYTES} bytes")
            data = self._socket.recv(_RECEIVE_BYTES)
            if not data:
                self.close()
                if answer.status and answer.until_close:
                    return answer.status, b"".join(answer.body)
                raise ConnectionLost("connection closed in the middle of an answer")


class _Answer:
    """What the C parser calls back into; an interim answer (1xx) is passed over."""

    def __init__(self) -> None:
        self.status = 0
        self.complete = False
        self.trailing = False
        self.body: list[bytes] = []
        self.until_close = True
        self.status_of: Callable[[], int] = int

    def on_message_begin(self) -> None:
        self.trailing = self.complete
        self.status = 0
        self.until_close = True

    def on_header(self, name: bytes, _value: bytes) -> None:
        if name.lower() in {b"content-length", b"transfer-encoding"}:
            self.until_close = False

    def on_headers_complete(self) -> None:
        self.status = self.status_of()

    def on_body(self, part: bytes) -> None:
        self.body.append(part)

    def on_message_complete(self) -> None:
        self.complete = self.status >= 200
