import math
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from aether_load.analysis.server.client_counts import bucket_of_counts
from aether_load.analysis.statistics.histogram import (
    Interval,
    QuantileInterval,
    mean_interval,
    promql_quantile,
    quantile_interval,
)
from aether_load.protocol import BUCKET_EDGES_MS

times_ms = st.lists(
    st.one_of(st.integers(0, 120), st.integers(0, 3000), st.integers(0, 40_000)), min_size=1, max_size=60
)


def bucket_of(times: list[int]) -> tuple[int, ...]:
    return bucket_of_counts(np.array(times))


def test_edges_belong_to_the_bucket_below() -> None:
    """A time of exactly 50 ms is in le=0.05, one of 51 ms is not; above 10 s there is one more bucket."""
    assert bucket_of([0, 5, 6, 50, 51, 10_000, 10_001]) == (2, 1, 0, 1, 1, 0, 0, 0, 0, 0, 1, 1)


@given(times_ms)
def test_counting_at_once_is_counting_one_by_one(times: list[int]) -> None:
    """The fast count of many times agrees with the plain one."""
    edges = (-1, *BUCKET_EDGES_MS, math.inf)
    assert bucket_of(times) == tuple(sum(low < time <= high for time in times) for low, high in pairwise(edges))


@given(times_ms, st.sampled_from([0.0, 0.01, 0.5, 0.9, 0.95, 0.99, 1.0]))
def test_the_interval_holds_the_true_quantile(times: list[int], q: float) -> None:
    """Whatever the times were, the nearest-rank quantile lies in the interval made of buckets and sum alone."""
    ordered = sorted(times)
    true = ordered[max(1, math.ceil(q * len(ordered))) - 1]
    interval = quantile_interval(bucket_of(times), sum(times), q)
    assert interval is not None
    assert interval.low <= true
    assert interval.high is None or true < interval.high


def test_the_sum_tightens_what_buckets_leave_open() -> None:
    """Nodes that all took 51 ms are known to the millisecond, where PromQL says 75 and 99.5."""
    buckets = bucket_of([51] * 100)
    assert quantile_interval(buckets, 5100, 0.5) == QuantileInterval(51, 52, 75.0)
    assert quantile_interval(buckets, 5100, 0.99) == QuantileInterval(51, 52, 99.5)
    assert mean_interval(buckets, 5100) == Interval(51, 52)


def test_no_nodes_have_no_quantile() -> None:
    """Nothing counted is nothing known."""
    assert (quantile_interval([0] * 12, 0, 0.5), mean_interval([0] * 12, 0)) == (None, None)


def test_promql_names_ten_seconds_above_the_last_edge() -> None:
    """The last bucket has no upper edge, so PromQL answers with its lower one."""
    assert promql_quantile(bucket_of([20_000]), 0.5) == 10_000
    assert promql_quantile(bucket_of([3]), 0.5) == 2.5
