import pytest
from hypothesis import given
from hypothesis import strategies as st

from aether_load.analysis.server.scrape import Scrape, ScrapeError, difference, fell, parse_scrape
from folders import exposition


def test_a_reading_is_counts_a_bucket_and_milliseconds():
    """Cumulative buckets come out as counts of each, the sum in ms, counters by name."""
    text = exposition([1, 0, 0, 2, 3, 0, 0, 0, 0, 0, 0, 1], 12.345, token_cost_total=77)
    assert parse_scrape(text) == Scrape(
        counters={"aether_executed_nodes_total": 7, "aether_token_cost_total": 77, "aether_errors_total": 0},
        buckets=(1, 0, 0, 2, 3, 0, 0, 0, 0, 0, 0, 1),
        node_time_sum_ms=12345.0,
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "aether_execution_time_seconds is there with 0 buckets in place of its 12"),
        ("<html>502 Bad Gateway</html>", "not the Prometheus text format"),
        (
            exposition([0] * 12, 0).replace('le="0.005"', 'le="0.004"'),
            "aether_execution_time_seconds is there with 12 buckets in place of its 12",
        ),
        (
            exposition([0] * 12, 0).replace("aether_errors_total 0", ""),
            "aether_errors_total is missing",
        ),
        (
            exposition([1] * 12, 1).replace("seconds_count 12", "seconds_count 11"),
            "aether_execution_time_seconds contradicts itself",
        ),
    ],
)
def test_a_text_that_is_no_reading_is_refused(text, sentence):
    """An empty page parses as no metrics at all, which must not pass for zeros."""
    with pytest.raises(ScrapeError, match=sentence):
        parse_scrape(text)


def test_a_difference_is_plain():
    """Between two readings there is what was counted, nothing extrapolated."""
    before = parse_scrape(exposition([1] + [0] * 11, 0.003))
    after = parse_scrape(exposition([4] + [0] * 11, 0.012))
    counted = difference(before, after)
    assert counted.buckets == (3, *[0] * 11)
    assert counted.node_time_sum_ms == pytest.approx(9)
    assert counted.counters["aether_executed_nodes_total"] == 3


@pytest.mark.parametrize(
    ("before", "after", "name"),
    [
        (exposition([5] + [0] * 11, 1), exposition([6] + [0] * 11, 2), None),
        (exposition([5] + [0] * 11, 1), exposition([4] + [0] * 11, 2), "aether_executed_nodes_total"),
        (exposition([5, 5] + [0] * 10, 1), exposition([4, 6] + [0] * 10, 2), "aether_execution_time_seconds"),
        (exposition([5] + [0] * 11, 1), exposition([5] + [0] * 11, 0.5), "aether_execution_time_seconds"),
    ],
)
def test_whatever_falls_betrays_a_restart(before, after, name):
    """A counter, one bucket or the sum: any of them that falls does."""
    assert fell(parse_scrape(before), parse_scrape(after)) == name


def plus(one, other):
    """The sum of two differences: what was counted in both stretches."""
    return Scrape(
        counters={name: value + other.counters[name] for name, value in one.counters.items()},
        buckets=tuple(a + b for a, b in zip(one.buckets, other.buckets, strict=True)),
        node_time_sum_ms=one.node_time_sum_ms + other.node_time_sum_ms,
    )


counts = st.lists(st.integers(0, 10**6), min_size=12, max_size=12)
# Whole ms, as the runtime counts: their sums are exact.
stretches = st.builds(
    lambda buckets, time, tokens: Scrape({"tokens": float(tokens)}, tuple(buckets), float(time)),
    counts,
    st.integers(0, 10**9),
    st.integers(0, 10**9),
)


@given(stretches, stretches, stretches, stretches)
def test_differences_and_sums_are_associative(start, one, two, three):
    """However readings are grouped: what was counted between them adds up to the difference of the ends."""
    assert plus(plus(one, two), three) == plus(one, plus(two, three))
    first = plus(start, one)
    second = plus(first, two)
    third = plus(second, three)
    assert difference(start, third) == plus(plus(one, two), three)
    assert difference(start, third) == plus(difference(start, second), difference(second, third))
    assert difference(start, third) == plus(difference(start, first), difference(first, third))
    assert fell(start, third) is None
