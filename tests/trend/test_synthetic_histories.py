"""How often a step is found, and how often a change where there is none, on histories whose truth is known.

The constants of the search were chosen with other seeds than these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from aether_load.compare.trend.change_points import FEWEST_SINCE, find_changes

if TYPE_CHECKING:
    from numpy.typing import NDArray

HISTORIES = 200
NIGHTS = 100
NOISE = 0.05


def level(seed: int) -> NDArray[Any]:
    """A hundred nights at one level, with normal noise of 5 %."""
    return 80 * (1 + NOISE * np.random.default_rng([2026, seed]).standard_normal(NIGHTS))


def is_found(values: NDArray[Any], step: int) -> bool:
    """Tell whether any night's search after a step reports it as the newest change: a rise of more than 5 %."""
    for nights in range(step + FEWEST_SINCE, len(values) + 1):
        changes = find_changes(values[:nights])
        if changes and abs(changes[-1].place - step) <= 5:
            assert changes[-1].ratio is not None
            if changes[-1].ratio[0] > 1.05:
                return True
    return False


def test_a_step_of_ten_percent_is_found_within_ten_nights() -> None:
    """After ninety nights, searched each night: in at least 95 % of histories."""
    found = 0
    for seed in range(HISTORIES):
        values = level(seed)
        values[90:] *= 1.10
        found += is_found(values, 90)
    assert found >= 0.95 * HISTORIES


def test_without_a_step_no_change_is_found() -> None:
    """In a hundred nights at one level, in all but 2 % of histories."""
    assert sum(bool(find_changes(level(seed))) for seed in range(HISTORIES)) <= 0.02 * HISTORIES
