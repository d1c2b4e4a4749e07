"""Sign what Locust sends between master and workers, and drop what is malformed.

Locust ends the greenlet that listens, and with it the run, at the first message that is no message of its own.
"""

from __future__ import annotations

from typing import Any

from locust import rpc

from aether_load.load.distributed.messages import LOCUST_TYPE, Message, encode
from aether_load.load.distributed.signature import DROPPED, Signature

_LocustMessage: Any = rpc.Message
_sockets: Any = rpc.rpc
_plain_server: Any = _sockets.Server
_plain_client: Any = _sockets.Client
_FROM_STRANGERS = frozenset({"client_ready", "client_stopped", "locustfile", "quit", LOCUST_TYPE})
"""What Locust's master takes of a worker that has not said yet that it is ready."""


def locust_message(message: Message, client: str) -> Any:
    """Return a message as Locust sends it, to or from the worker of that id."""
    return _LocustMessage(LOCUST_TYPE, encode(message), client)


class _Signed:
    """A message that goes out signed; what Locust's sockets use of one."""

    def __init__(self, signature: Signature, message: Any) -> None:
        self._signature = signature
        self._message = message
        self.node_id = message.node_id

    def serialize(self) -> bytes:
        """Return the bytes to be sent."""
        return self._signature.signed(self.node_id, self._message.serialize())


def _message_in(data: bytes | None, client: str) -> Any:
    """Return Locust's message in bytes, None where there is none, or another's than the worker's that sent it."""
    if data is None:
        return None
    try:
        message = _LocustMessage.unserialize(data)
    except Exception:  # noqa: BLE001 -- msgpack's errors have no common class, and the bytes are anybody's
        return None
    return message if isinstance(message.type, str) and message.node_id == client else None


def use_guarded_sockets(token: bytes | None) -> None:
    """Have masters and workers that Locust makes from now on sign with a token, and drop what is not signed so."""

    class GuardedServer(_plain_server):  # type: ignore[misc]
        """The master's side."""

        def __init__(self, host: str, port: int) -> None:
            super().__init__(host, port)
            self._signature = Signature(token, is_master=True)

        def send_to_client(self, msg: Any) -> None:
            super().send_to_client(_Signed(self._signature, msg))

        def recv_from_client(self) -> tuple[str, Any]:
            while True:
                try:
                    frames = self.socket.recv_multipart()
                except _sockets.zmqerr.ZMQError as error:
                    raise _sockets.RPCError("ZMQ network broken") from error
                client = frames[0].decode(errors="replace")
                data = self._signature.opened(client, frames[1]) if len(frames) == 2 else None
                message = _message_in(data, client)
                if message is not None:
                    return client, message
                DROPPED.add()

    class GuardedClient(_plain_client):  # type: ignore[misc]
        """A worker's side."""

        def __init__(self, host: str, port: int, identity: str) -> None:
            super().__init__(host, port, identity)
            self._identity = identity
            self._signature = Signature(token, is_master=False)

        def send(self, msg: Any) -> None:
            super().send(_Signed(self._signature, msg))

        def recv(self) -> Any:
            while True:
                try:
                    data = self.socket.recv()
                except _sockets.zmqerr.ZMQError as error:
                    raise _sockets.RPCError("ZMQ network broken") from error
                message = _message_in(self._signature.opened(self._identity, data), self._identity)
                if message is not None:
                    return message
                DROPPED.add()

    _sockets.Server, _sockets.Client = GuardedServer, GuardedClient


def drop_what_locust_cannot_handle(runner: Any) -> None:
    """Have a master count and drop messages whose content makes Locust's own handler fail."""
    handle = runner.handle_message

    def handle_message(client_id: str, msg: Any) -> None:
        if client_id not in runner.clients and msg.type not in _FROM_STRANGERS:
            DROPPED.add()
            return
        try:
            handle(client_id, msg)
        except (LookupError, TypeError, ValueError, AttributeError):
            # A defect of ours is no message of theirs.
            if msg.type == LOCUST_TYPE:
                raise
            DROPPED.add()

    runner.handle_message = handle_message
