"""Our messages inside Locust's."""

from __future__ import annotations

from typing import Any

from locust import rpc

from aether_load.load.distributed.messages import LOCUST_TYPE, Message, encode

_LocustMessage: Any = rpc.Message


def locust_message(message: Message, client: str) -> Any:
    """Return a message as Locust sends it, to or from the worker of that id."""
    return _LocustMessage(LOCUST_TYPE, encode(message), client)
