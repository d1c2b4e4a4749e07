"""Exchange HTTP/1.1 requests over one keep-alive connection a user."""

from __future__ import annotations

import re
import select
import ssl
from time import monotonic
from typing import Any

import gevent
from gevent import monkey
from gevent import socket as gsocket

from aether_load.load.http.answer_parser import AnswerCutShort, MalformedAnswer, read_answer
from aether_load.load.http.common_head import LONGEST_HEAD, common_head
from aether_load.load.http.connecting import connect, reason_of
from aether_load.load.http.connection_stats import ConnectionStats
from aether_load.load.http.endpoint import Endpoint
from aether_load.load.http.errors import ConnectionLost, NotHttp, TimedOut
from aether_load.redaction import foreign_text
from aether_load.tls import refused_handshake

MOST_RESPONSE_BYTES = 64 << 20
_RECEIVE_BYTES = 65536
_MOST_BODY_RECEIVE_BYTES = 1 << 20
_PEEKED_BYTES = 512
_IDLE_TIMEOUT = re.compile(rb"HTTP/1\.[01] 408\b")
# Locust has the process patched, and gevent's own poll would yield to the hub.
_poll: Any = monkey.get_original("select", "poll")


class Connection:
    """One keep-alive connection; not for use by two greenlets at once."""

    def __init__(
        self,
        endpoint: Endpoint,
        pool: ConnectionStats,
        *,
        connect_timeout_s: float,
        answer_timeout_s: float,
        most_response_bytes: int = MOST_RESPONSE_BYTES,
    ) -> None:
        """Take the limits of an exchange; no answer's body may have more than `most_response_bytes`."""
        self._endpoint = endpoint
        self._pool = pool
        self._connect_timeout_s = connect_timeout_s
        self._answer_timeout_s = answer_timeout_s
        self._most_response_bytes = most_response_bytes
        self._answer_due = 0.0
        self._socket: gsocket.socket | None = None
        # Set for a connection without TLS, whose common exchange goes past gevent's own socket.
        self._plain: Any = None
        self._readable: Any = None
        self._look: Any = None
        self._switch: Any = None

    def open(self) -> None:
        """Connect now, if not connected; raises ConnectError or TimedOut."""
        if self._socket is not None:
            return
        connected = connect(self._endpoint, self._connect_timeout_s)
        connected.settimeout(self._answer_timeout_s)
        self._socket = connected
        self._pool.opened += 1
        if not self._endpoint.tls:
            self._plain = connected._sock  # noqa: SLF001 -- gevent's own send and recv each make a failing call first
            hub = gevent.get_hub()
            self._readable, self._switch = hub.loop.io(connected.fileno(), 1), hub.switch
            look = _poll()
            look.register(connected.fileno(), select.POLLIN)
            self._look = look.poll
            self._pool.keep_time()

    def close(self) -> None:
        """Close the connection; the next exchange opens a new one."""
        if self._readable is not None:
            self._readable.close()
            self._readable = self._plain = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def exchange(self, request: bytes) -> tuple[int, bytes]:
        """Send a request and return the status and body of its answer; raises TransportError.

        A request is never sent twice: when the connection breaks after it went out, it may have been executed.
        The limit of the answer counts from the first byte sent to the last one received. Where an answer is there
        before the request went out, the request is not sent: that answer belongs to another one.
        """
        # poll costs a quarter of a recv that finds no bytes, and takes descriptors of any number.
        if self._plain is None or self._look(0):
            self._make_ready()
        self._answer_due = monotonic() + self._answer_timeout_s
        try:
            answer = self._receive(self._send(request))
        except OSError as error:
            self.close()
            # A time-out of the kernel's has an errno, and means that the other side is gone.
            if isinstance(error, TimeoutError) and error.errno is None:
                raise TimedOut(f"no answer within {self._answer_timeout_s:g} s") from None
            raise ConnectionLost(f"connection lost: {self._why(error)}") from None
        except MalformedAnswer as error:
            self.close()
            raise NotHttp(str(error)) from None
        except AnswerCutShort as error:
            self.close()
            raise ConnectionLost(str(error)) from None
        except BaseException:
            # An answer may still be on its way; the next request must not read it as its own.
            self.close()
            raise
        return answer

    def _make_ready(self) -> None:
        """Connect where there is no connection or the other side closed it; raises NotHttp for an early answer."""
        if self._socket is None:
            self.open()
        elif (unread := self._unread()) is not None:
            self.close()
            if _is_an_answer(unread):
                raise NotHttp(
                    f"answer of another request: it came before this one was sent: {foreign_text(unread, 60)}"
                )
            self._pool.stale_reopened += 1
            self.open()

    def _why(self, error: OSError) -> str:
        if isinstance(error, ssl.SSLError):
            # In TLS 1.3 a server refuses the client's certificate after the handshake.
            return refused_handshake(error, self._endpoint.tls_settings)
        return reason_of(error)

    def _unread(self) -> bytes | None:
        """Return what came on an idle connection: no bytes where the other side closed it, None where nothing came."""
        assert self._socket is not None
        try:
            if self._plain is not None:
                plain: bytes = self._plain.recv(_PEEKED_BYTES)
                return plain
            # Bytes on the wire may be a TLS session ticket: only a read can tell.
            decrypted: bytes = self._socket._sslobj.read(_PEEKED_BYTES)  # noqa: SLF001
        except (BlockingIOError, InterruptedError, ssl.SSLWantReadError):
            return None
        except OSError:
            return b""
        return decrypted

    def _send(self, request: bytes) -> bytes:
        """Send the request and return the first bytes of what comes back; none when the other side has closed."""
        plain = self._plain
        if plain is None:
            sent = 0
        else:
            try:
                sent = plain.send(request)
            except BlockingIOError:
                sent = 0
            if sent == len(request):
                return self._first_bytes(plain)
        connected = self._socket
        assert connected is not None
        with self._time_left():
            connected.sendall(memoryview(request)[sent:])
        return self._receive_more()

    def _first_bytes(self, plain: Any) -> bytes:
        """Wait for the answer to begin."""
        me = gevent.getcurrent()
        due_s, readable, switch = self._pool.due_s, self._readable, self._switch
        due_s[me] = self._answer_due
        try:
            while True:
                readable.start(me.switch)
                switch()
                try:
                    data: bytes = plain.recv(_RECEIVE_BYTES)
                except BlockingIOError:
                    continue
                return data
        finally:
            readable.stop()
            del due_s[me]

    def _receive(self, data: bytes) -> tuple[int, bytes]:
        """Read the rest of the answer that begins with `data`."""
        start = data.find(b"\r\n\r\n") + 4
        head = common_head(data[:start]) if start <= LONGEST_HEAD else None
        if head is None:
            return self._receive_any(data)
        status, length = head
        if length > self._most_response_bytes:
            raise MalformedAnswer(f"the answer has {length} bytes, and the limit is {self._most_response_bytes}")
        have = len(data) - start
        if have == length:
            return status, data[start:]
        if have > length:
            raise MalformedAnswer("more bytes came than the answer's Content-Length")
        parts = [data[start:]]
        while have < length:
            more = self._receive_more(min(_MOST_BODY_RECEIVE_BYTES, length - have))
            if not more:
                raise AnswerCutShort(f"connection closed after {have} of {length} bytes of the body")
            parts.append(more)
            have += len(more)
        return status, b"".join(parts)

    def _receive_any(self, data: bytes) -> tuple[int, bytes]:
        """Read an answer of any legal form through the C parser."""
        status, body, reusable = read_answer(data, self._receive_more, self._most_response_bytes)
        if not reusable:
            self.close()
        return status, body

    def _receive_more(self, most: int = _RECEIVE_BYTES) -> bytes:
        assert self._socket is not None
        with self._time_left():
            more: bytes = self._socket.recv(most)
        return more

    def _time_left(self) -> Any:
        """Return a context that raises TimeoutError when the answer is due; the socket's own limit starts anew."""
        left = self._answer_due - monotonic()
        if left <= 0:
            raise TimeoutError
        return gevent.Timeout(left, TimeoutError)


def _is_an_answer(unread: bytes) -> bool:
    """Tell whether bytes on an idle connection are an answer, and not the end of one or of the connection.

    Some servers end an answer with an empty line, and some say 408 before they close an idle connection (RFC 9110,
    15.5.9).
    """
    return bool(unread.strip(b"\r\n")) and not _IDLE_TIMEOUT.match(unread)
