"""What is said of a run while it goes on, and what is not."""

from collections.abc import Sequence
from typing import Any

import pytest

from aether_load.datasets.prompt import DatasetIdentity
from aether_load.observer.live.run import LiveRun
from aether_load.observer.live.time_bucket import TimeBucket
from aether_load.observer.live.totals import Totals
from aether_load.observer.live.warnings import live_warnings
from aether_load.protocol import Generation, NodeShape, Outcome
from aether_load.rundata.manifest import ClockPair, Manifest, TargetRecord
from aether_load.scenario.load import from_plain
from aether_load.scenario.warning_codes import WarningCode


def run(
    *,
    outcomes: Sequence[tuple[Outcome, int]] = (),
    buckets: Sequence[dict[str, Any]] = (),
    cached: int = 0,
    uncached: int = 0,
    mock: int = 0,
) -> LiveRun:
    live = LiveRun(0, ["piqa"], (NodeShape("answer"),), Totals())
    for outcome, count in outcomes:
        live.outcomes["piqa", outcome] = count
    for place, more in enumerate(buckets):
        live.timeline.add(TimeBucket(began_s=place, ended_s=place + 1, **more))
    live.cached_nodes, live.uncached_nodes, live.mock_answers = cached, uncached, mock
    return live


def codes(
    live: LiveRun, *, simulated: bool = False, prompts: int = 10, cache: Any = "keep", **target: bool
) -> list[str | WarningCode]:
    manifest = Manifest(
        id="made", scenario={}, command=[], seed=1, node_ids=(), began=ClockPair(0, "2026-03-04T05:06:07.000000Z"),
        target=TargetRecord(
            url="http://h", kind="simulated" if simulated else "runtime", generation=Generation.V2, server=None
        ),
        datasets=(
            DatasetIdentity(
                name="piqa", source="file", location="x", config=None, split=None, revision="sha256:0",
                rows_available=prompts, rows_used=prompts,
            ),
        ),
    )  # fmt: skip
    phases = [{"name": "closed", "users": 1, "duration": 1.0}]
    scenario = from_plain({"name": "made", "max_error_rate": 0.01, "target": target, "phases": phases})
    return [warning.code for warning in live_warnings(live, manifest, scenario, cache)]


def test_of_a_sound_run_nothing_is_said() -> None:
    """A hundred successes, one failure of a hundred allowed, a client at rest, no cache."""
    live = run(outcomes=[(Outcome.OK, 99), (Outcome.TIMEOUT, 1)], buckets=[{"cpu_s": 0.3}] * 9, uncached=99)
    assert codes(live) == []


@pytest.mark.parametrize(
    ("known", "circumstances", "said"),
    [
        ({}, {"simulated": True}, ["simulated_target"]),
        ({}, {"verify_tls": False}, ["tls_not_verified"]),
        ({"outcomes": [(Outcome.OK, 9), (Outcome.TIMEOUT, 1)]}, {}, ["failures"]),
        ({"outcomes": [(Outcome.OK, 5), (Outcome.REJECTED, 5)]}, {}, []),
        ({"outcomes": [(Outcome.OK, 5), (Outcome.DROPPED, 5)]}, {}, ["dropped"]),
        ({"buckets": [{"cpu_s": 0.95}]}, {}, ["client_saturated"]),
        ({"buckets": [{"cpu_s": 0.95}, *[{"cpu_s": 0.2}] * 5]}, {}, []),
        ({"buckets": [{"target_rps": 100.0, "requests": 60}] * 5}, {}, ["achieved_rate_low"]),
        ({"buckets": [{"target_rps": 100.0, "requests": 92}] * 5}, {}, []),
        ({"buckets": [{"target_rps": 100.0, "requests": 60}] * 4}, {}, []),
        ({"cached": 1, "uncached": 9}, {}, ["cache_answered"]),
        ({"cached": 1, "uncached": 9}, {"cache": "cold"}, ["cold_phase_with_hits"]),
        ({"cached": 9, "uncached": 1}, {"cache": "warm"}, ["warm_phase_with_misses"]),
        ({"cached": 9}, {"cache": "warm"}, []),
        ({"outcomes": [(Outcome.OK, 3000)], "uncached": 3000}, {"prompts": 2000}, ["prompts_exceed_cache"]),
        ({"outcomes": [(Outcome.OK, 1500)], "uncached": 1500}, {"prompts": 2000}, []),
        ({"mock": 1}, {}, ["mock_provider"]),
    ],
)
def test_each_threat_is_said_once_it_shows(
    known: dict[str, Any], circumstances: dict[str, Any], said: list[str]
) -> None:
    """And not before: a refusal by the guard is no failure, chance in the arrivals no low rate."""
    assert codes(run(**known), **circumstances) == said


def test_the_reconciliations_verdict_is_a_warning_where_there_is_a_server_to_read() -> None:
    """Contaminated counts are said; a scenario that reads no server is not told that it has no data."""
    live = run()
    live.server.reconciliation.begin(None, "no answer")
    assert codes(live) == ["no_server_data"]
    assert codes(live, server_metrics=False) == []
