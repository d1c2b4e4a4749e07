"""What a node did, for the record."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class NodeTrace(Struct, frozen=True, gc=False):
    """A node's end: its state, its time in whole milliseconds (0 unless it succeeded), cached or not, its tokens."""

    id: str
    state: Literal["succeeded", "failed", "skipped", "panicked"]
    ms: int
    cached: bool
    tokens: int
