from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from aether_load.analysis.statistics.distribution import (
    Distribution,
    Percentile,
    Share,
    binomial_quantile,
    clopper_pearson,
    distribution,
    percentile,
    wilson,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray


def ramp(count: int) -> NDArray[Any]:
    return np.arange(1.0, count + 1)


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (10, Percentile(10.0, 9.0, None, "unreliable", 10.0, 10.0)),
        (367, Percentile(364.0, 359.0, None, "unreliable", 364.0, 364.0)),
        (368, Percentile(365.0, 360.0, 368.0, "few_beyond", 365.0, 365.0)),
        (999, Percentile(990.0, 982.0, 996.0, "few_beyond", 990.0, 990.0)),
        (1000, Percentile(990.0, 983.0, 997.0, "ok", 990.0, 990.0)),
    ],
)
def test_p99_says_how_far_it_can_be_trusted(count: int, expected: Percentile) -> None:
    """Below 368 samples p99 has no upper bound, below 1,000 it has fewer than ten samples beyond it."""
    assert percentile(ramp(count), 0.99) == expected


@pytest.mark.parametrize("q", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("count", [5, 50, 500, pytest.param(5000, marks=pytest.mark.slow)])
def test_interval_ranks_are_the_tightest_of_the_definition(count: int, q: float) -> None:
    """l is the largest rank with P(Bin <= l-1) <= 0.025, u the smallest with P(Bin >= u) <= 0.025."""
    from scipy.stats import binom

    found = percentile(ramp(count), q)
    lower = [rank for rank in range(1, count + 1) if binom.cdf(rank - 1, count, q) <= 0.025]
    upper = [rank for rank in range(1, count + 1) if binom.sf(rank - 1, count, q) <= 0.025]
    assert found.low == (max(lower) if lower else None)
    assert found.high == (min(upper) if upper else None)


def test_a_distribution_is_exact_and_by_nearest_rank() -> None:
    """No rounding to two digits: 104.9 stays 104.9."""
    found = distribution(np.array([104.9, 1.0, 2.0, 3.0]))
    assert found == Distribution(
        count=4,
        min=1.0,
        mean=27.725,
        stddev=51.456478,
        p50=Percentile(2.0, None, None, "unreliable", 2.0, 2.0),
        p90=Percentile(104.9, 2.0, None, "unreliable", 104.9, 104.9),
        p95=Percentile(104.9, 3.0, None, "unreliable", 104.9, 104.9),
        p99=Percentile(104.9, 3.0, None, "unreliable", 104.9, 104.9),
        p99_9=Percentile(104.9, 104.9, None, "unreliable", 104.9, 104.9),
        max=104.9,
    )


def test_no_samples_have_no_distribution() -> None:
    """Absent is not zero."""
    assert distribution(np.array([])) is None
    assert wilson(0, 0) is None


def test_wilson_interval_of_known_shares() -> None:
    """The score interval as tabled: 0 of 10 is not certainly 0."""
    assert wilson(0, 10) == Share(0.0, 0.0, 0.277533, 0, 10)
    assert wilson(7, 10) == Share(0.7, 0.396778, 0.892209, 7, 10)


@pytest.mark.parametrize("q", [0.001, 0.05, 0.5, 0.9, 0.95, 0.99, 0.999])
@pytest.mark.parametrize("share", [0.0005, 0.025, 0.975, 0.9995])
def test_the_binomial_quantile_is_that_of_its_distribution(q: float, share: float) -> None:
    """The smallest k that reaches the share, as scipy's own says, from one sample to millions."""
    from scipy.stats import binom

    counts = [*range(1, 40), 100, 367, 368, 999, 1000, 12_345, 1_000_000, 10_000_000]
    assert [binomial_quantile(share, count, q) for count in counts] == [int(binom.ppf(share, n, q)) for n in counts]


@pytest.mark.parametrize(("hits", "count"), [(0, 3), (1, 100), (97, 100), (100, 100), (5, 10)])
def test_the_exact_interval_of_a_share_is_that_of_the_beta_distribution(hits: int, count: int) -> None:
    """Clopper and Pearson's, with its ends at 0 and 1 where nothing or everything was hit."""
    from scipy.stats import beta

    found = clopper_pearson(hits, count)
    low = beta.ppf(0.025, hits, count - hits + 1) if hits else 0.0
    high = beta.ppf(0.975, hits + 1, count - hits) if hits < count else 1.0
    assert found is not None
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-6)
    assert clopper_pearson(0, 0) is None
