"""Where a history changed and by how much, on histories that are written down."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from aether_load.compare.trend.change_points import FEWEST_RUNS, find_changes
from aether_load.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

WAVE = np.array([0.0, 1.0, -1.0, 0.5, -0.5] * 4)


def test_a_step_has_its_place_its_size_and_an_interval() -> None:
    """Twenty values around 100, twenty around 120."""
    (change,) = find_changes(np.concatenate([100 + WAVE, 120 + WAVE]))
    assert change.place == 20
    assert (change.before, change.after) == pytest.approx((100, 120), abs=0.01)
    assert change.ratio is not None
    ratio, low, high = change.ratio
    assert low < 1.2 < high
    assert (ratio, high - low) == pytest.approx((1.2, 0.0106), abs=1e-3)
    assert change.difference[0] == pytest.approx(20, abs=0.01)
    assert change.p < 1e-30


def test_several_steps_are_found_one_after_the_other() -> None:
    """Up, back, and down by half."""
    values = np.concatenate([100 + WAVE, 110 + WAVE, 100 + WAVE, 50 + WAVE / 2])
    changes = find_changes(values)
    assert [change.place for change in changes] == [20, 40, 60]
    assert [change.ratio and round(change.ratio[0], 2) for change in changes] == [1.1, 0.91, 0.5]


def test_values_that_may_be_zero_have_a_difference_and_no_ratio() -> None:
    """A rate of errors that was 0 and is about 1 %."""
    (change,) = find_changes(np.concatenate([np.zeros(20), 0.01 + WAVE / 1000]))
    assert change.ratio is None
    assert (change.place, change.before) == (20, 0.0)
    assert change.difference[0] == pytest.approx(0.01)
    assert change.difference[1:] == pytest.approx((0.0097, 0.0103), abs=1e-4)


@pytest.mark.parametrize(
    "values",
    [
        np.full(50, 7.0),
        np.zeros(50),
        100 + WAVE,
        np.concatenate([100 + WAVE, [160.0], 100 + WAVE]),
        np.concatenate([100 + WAVE, [110.0, 110.0]]),
        np.concatenate([np.full(5, 100.0), np.full(FEWEST_RUNS - 6, 120.0)]),
    ],
    ids=["constant", "zero", "noise", "one outlier", "two nights since", "too few"],
)
def test_what_is_no_change_of_level(values: NDArray[Any]) -> None:
    assert find_changes(values) == []


def test_a_constant_that_becomes_another_is_a_change() -> None:
    """Counts have no noise: three nights on another number are a change, and nothing is divided by zero."""
    with np.errstate(all="raise"):
        (change,) = find_changes(np.concatenate([np.full(20, 1000.0), np.full(3, 1001.0)]))
    assert (change.place, change.p) == (20, 0.0)
    assert change.ratio is not None
    assert math.isclose(change.ratio[0], 1.001)


def test_the_library_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is not installed, one sentence says how to install it."""
    monkeypatch.setitem(sys.modules, "ruptures", None)
    with pytest.raises(UsageError, match=r"pip install 'aether-load\[trend\]'"):
        find_changes(100 + WAVE)
