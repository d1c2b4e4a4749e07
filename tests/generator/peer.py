"""The other side of a connection, played by a script: what it sends, in which packets, and how it ends."""

from __future__ import annotations

import array
import fcntl
import socket
import struct
import termios
from collections.abc import Callable, Sequence
from typing import Any, Self

import gevent
from gevent import socket as gsocket
from gevent.pool import Group

from aether_load.load.http.connection import Connection
from aether_load.load.http.connection_stats import ConnectionStats
from aether_load.load.http.endpoint import Endpoint

# Closing drops the connection by FIN, resetting by RST.
CLOSE = "close"
RESET = "reset"

Step = bytes | str | Callable[[], object]


class Peer:
    """Serves one script a connection; a script is one list of steps for each request that it reads."""

    def __init__(
        self, *scripts: Sequence[Sequence[Step]], host: str = "127.0.0.1", tls: Any = None, path: str = ""
    ) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = gsocket.socket(family, socket.SOCK_STREAM)
        self._listener.bind((host, 0))
        self._listener.listen(16)
        self._scripts: Sequence[Any] = scripts
        self._tls = tls
        self._greenlets = Group()
        self.requests: list[tuple[int, bytes]] = []
        self.connections = 0
        self.counts = ConnectionStats()
        self.port = self._listener.getsockname()[1]
        name = f"[{host}]" if ":" in host else host
        self.url = f"{'https' if tls else 'http'}://{name}:{self.port}{path}"
        self.endpoint = Endpoint.of(self.url)
        self.request = self.endpoint.request_bytes("POST", "/execute", b"{}")
        self.client = self.connection()
        self._greenlets.spawn(self._accept)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.client.close()
        self._listener.close()
        self._greenlets.kill()

    def connection(self, connect_timeout_s: float = 5.0, answer_timeout_s: float = 5.0) -> Connection:
        return Connection(
            self.endpoint, self.counts, connect_timeout_s=connect_timeout_s, answer_timeout_s=answer_timeout_s
        )

    def ask(self) -> tuple[int, bytes]:
        return self.client.exchange(self.request)

    def until_taken(self) -> None:
        """Wait until the client has read all that was sent, so that the next bytes are a packet of their own."""
        while self.client._socket is not None and _unread(self.client._socket.fileno()):
            gevent.sleep(0)

    def until_news(self) -> None:
        """Wait until the idle client has bytes, or an end, to read."""
        assert self.client._socket is not None
        gsocket.wait_read(self.client._socket.fileno(), timeout=5)

    def _accept(self) -> None:
        for number, script in enumerate(self._scripts):
            accepted, _ = self._listener.accept()
            self.connections += 1
            self._greenlets.spawn(self._serve, number, accepted, script)
        self._listener.close()

    def _serve(self, number: int, accepted: Any, script: Sequence[Sequence[Step]]) -> None:
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self._tls is not None:
                accepted = self._tls.wrap_socket(accepted, server_side=True)
            for steps in script:
                self.requests.append((number, _read_request(accepted)))
                for step in steps:
                    if isinstance(step, bytes):
                        accepted.sendall(step)
                    elif callable(step):
                        step()
                    else:
                        if step == RESET:
                            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        return
            while True:
                self.requests.append((number, _read_request(accepted)))
        except (OSError, EOFError):
            pass
        finally:
            accepted.close()


def _unread(descriptor: int) -> int:
    count = array.array("i", [0])
    fcntl.ioctl(descriptor, termios.FIONREAD, count)
    return count[0]


def _read_request(accepted: Any) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += _some(accepted)
    head, _, rest = data.partition(b"\r\n\r\n")
    lengths = [line[16:] for line in head.split(b"\r\n") if line.startswith(b"Content-Length: ")]
    while len(rest) < sum(map(int, lengths)):
        more = _some(accepted)
        data += more
        rest += more
    return data


def _some(accepted: Any) -> bytes:
    data: bytes = accepted.recv(65536)
    if not data:
        raise EOFError
    return data
