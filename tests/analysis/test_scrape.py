"""Readings of /metrics: one text in, one set of numbers or one sentence out."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aether_load.analysis.server.scrape import COUNTERS, Scrape, ScrapeError, difference, fell, parse_scrape
from aether_load.protocol import EXECUTION_TIME_SECONDS
from folders import counted, exposition


def test_a_reading_is_counts_a_bucket_and_milliseconds() -> None:
    """Cumulative buckets come out as counts of each, the sum in ms, counters by name."""
    text = exposition([1, 0, 0, 2, 3, 0, 0, 0, 0, 0, 0, 1], 12.345, token_cost_total=77)
    assert parse_scrape(text) == Scrape(
        counters={"aether_executed_nodes_total": 7, "aether_token_cost_total": 77, "aether_errors_total": 0},
        buckets=(1, 0, 0, 2, 3, 0, 0, 0, 0, 0, 0, 1),
        node_time_sum_ms=12345.0,
    )


FRESH = exposition([0] * 12, 0)
NINE = counted([3, 70, 20_000, 1, 1, 1], cached=1)
BUCKET, SUM, COUNT = (f"aether_execution_time_seconds_{part}" for part in ("bucket", "sum", "count"))


def of_replicas(*texts: str) -> str:
    """One exposition in which each text's series bear the name of a replica, as a federated /metrics has it."""
    lines = []
    for number, text in enumerate(texts):
        named = re.sub(r"(?m)^(\w+) ", rf'\1{{replica="{number}"}} ', text)
        lines.append(re.sub(r"(?m)^(\w+)\{le=", rf'\1{{replica="{number}",le=', named))
    return "".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        re.sub(r"(?m)^(\w+(_total|_sum|_count)) ", r'\1{a="}",i="x\\"y,{"} ', NINE).replace(
            "{le=", '{a="}",i="x\\"y,{",le='
        ),
        "# HELP other x\n" + "other_total 1\n" * 500 + NINE + f"{EXECUTION_TIME_SECONDS}_created NaN\n",
        NINE.replace("\n", " 1395066363000\n").replace(" ", "  \t"),
        re.sub(r'le="([^"]+)"', r'le = "\1" , ', NINE),
        re.sub(r"(?m)(_total|_count|\}) (\d+)$", r"\1 \2.0e0", NINE),
        "\n".join(reversed(NINE.splitlines())),
        of_replicas(NINE),
        "\x00\xff{\n" + NINE,
    ],
    ids=["labels", "among others", "timestamps", "white space", "exponents", "any order", "one replica", "noise"],
)
def test_the_same_reading_in_another_form(text: str) -> None:
    """What else stands in an exposition, and how numbers and labels are written, changes nothing."""
    assert parse_scrape(text) == parse_scrape(NINE)


def test_replicas_are_added_up() -> None:
    """Series of one name with different labels are counters of one service."""
    both = parse_scrape(
        of_replicas(NINE, exposition([1, 0, 0, 2, *[0] * 8], 12.345, token_cost_total=77, errors_total=2))
    )
    one = parse_scrape(NINE)
    assert both.counters == {
        "aether_executed_nodes_total": 12,
        "aether_token_cost_total": one.counters["aether_token_cost_total"] + 77,
        "aether_errors_total": 2,
        "aether_cache_hits_total": 1,
        "aether_cache_misses_total": 8,
    }
    assert both.buckets == tuple(map(sum, zip(one.buckets, (1, 0, 0, 2, *[0] * 8), strict=True)))
    assert both.node_time_sum_ms == one.node_time_sum_ms + 12345


