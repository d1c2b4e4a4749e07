"""Say which prompt is sent next."""

from __future__ import annotations

from collections.abc import Iterator

from aether_load.schedule.shard import WHOLE, Share

Work = tuple[int, int, int | None, int]
"""A request to send: its index in the run, its prompt's, when it was due (monotonic ns; None: now), its stage's."""


def work_order(prompt_count: int, limit: int | None, share: Share = WHOLE) -> Iterator[int]:
    """Yield a share's indices into the prompts, pass after pass: of `limit` requests in all, or without end."""
    index = share.index
    while limit is None or index < limit:
        yield index % prompt_count
        index += share.of
