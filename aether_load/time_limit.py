"""End exchanges of urllib3 at a time limit, however slowly the other side sends."""

from __future__ import annotations

import contextlib
import socket
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import urllib3


class TimeLimit:
    """Limits all that is read and written on the connections of the pools that it makes.

    A timeout of urllib3 is for one read: a head or a body that comes byte by byte lasts without end. At this limit the
    sockets are shut down, so that a read from one ends or raises an error.
    """

    def __init__(self) -> None:
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self.pool_classes: dict[str, Any] = {
            "http": self._pool(urllib3.HTTPConnectionPool, urllib3.connection.HTTPConnection),
            "https": self._pool(urllib3.HTTPSConnectionPool, urllib3.connection.HTTPSConnection),
        }

    def _pool(self, pool: type, connection: Any) -> type:
        """Return the class of a pool whose connections tell their sockets."""
        sockets = self._sockets

        class Connection(connection):  # type: ignore[misc]
            def connect(self) -> None:
                super().connect()
                sockets.add(self.sock)

        return type("LimitedPool", (pool,), {"ConnectionCls": Connection})

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Shut down every open connection if the block is not done after `seconds`."""
        timer = threading.Timer(seconds, self._shut_down)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _shut_down(self) -> None:
        for sock in tuple(self._sockets):
            with contextlib.suppress(OSError):
                # Not the method of a TLS socket, which may not be called from another thread.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
