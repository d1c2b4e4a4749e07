"""Listen on the simulator's socket."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable

from aether_load.errors import UsageError

_BACKLOG = 1024
_RETRY_SECONDS = 0.1


class Listener:
    """Accepts connections on one address; it can close and open again while connections live.

    asyncio's own server cannot: on Python 3.11 and 3.12 it logs an error when it closes while a client connects.
    """

    def __init__(self, protocol: Callable[[], asyncio.Protocol]) -> None:
        self._protocol = protocol
        self._accepting: asyncio.Task[None] | None = None

    def open(self, host: str, port: int) -> tuple[str, int]:
        """Listen; return host and port as they came to be. Raises UsageError when the address cannot be had."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            listening = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        except OSError as error:
            raise UsageError(_explain(error, host, port)) from error
        except (ValueError, TypeError) as error:  # a name that cannot be encoded
            raise UsageError(f"--bind {host!r} is no address ({error}); give one such as 127.0.0.1") from error
        listening.setblocking(False)
        self._accepting = asyncio.get_running_loop().create_task(self._accept(listening))
        name: tuple[str, int] = listening.getsockname()[:2]
        return name

    async def close(self) -> None:
        """Stop listening; new connections are refused."""
        if self._accepting is not None:
            self._accepting.cancel()
            await asyncio.wait([self._accepting])

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with listening:
            while True:
                try:
                    accepted, _ = await loop.sock_accept(listening)
                except OSError:  # the client is gone again, or there are too many open files
                    await asyncio.sleep(_RETRY_SECONDS)
                else:
                    await loop.connect_accepted_socket(self._protocol, accepted)


def _explain(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is taken; choose another with --port, or --port 0 for any free one"
    if error.errno == errno.EACCES:
        return f"port {port} may not be opened by this user; choose one above 1023 with --port"
    reason = error.strerror or str(error)
    return f"{host}:{port} cannot be listened on: {reason}; choose another address with --bind and --port"
