"""The paired test: what it finds, what it cannot decide, and that its figures are those of its formulas."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from aether_load.analysis.statistics.paired import (
    PairedTest,
    most_above,
    paired_test,
    share_failing_by_chance,
    smallest_loss,
    wilcoxon_less,
)
from property_tests import examples

RULE = {"margin": 0.05, "confidence": 0.99}


def spread(ratio: float, deviation: float = 0.02, count: int = 29, seed: int = 1) -> list[np.float64]:
    """Logarithms of ratios around `ratio`."""
    return list(np.random.default_rng(seed).normal(math.log(ratio), deviation, count))


def test_a_loss_of_ten_percent_is_a_regression() -> None:
    """A ratio of 0.9 with little spread is found, with its interval and its p."""
    found = paired_test(spread(0.90), **RULE)
    assert found.finding == "regression"
    assert found.goodness_low is not None
    assert found.goodness_median is not None
    assert found.goodness_high is not None
    assert found.goodness_low < found.goodness_median < found.goodness_high < 0.95
    assert found.p_value == pytest.approx(2.0**-29)


def test_no_loss_and_a_gain_are_none() -> None:
    """A ratio around or above 1 passes."""
    assert paired_test(spread(1.0), **RULE).finding == "no_regression"
    assert paired_test(spread(1.2), **RULE).finding == "no_regression"


def test_a_loss_within_the_margin_is_no_regression_however_certain() -> None:
    """Three percent, certain to the last pair, is below the margin of five."""
    found = paired_test([math.log(0.97)] * 29, **RULE)
    assert found.finding == "no_regression"
    assert (found.goodness_median, found.goodness_low, found.goodness_high) == (0.97, 0.97, 0.97)


def test_a_spread_that_leaves_room_for_the_loss_decides_nothing() -> None:
    """An interval that reaches below 1 - 2 margin, without a regression, is inconclusive."""
    values = [math.log(0.8), math.log(1.25)] * 14 + [0.0]
    found = paired_test(values, **RULE)
    assert (found.finding, found.goodness_median, found.goodness_low) == ("inconclusive", 1.0, 0.8)


@pytest.mark.parametrize("count", [0, 1, 19])
def test_fewer_than_twenty_pairs_decide_nothing(count: int) -> None:
    """However large the loss, nothing is decided and no figure is given."""
    assert paired_test([math.log(0.5)] * count, **RULE) == PairedTest(
        pairs_total=count, finding="inconclusive", goodness_median=None, goodness_low=None, goodness_high=None,
        p_value=None, smallest_loss_seen=None,
    )  # fmt: skip


def test_equal_windows_are_no_loss() -> None:
    """Ratios of exactly 1, where the signed-rank test has nothing to rank."""
    found = paired_test([0.0] * 29, **RULE)
    assert (found.finding, found.p_value, found.smallest_loss_seen) == ("no_regression", 1.0, 0.05)


@pytest.mark.parametrize("count", [20, 29, 40])
@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_the_largest_allowed_rank_sum_is_that_of_scipy(count: int, alpha: float) -> None:
    """p is below alpha at the sum, and not one further."""
    from scipy.stats import wilcoxon

    allowed = most_above(count, alpha)

    def p_at(total: Any) -> np.float64:
        positive = set()
        for rank in range(count, 0, -1):
            if rank <= total:
                positive.add(rank)
                total -= rank
        values = [float(rank if rank in positive else -rank) for rank in range(1, count + 1)]
        answer: np.float64 = wilcoxon(values, alternative="less", method="exact").pvalue
        return answer

    assert allowed is not None
    assert p_at(allowed) < alpha <= p_at(allowed + 1)


def test_no_rank_sum_is_allowed_where_even_the_smallest_p_is_too_large() -> None:
    """Three pairs never come below 1 in 8."""
    assert most_above(3, 0.125) is None
    assert most_above(3, 0.126) == 0


def test_p_is_counted_out_by_hand() -> None:
    """Of the eight ways to sign three ranks, two have a rank sum of at most 1."""
    ways = [sum(rank for rank, sign in zip((1, 2, 3), signs, strict=True) if sign) for signs in
            itertools.product((0, 1), repeat=3)]  # fmt: skip
    assert wilcoxon_less(np.array([1.0, -2.0, -3.0])) == sum(way <= 1 for way in ways) / 8


@pytest.mark.parametrize("count", [1, 5, 20, 29, 50])
def test_p_is_that_of_scipy_with_ties_and_without(count: int) -> None:
    """Exact without ties, the approximation with them; zeros are left out."""
    from scipy.stats import wilcoxon

    rng = np.random.default_rng(count)
    smooth = rng.normal(-0.2, 1, count)
    assert wilcoxon_less(smooth) == pytest.approx(wilcoxon(smooth, alternative="less", method="exact").pvalue)
    assert wilcoxon_less(np.array([*smooth, 0.0, 0.0])) == wilcoxon_less(smooth)
    tied = np.round(rng.normal(-0.2, 1, count + 4), 0) + 0.5
    assert wilcoxon_less(tied) == pytest.approx(
        wilcoxon(tied, alternative="less", method="approx", correction=False).pvalue
    )


@settings(deadline=None, max_examples=examples(15))
@given(st.lists(st.integers(-300_000, 300_000), min_size=20, max_size=40, unique_by=abs))
def test_a_loss_makes_no_finding_milder(millionths: list[int]) -> None:
    """What is a regression stays one when every pair loses a little more.

    Of values without zeros and ties: zeros are left out and ties share a rank, before and after others, and p may rise.
    """
    lower = [value - 10_000 for value in millionths]
    assume(0 not in {*millionths, *lower} and len({abs(value) for value in lower}) == len(lower))
    before, after = (paired_test([value / 1e6 for value in some], **RULE) for some in (millionths, lower))
    assert not (before.finding == "regression" and after.finding != "regression")
    assert before.p_value is not None
    assert after.p_value is not None
    assert before.p_value >= after.p_value


def test_the_smallest_loss_seen_is_found_in_19_of_20_gates() -> None:
    """Pairs drawn anew around that loss fail about as often as is claimed."""
    rng = np.random.default_rng(7)
    values = np.sort(rng.normal(0, 0.05, 29))
    loss = smallest_loss(values, **RULE)
    assert 0.05 < loss < 0.10
    centred = values - np.median(values)
    failed = sum(
        paired_test(list(rng.choice(centred, 29) + math.log(1 - loss)), **RULE).finding == "regression"
        for _ in range(60)
    )
    assert failed >= 52


def test_more_spread_sees_less() -> None:
    """The smallest loss grows with the spread, from the margin on."""
    losses = [smallest_loss(np.sort(spread(1, deviation)), **RULE) for deviation in (0.001, 0.02, 0.08)]
    assert 0.05 < losses[0] < losses[1] < losses[2]


def test_equal_builds_fail_by_chance_as_often_as_the_rule_lets_them() -> None:
    """Without a margin to speak of one gate in a hundred fails; with five percent of it next to none."""
    values = np.array(spread(1.0, 0.05))
    assert share_failing_by_chance(values, margin=1e-6, confidence=0.99) == pytest.approx(0.01, abs=0.008)
    assert share_failing_by_chance(values, margin=0.05, confidence=0.99) <= 0.001
    assert share_failing_by_chance(np.zeros(3), margin=0.05, confidence=0.99) == 0.0
