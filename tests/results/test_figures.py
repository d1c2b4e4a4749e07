"""Figures that are told beside latency and throughput, on folders whose truth is known."""

from aether_load.analysis.phase.rows import Row
from pathlib import Path
from typing import Any

import pytest

from aether_load.errors import UsageError
from aether_load.analysis.statistics.latency_curve import SHARES
from aether_load.analysis.phase.achieved_load import AchievedLoad
from aether_load.analysis.report import build_report
from aether_load.analysis.statistics.distribution import Share, wilson
from aether_load.analysis.phase.sweeps import SweepPoint, _knee
from aether_load.protocol import NodeState, Outcome
from aether_load.scenario.load import load_scenario
from folders import answered, failed, make_run, dropped
from rich_run import make_rich_run

CLOSED = [{"name": "closed", "users": 1, "duration": 1.0}]


def scenario(**more: Any) -> dict[str, Any]:
    return {"name": "made", "phases": CLOSED, **more}


def row_of(tmp_path: Path, requests: list[dict[str, Any]], plan: dict[str, Any] | None = None, **options: Any) -> Row:
    return build_report(make_run(tmp_path, requests, scenario=plan or scenario(), **options)).phases[0].all


def test_goodput_counts_what_was_good_and_in_time(tmp_path: Path) -> None:
    """Ok and fast enough counts; slow, failed and dropped do not; one that ends after the window is a part of the rate."""
    requests = [
        answered(0, 100),
        answered(200, 100),
        answered(400, 300),
        failed(720, 10, Outcome.HTTP_ERROR),
        answered(950, 90),
        dropped(500),
    ]
    row = row_of(tmp_path, requests, scenario(goodput_slo="response_latency_ms<150"))
    assert (row.goodput_rps, row.goodput_share) == (2.555556, wilson(3, 6))


def test_goodput_takes_the_latency_that_the_scenario_names(tmp_path: Path) -> None:
    """In open load a request that was sent late keeps a limit on service latency and breaks one on response latency."""
    requests = [answered(300, 100, due_ms=0), answered(500, 100, due_ms=500)]
    both = [
        row_of(tmp_path, requests, scenario(goodput_slo=slo), run_id=f"20260304T050607Z-made-000{place}", load="open")
        for place, slo in enumerate(["response_latency_ms<=100", "service_latency_ms<=100"])
    ]
    assert [row.goodput_rps for row in both] == [1.0, 2.0]


def test_without_a_limit_there_is_no_goodput(tmp_path: Path) -> None:
    """Null, with the reason by its name."""
    row = row_of(tmp_path, [answered(0, 100)])
    assert (row.goodput_rps, row.goodput_share) == (None, None)
    assert row.reasons["goodput_rps"] == row.reasons["goodput_share"] == "the scenario states no goodput_slo"


@pytest.mark.parametrize(
    ("slo", "sentence"),
    [
        ("p(95)<500", "a request has no p: it has one latency"),
        ("error_rate<0.1", "'error_rate' is not known of each request by itself"),
        ("response_latency_ms>500", "'>' is no upper limit"),
        ("response_latency_ms<0", "no request takes 0 ms"),
        ("piqa:response_latency_ms<5", "there is no 'piqa' before it"),
        ("fast", "expected a limit on the latency of each request, as in"),
    ],
)
def test_a_limit_that_is_none_is_refused_in_a_sentence(tmp_path: Path, slo: str, sentence: str) -> None:
    """File, key, value, and what is expected."""
    path = tmp_path / "mine.toml"
    path.write_text(f'goodput_slo = "{slo}"\n[[phases]]\nusers = 1\nduration = "1s"\n')
    with pytest.raises(UsageError) as refusal:
        load_scenario(path)
    assert str(refusal.value).startswith(f"Scenario {path}: goodput_slo = '{slo}': ")
    assert sentence in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_negative_price_is_refused(tmp_path: Path) -> None:
    """A price is no less than nothing."""
    path = tmp_path / "mine.toml"
    path.write_text("[workload]\nprice_usd_per_1000_tokens = -1\n[[phases]]\nusers = 1\nduration = '1s'\n")
    with pytest.raises(UsageError, match=r"workload\.price_usd_per_1000_tokens = -1: "):
        load_scenario(path)


def test_a_right_answer_is_charged_with_the_wrong_ones(tmp_path: Path) -> None:
    """Four answers of 7 tokens, two of them right: 14 tokens each, and money where there is a price."""
    requests = [answered(100 * place, 61, state=0, correct=place % 2) for place in range(4)]
    row = row_of(tmp_path, requests, scenario(workload={"price_usd_per_1000_tokens": 0.5}))
    assert (row.tokens_total, row.tokens_per_s, row.tokens_per_correct_answer) == (28, 28.0, 14.0)
    assert row.cost_per_correct_answer_usd == 0.007