def with_value(name: str, value: int | str) -> str:
    """A fresh runtime's exposition in which one sample has this value."""
    text, count = re.subn(rf"(?m)^({name}(?:{{[^\n]*Inf[^\n]*}})?) \S+$", rf"\1 {value}", FRESH)
    assert count == 1
    return text


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "none of the runtime's metrics is there"),
        ("<html>502 Bad Gateway</html>", "none of the runtime's metrics is there"),
        (FRESH.replace('le="0.005"', 'le="0.004"'), f"{BUCKET} of le=0.005 is missing"),
        (re.sub(f"{BUCKET}.*\n", "", FRESH), f"{BUCKET} of le=0.005 is missing"),
        (FRESH[:700], f"{BUCKET} of le=0.5 is missing"),
        (FRESH + f'{BUCKET}{{le="20"}} 0\n', f"{EXECUTION_TIME_SECONDS} has 13 buckets, and a runtime's has 12"),
        (FRESH.replace("aether_errors_total 0", ""), "aether_errors_total is missing"),
        (FRESH.replace(f"{SUM} 0", ""), f"{SUM} is missing"),
        (FRESH.replace(f"{COUNT} 0", ""), f"{COUNT} is missing"),
        (
            exposition([1] * 12, 1).replace("seconds_count 12", "seconds_count 11"),
            f"{EXECUTION_TIME_SECONDS} contradicts itself: its +Inf bucket or an order of buckets",
        ),
        (with_value(SUM, "NaN"), f"{SUM} is NaN, which is no sum of times"),
        (with_value(SUM, "-Inf"), f"{SUM} is -Inf, which is no sum of times"),
        (with_value(SUM, "-0.5"), f"{SUM} is -0.5, which is no sum of times"),
        (with_value(SUM, "9" * 5000), f"{SUM} is {'9' * 23}… (5000 characters), which is no sum of times"),
        (with_value("aether_errors_total", "NaN"), "aether_errors_total is NaN, which is no count from 0 to 2^53"),
        (with_value("aether_errors_total", "+Inf"), "aether_errors_total is +Inf, which is no count from 0 to 2^53"),
        (with_value("aether_errors_total", "-1"), "aether_errors_total is -1, which is no count from 0 to 2^53"),
        (with_value("aether_errors_total", "2.5"), "aether_errors_total is 2.5, which is no whole number"),
        (
            with_value("aether_token_cost_total", 2**53 + 2),
            "aether_token_cost_total is 9007199254740994, which is no count from 0 to 2^53",
        ),
        (
            with_value("aether_token_cost_total", "1" * 5000),
            f"aether_token_cost_total is {'1' * 23}… (5000 characters), which is no count from 0 to 2^53",
        ),
        (with_value("aether_errors_total", "1_0"), "aether_errors_total has 1_0 in place of a number"),
        (with_value("aether_errors_total", "\x1b[2J"), "aether_errors_total has \ufffd[2J in place of a number"),
        (with_value(BUCKET, "NaN"), f"{BUCKET} is NaN, which is no count from 0 to 2^53"),
        (with_value(COUNT, "Inf"), f"{COUNT} is Inf, which is no count from 0 to 2^53"),
        (FRESH + "aether_errors_total 5\n", "aether_errors_total is there twice with the same labels"),
        (
            FRESH + 'aether_errors_total{node="a"} 5\n',
            "aether_errors_total is there with labels and without, so that it is unclear what to add up",
        ),
        (
            of_replicas(*[with_value("aether_token_cost_total", 2**53 - 1)] * 2),
            "aether_token_cost_total of all series together is above 2^53, where a counter no longer counts every one",
        ),
    ],
)  # fmt: skip
def test_a_text_that_is_no_reading_is_refused(text: str, sentence: str) -> None:
    """An empty page means no metrics at all, which must not pass for zeros, and no number of it is believed unseen."""
    with pytest.raises(ScrapeError) as raised:
        parse_scrape(text)
    assert str(raised.value) == sentence


@given(
    st.text(max_size=30) | st.floats().map(str) | st.integers().map(str),
    st.sampled_from([SUM, COUNT, BUCKET, *COUNTERS[:3]]),
)
def test_whatever_stands_for_a_number(value: str, name: str) -> None:
    """A reading or a refusal, nothing else; what is read is whole and within bounds."""
    try:
        read = parse_scrape(with_value(name, re.sub(r"[\\\s]", "", value)))
    except ScrapeError:
        return
    assert all(isinstance(count, int) and 0 <= count <= 2**53 for count in (*read.counters.values(), *read.buckets))
    assert 0 <= read.node_time_sum_ms <= 2**53


def test_a_difference_is_plain() -> None:
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
def test_whatever_falls_betrays_a_restart(before: str, after: str, name: str | None) -> None:
    """A counter, one bucket or the sum: any of them that falls does."""
    assert fell(parse_scrape(before), parse_scrape(after)) == name


def plus(one: Scrape, other: Scrape) -> Scrape:
    """The sum of two differences: what was counted in both stretches."""
    return Scrape(
        counters={name: value + other.counters[name] for name, value in one.counters.items()},
        buckets=tuple(a + b for a, b in zip(one.buckets, other.buckets, strict=True)),
        node_time_sum_ms=one.node_time_sum_ms + other.node_time_sum_ms,
    )


counts = st.lists(st.integers(0, 10**6), min_size=12, max_size=12)
# Whole ms, as the runtime counts: their sums are exact.
stretches = st.builds(
    lambda buckets, time, tokens: Scrape({"tokens": tokens}, tuple(buckets), float(time)),
    counts,
    st.integers(0, 10**9),
    st.integers(0, 10**9),
)


@given(stretches, stretches, stretches, stretches)
def test_differences_and_sums_are_associative(start: Scrape, one: Scrape, two: Scrape, three: Scrape) -> None:
    """However readings are grouped: what was counted between them adds up to the difference of the ends."""
    assert plus(plus(one, two), three) == plus(one, plus(two, three))
    first = plus(start, one)
    second = plus(first, two)
    third = plus(second, three)
    assert difference(start, third) == plus(plus(one, two), three)
    assert difference(start, third) == plus(difference(start, second), difference(second, third))
    assert difference(start, third) == plus(difference(start, first), difference(first, third))
    assert fell(start, third) is None
