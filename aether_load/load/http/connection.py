"""Exchange HTTP/1.1 requests over one keep-alive connection a user.

TransportError
 ├── ConnectError     no connection could be made
 ├── TimedOut         it took longer than its limit
 ├── ConnectionLost   the other side closed or reset while an answer was due
 └── NotHttp          what came back is no HTTP/1.1 answer to the request
"""

from __future__ import annotations

import re
import select
import ssl
from functools import lru_cache
from time import monotonic
from typing import Any

import gevent
from gevent import monkey
from gevent import socket as gsocket
from gevent import ssl as gssl

from aether_load.load.http.answer_parser import AnswerCutShort, MalformedAnswer, read_answer
from aether_load.load.http.connection_stats import ConnectionStats
from aether_load.load.http.endpoint import Endpoint
from aether_load.redaction import foreign_text
from aether_load.tls import refused_handshake

MOST_RESPONSE_BYTES = 64 << 20
_RECEIVE_BYTES = 65536
_MOST_BODY_RECEIVE_BYTES = 1 << 20
_PEEKED_BYTES = 512
_LONGEST_REMEMBERED_HEAD = 2048
_IDLE_TIMEOUT = re.compile(rb"HTTP/1\.[01] 408\b")
# Locust has the process patched, and gevent's own poll would yield to the hub.
_poll: Any = monkey.get_original("select", "poll")

# The head of the common answer, and nothing that the C parser would read in another way: no second
# Content-Length, no Transfer-Encoding, no Connection but keep-alive, no status that has no body.
_VALUE = rb"[\t -~\x80-\xff]*+\r\n"
_OTHER_HEADERS = (
    rb"(?:(?!(?i:content-length|transfer-encoding|(?:proxy-)?connection(?!:[ \t]*+keep-alive[ \t]*+\r)):)"
    rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++:" + _VALUE + rb")*+"
)
_common_head_match = re.compile(
    rb"HTTP/1\.1 (?!204|304)([2-9][0-9][0-9]) "
    + _VALUE
    + _OTHER_HEADERS
    + rb"(?i:content-length):[ \t]*+([0-9]{1,15})[ \t]*+\r\n"
    + _OTHER_HEADERS
    + rb"\r\n"
).match


@lru_cache(maxsize=512)
def _common_head(head: bytes) -> tuple[int, int] | None:
    """Return status and Content-Length of the common answer's head, None for any other.

    The heads of a server recur, but for the second in them, and to find one costs a third of reading it.
    """
    match = _common_head_match(head)
    if match is None:
        return None
    status, digits = match.groups()
    return int(status), int(digits)


class TransportError(Exception):
    """An exchange without a whole answer; the text says what happened."""


class ConnectError(TransportError):
    """No connection could be made."""


class TimedOut(TransportError):
    """It took longer than its limit."""


class ConnectionLost(TransportError):
    """The other side closed or reset the connection while an answer was due."""


class NotHttp(TransportError):
    """What came back is no HTTP/1.1 answer to the request, or is too large."""


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
        # One limit for the name's look-up, all of its addresses, and the TLS handshake.
        limit = gevent.Timeout(self._connect_timeout_s)
        try:
            with limit:
                connected = self._connect()
        except gevent.Timeout as raised:
            if raised is not limit:
                raise
            raise TimedOut(f"no connection within {self._connect_timeout_s:g} s") from None
        except ssl.SSLError as error:
            why = refused_handshake(error, self._endpoint.tls_settings)
            raise ConnectError(f"no connection: {why}") from None
        except (OSError, ValueError) as error:
            # A name that cannot be written in DNS is a ValueError.
            raise ConnectError(f"no connection: {_reason(error)}") from None
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
        return _reason(error)

    def _connect(self) -> gsocket.socket:
        endpoint = self._endpoint
        connected = gsocket.create_connection((endpoint.host, endpoint.port), timeout=None)
        try:
            connected.setsockopt(gsocket.IPPROTO_TCP, gsocket.TCP_NODELAY, 1)
            if endpoint.tls:
                connected = endpoint.tls_settings.context(gssl.SSLContext).wrap_socket(
                    connected, server_hostname=endpoint.host, do_handshake_on_connect=False
                )
                connected.do_handshake()
        except BaseException:
            connected.close()
            raise
        return connected

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
        head = _common_head(data[:start]) if start <= _LONGEST_REMEMBERED_HEAD else None
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


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
