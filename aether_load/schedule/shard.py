"""Compute one sending process's shard of a load: of users, of requests, of arrivals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TypeVar

import msgspec

_Item = TypeVar("_Item")


class Share(msgspec.Struct, frozen=True):
    """The `index`-th of `of` parts, counted from 0.

    Whatever is numbered goes to the parts in turn: the parts of a load are together exactly the load, nothing twice
    and nothing left out, in any number of them.
    """

    index: int = 0
    of: int = 1

    def users(self, total: int) -> int:
        """Return how many of `total` users are this part's."""
        return total // self.of + (self.index < total % self.of)

    def count(self, total: int | None) -> int | None:
        """Return how many of `total` requests are this part's; None of an endless number."""
        return None if total is None else len(range(self.index, total, self.of))

    def items(self, items: Iterator[_Item] | Sequence[_Item]) -> Iterator[_Item]:
        """Yield those of `items` that are this part's."""
        return islice(iter(items), self.index, None, self.of)

    def steps(self, steps: Iterator[tuple[int, float]]) -> Iterator[tuple[int, float]]:
        """Yield the steps of a ramp (users, seconds) at which this part's number of users changes."""
        last = None
        for users, at_s in steps:
            mine = self.users(users)
            if mine != last:
                yield mine, at_s
                last = mine

    def seed(self, seed: str) -> str:
        """Return a seed of this part's own, of which the whole's is the plain one."""
        return seed if self.of == 1 else f"{seed} part {self.index} of {self.of}"


WHOLE = Share()


def shares(parts: int) -> list[Share]:
    """Return the parts of a load for as many processes."""
    return [Share(index, parts) for index in range(parts)]


def users_alike(users: int, workers: int) -> int:
    """Return how many users make as many on every worker as its share of `users` is at most.

    Which worker gets the odd ones is then the shares' to say; a spare user only waits.
    """
    return -(-users // workers) * workers if workers else users