@pytest.mark.parametrize(
    ("requests", "why"),
    [
        ([answered(0, 61, state=0, correct=0)], "none of 1 answers was right"),
        ([answered(0, 61, state=2)], "1 of 1 answers are the mock provider's fixed text, which answers nothing"),
        ([failed(0, 61, Outcome.TIMEOUT)], "no answer in the window could be read"),
    ],
)
def test_without_a_right_answer_there_is_no_cost_of_one(tmp_path: Path, requests: list[dict[str, Any]], why: str) -> None:
    """Not a division by zero, and not 0: null with the reason."""
    row = row_of(tmp_path, requests, scenario(workload={"price_usd_per_1000_tokens": 0.5}))
    assert (row.tokens_per_correct_answer, row.cost_per_correct_answer_usd) == (None, None)
    assert row.reasons["tokens_per_correct_answer"] == row.reasons["cost_per_correct_answer_usd"] == why


def test_each_dataset_has_its_parts_and_its_cache(tmp_path: Path) -> None:
    """By dataset the parts add up to its mean response latency, and nodes are counted as told."""
    report = build_report(make_rich_run(tmp_path))
    for phase in report.phases:
        for row in (phase.all, *phase.datasets):
            assert row.decomposition_mean_ms is not None
            assert row.response_latency_ms is not None
            assert sum(row.decomposition_mean_ms.values()) == pytest.approx(row.response_latency_ms.mean, abs=1e-3)
        assert phase.all.cached_nodes_total is not None
        assert sum(row.cached_nodes_total or 0 for row in phase.datasets) == phase.all.cached_nodes_total > 0
        assert sum(row.tokens_total or 0 for row in phase.datasets) == phase.all.tokens_total


def test_the_load_asked_and_reached(tmp_path: Path) -> None:
    """Users that were busy of those active; requests sent of those due; null where neither is known."""
    report = build_report(make_rich_run(tmp_path))
    closed, opened = report.phases[2].achieved_load, report.phases[-1].achieved_load
    assert (closed.unit, closed.asked) == ("users", 8.0)
    assert closed.reached is not None
    assert 7.5 < closed.reached <= 8.0
    assert opened == AchievedLoad(unit="requests/s", asked=40.0, reached=39.0, reasons={})
    (phase,) = build_report(make_run(tmp_path, [answered(0, 61)], users=None)).phases
    why = "Locust's page or load shape decided how many users there were, or their number changed"
    assert phase.achieved_load.asked is None
    assert phase.achieved_load.reasons == {"asked": why, "reached": "the number of users varied"}


def test_the_latency_curve_is_made_of_latencies(tmp_path: Path) -> None:
    """Bounded, rising, and each point is one that was measured; a share that no request lies beyond is left out."""
    requests = [answered(place / 2, 1 + place) for place in range(500)]
    (phase,) = build_report(make_run(tmp_path, requests)).phases
    curve = phase.latency_curve
    assert curve is not None
    points = dict(zip(curve.share, curve.service_latency_ms, strict=True))
    assert (points[0.0], points[0.5], points[0.99], points[0.998], points[1.0]) == (1.0, 250.0, 495.0, 499.0, 500.0)
    assert 0.999 not in points
    assert phase.all.service_latency_ms is not None
    assert phase.all.service_latency_ms.p50.value == points[0.5]
    assert curve.response_latency_ms == curve.service_latency_ms
    assert len(SHARES) == 126


def points(*pairs: tuple[int, int, int]) -> list[SweepPoint]:
    return [
        SweepPoint(
            phase="x", load=load, ok_throughput_rps=rps, response_latency_mean_ms=ms, response_latency_p50_ms=None,
            response_latency_p95_ms=None, response_latency_p99_ms=None, error_rate=0.0,
        )
        for load, rps, ms in pairs
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("pairs", "knee"),
    [
        ([(1, 10, 100), (2, 20, 100), (4, 36, 110), (8, 40, 200)], (4, None)),
        ([(1, 10, 100), (2, 20, 100)], (None, "2 loads were measured, of 3 needed")),
        (
            [(1, 10, 100), (2, 20, 100), (4, 40, 100)],
            (None, "throughput over latency still rises at the largest load, 4: the knee lies beyond it"),
        ),
        (
            [(1, 10, 100), (2, 10, 200), (4, 10, 400)],
            (None, "throughput over latency falls from the smallest load, 1, on: the knee lies at or below it"),
        ),
    ],
)
def test_the_knee_is_where_throughput_over_latency_is_largest(pairs: list[tuple[int, int, int]], knee: tuple[int | None, str | None]) -> None:
    """Inside the loads that were tried, or not at all."""
    assert _knee(points(*pairs)) == knee


def test_a_sweep_is_told_as_one(tmp_path: Path) -> None:
    """The loads of one phase of the scenario stand together, with the knee where the server's eight slots are full."""
    (sweep,) = build_report(make_rich_run(tmp_path)).sweeps
    assert (sweep.name, sweep.unit) == ("load", "users")
    assert [point.load for point in sweep.points] == [2.0, 4.0, 8.0, 16.0, 32.0]
    assert sweep.knee_load == 16.0


def test_node_errors_are_no_goodput(tmp_path: Path) -> None:
    """An answer with a failed node is in time, and not good."""
    bad = answered(0, 50, outcome=Outcome.NODE_ERROR, nodes=(NodeState.FAILED,))
    row = row_of(tmp_path, [bad, answered(100, 50)], scenario(goodput_slo="response_latency_ms<150"))
    assert row.goodput_share is not None
    assert row.goodput_share == Share(0.5, row.goodput_share.low, row.goodput_share.high, 1, 2)
