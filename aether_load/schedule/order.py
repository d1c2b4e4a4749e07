"""Say which prompt is sent next."""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Iterator, Sequence
from itertools import accumulate, count, islice

from aether_load.dag.workload import PromptRange
from aether_load.schedule.shard import WHOLE, Share

Work = tuple[int, int, int | None, int]
"""A request to send: its index in the run, its prompt's, when it was due (monotonic ns; None: now), its stage's."""


def prompt_order(
    parts: Sequence[PromptRange], seed: int, limit: int | None = None, share: Share = WHOLE
) -> Iterator[int]:
    """Yield the places of a share's prompts: of `limit` requests in all, or without end.

    The prompts of one part come in their order, pass after pass. With several parts each request is of one that the
    seed draws by the weights; the shares draw alike, so that together they send just what one process would.
    """
    if len(parts) == 1:
        # Computed, not drawn and dropped: a worker of many pays for its own requests only.
        return islice(_passes(parts[0], share), share.count(limit))
    return share.items(islice(_drawn(parts, seed), limit))


def _drawn(parts: Sequence[PromptRange], seed: int) -> Iterator[int]:
    chance = random.Random(f"{seed} mix")
    bounds = list(accumulate(part.weight for part in parts))
    passes = [_passes(part) for part in parts]
    last, total = len(parts) - 1, bounds[-1]
    while True:
        yield next(passes[min(bisect(bounds, chance.random() * total), last)])


def _passes(part: PromptRange, share: Share = WHOLE) -> Iterator[int]:
    return (part.first + place % part.count for place in count(share.index, share.of))


def prompts_of(parts: Sequence[PromptRange]) -> list[int]:
    """Return the places of all prompts of some parts, each once."""
    return list(dict.fromkeys(place for part in parts for place in range(part.first, part.first + part.count)))
