"""Sign the messages between master and workers, and count those that are dropped because no worker signed them."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from time import time_ns

import gevent

from aether_load.errors import UsageError

TOKEN_VARIABLE = "AETHER_LOAD_CLUSTER_TOKEN"  # noqa: S105 -- the name of the variable
LEAST_TOKEN_LENGTH = 16
_MAC_BYTES = hashlib.sha256().digest_size
_NUMBER_BYTES = 8


def random_token() -> bytes:
    """Return a new random token."""
    return secrets.token_bytes(_MAC_BYTES)


def token_of(text: str | None) -> bytes | None:
    """Return the token that the environment gives, None where it gives none; raises UsageError for a short one."""
    if not text:
        return None
    if len(text) < LEAST_TOKEN_LENGTH:
        raise UsageError(
            f"{TOKEN_VARIABLE} has {len(text)} characters: take at least {LEAST_TOKEN_LENGTH} that nobody can guess, "
            "the same for the master and its workers."
        )
    return text.encode()


class Signature:
    """One side of a connection: signs what it sends, and opens what the other side has signed.

    A signed message is an HMAC-SHA-256 (RFC 2104), a number of eight bytes, and the data. The HMAC is over the
    direction, the worker, the number and the data. Numbers of one sender increase, so that a message that was seen on
    the way is of no use a second time. Without a token messages are as they are.
    """

    def __init__(self, token: bytes | None, *, is_master: bool) -> None:
        self._token = token
        self._sends_as, self._hears_as = (b"master", b"worker") if is_master else (b"worker", b"master")
        self._number = 0
        self._heard: dict[str, int] = {}

    def signed(self, worker: str, data: bytes) -> bytes:
        """Return a message as it is sent to, or by, the worker of that id."""
        if self._token is None:
            return data
        # By the clock, so that another socket of the same process goes on from where this one was.
        self._number = max(self._number + 1, time_ns())
        number = self._number.to_bytes(_NUMBER_BYTES, "big")
        return self._mac(self._sends_as, worker, number, data) + number + data

    def opened(self, worker: str, message: bytes) -> bytes | None:
        """Return the data of a message; None where it was signed with no token or another, or came before."""
        if self._token is None:
            return message
        mac, number, data = message[:_MAC_BYTES], message[_MAC_BYTES:][:_NUMBER_BYTES], message[_MAC_BYTES:]
        data = data[_NUMBER_BYTES:]
        if not hmac.compare_digest(mac, self._mac(self._hears_as, worker, number, data)):
            return None
        stated = int.from_bytes(number, "big")
        if stated <= self._heard.get(worker, 0):
            return None
        self._heard[worker] = stated
        return data

    def _mac(self, sender: bytes, worker: str, number: bytes, data: bytes) -> bytes:
        assert self._token is not None
        # The lengths of what comes before the data are fixed or stated, so that no two messages read alike.
        name = worker.encode()
        head = sender + len(name).to_bytes(4, "big") + name + number
        mac = hmac.new(self._token, head, hashlib.sha256)
        mac.update(data)
        return mac.digest()


class Dropped:
    """Counts the messages that this process has dropped; `on_first` is called with the first."""

    def __init__(self) -> None:
        self.total = 0
        self.on_first: Callable[[], None] | None = None

    def add(self) -> None:
        """Count one."""
        self.total += 1
        if self.total == 1 and self.on_first is not None:
            self.on_first()
        # An endless row of them would leave no time for other greenlets.
        gevent.sleep(0)


DROPPED = Dropped()
