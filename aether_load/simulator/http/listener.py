"""The listening socket: it can be closed and opened again while connections live."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import TYPE_CHECKING, Any

from aether_load.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

_BACKLOG = 1024
_BREATH_SECONDS = 0.1


class Listener:
    """Accepts connections on one address.

    asyncio's own server is not used: closing it while a connection is being accepted leaves errors behind on some
    versions of Python, and a simulated restart does just that.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: Callable[[], asyncio.Protocol]) -> None:
        self._loop = loop
        self._protocol = protocol
        self._socket: socket.socket | None = None
        self._accepting: set[asyncio.Task[Any]] = set()

    def open(self, host: str, port: int) -> tuple[str, int]:
        """Listen; return host and port as they came to be. UsageError when the address cannot be had."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._socket = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        except OSError as error:
            raise UsageError(_explain(error, host, port)) from error
        self._socket.setblocking(False)
        self._listen()
        name: tuple[str, int] = self._socket.getsockname()[:2]
        return name

    def close(self) -> None:
        """Stop listening; new connections are refused."""
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def _listen(self) -> None:
        if self._socket is not None:
            self._loop.add_reader(self._socket, self._accept)

    def _accept(self) -> None:
        assert self._socket is not None
        for _ in range(_BACKLOG):
            try:
                accepted, _address = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:  # out of files: let some be closed first
                self._loop.remove_reader(self._socket)
                self._loop.call_later(_BREATH_SECONDS, self._listen)
                return
            accepted.setblocking(False)
            task = self._loop.create_task(self._loop.connect_accepted_socket(self._protocol, accepted))
            self._accepting.add(task)
            task.add_done_callback(self._accepting.discard)


def _explain(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is taken; choose another with --port, or --port 0 for any free one"
    if error.errno == errno.EACCES:
        return f"port {port} may not be opened by this user; choose one above 1023 with --port"
    reason = error.strerror or str(error)
    return f"{host}:{port} cannot be listened on: {reason}; choose another address with --bind and --port"
