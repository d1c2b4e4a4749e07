"""How a node can end other than well."""

from __future__ import annotations


class NodeFailedError(Exception):
    """A node failed; the text is the reason that stands behind `Node ID: ` in the answer."""


class PanicError(Exception):
    """The runtime's task panicked; the text is the panic's message."""


def check_cut(text: str, at: int) -> None:
    """Panic where the runtime cuts a preview of `text` after `at` bytes and that is inside a character."""
    if text.isascii():
        return
    data = text.encode("utf-8", "surrogatepass")
    if len(data) > at and data[at] & 0xC0 == 0x80:  # a UTF-8 continuation byte
        raise PanicError(f"byte index {at} is not a char boundary")
