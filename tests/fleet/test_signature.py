"""What of the messages between master and workers is taken: signed with one token, by the one side, once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aether_load.errors import UsageError
from aether_load.load.distributed.signature import Signature, random_token, token_of

if TYPE_CHECKING:
    from hypothesis.strategies._internal.core import DataObject

TOKEN = b"sixteen or more bytes"


def sides(token: bytes = TOKEN, other: bytes | None = TOKEN) -> tuple[Signature, Signature]:
    return Signature(token, is_master=True), Signature(other, is_master=False)


@given(st.text(max_size=40), st.lists(st.binary(max_size=200), max_size=5))
def test_what_one_side_signs_the_other_opens(worker: str, messages: list[bytes]) -> None:
    """In both directions, any bytes, in their order."""
    master, of_worker = sides()
    assert [of_worker.opened(worker, master.signed(worker, message)) for message in messages] == messages
    assert [master.opened(worker, of_worker.signed(worker, message)) for message in messages] == messages


@given(st.binary(min_size=1, max_size=60), st.data())
def test_a_changed_message_is_none(message: bytes, data: DataObject) -> None:
    """Any byte of it, its number and its signature included, cut short or longer."""
    master, of_worker = sides()
    signed = bytearray(master.signed("a", message))
    place = data.draw(st.integers(0, len(signed) - 1))
    signed[place] ^= data.draw(st.integers(1, 255))
    assert of_worker.opened("a", bytes(signed)) is None
    whole = master.signed("a", message)
    assert of_worker.opened("a", whole[:-1]) is None
    assert of_worker.opened("a", whole + b"x") is None
    assert of_worker.opened("a", whole) == message


def test_a_message_is_of_one_direction_one_worker_and_one_time() -> None:
    """What was seen on the way cannot be sent back, to another, or again."""
    master, of_worker = sides()
    first, second = master.signed("a", b"1"), master.signed("a", b"2")
    assert master.opened("a", first) is None
    assert of_worker.opened("b", first) is None
    assert of_worker.opened("a", second) == b"2"
    assert of_worker.opened("a", second) is None
    assert of_worker.opened("a", first) is None


@pytest.mark.parametrize(("token", "other"), [(TOKEN, TOKEN + b"!"), (TOKEN, None), (TOKEN, random_token)])
def test_another_token_or_none_opens_nothing(token: bytes, other: Callable[..., Any] | bytes | None) -> None:
    other = other() if callable(other) else other
    signing, opening = sides(token, other)
    assert Signature(token, is_master=False).opened("a", Signature(other, is_master=True).signed("a", b"1")) is None
    # Without a token whatever comes is handed on, and is then no message of Locust's.
    assert opening.opened("a", signing.signed("a", b"1")) != b"1"


def test_another_socket_of_the_same_process_goes_on() -> None:
    """Locust makes a new one when a connection has broken; the numbers of the messages go on."""
    master, of_worker = sides()
    assert master.opened("a", of_worker.signed("a", b"1")) == b"1"
    assert master.opened("a", sides()[1].signed("a", b"2")) == b"2"


def test_the_token_of_the_environment() -> None:
    assert [token_of(text) for text in (None, "", "0123456789abcdef")] == [None, None, b"0123456789abcdef"]
    with pytest.raises(UsageError, match="AETHER_LOAD_CLUSTER_TOKEN has 5 characters: take at least 16"):
        token_of("short")
