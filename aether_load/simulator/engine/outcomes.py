"""Define how a node ends."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class NodeTrace(Struct, frozen=True, gc=False):
    """A node's end, for the record: its time is in whole milliseconds, and 0 unless it succeeded."""

    id: str
    state: Literal["succeeded", "failed", "skipped", "panicked"]
    ms: int = 0
    cached: bool = False
    tokens: int = 0


class NodeFailedError(Exception):
    """A node failed; the text is the reason that stands behind `Node ID: ` in the answer."""


class PanicError(Exception):
    """The runtime's task panicked; the text is the panic's message."""


def check_cut(text: str, at: int) -> None:
    """Panic where the runtime cuts a preview of `text` after `at` bytes and that is inside a character."""
    if text.isascii():
        return
    data = text.encode()
    if len(data) > at and data[at] & 0xC0 == 0x80:  # a UTF-8 continuation byte
        raise PanicError(f"byte index {at} is not a char boundary")
