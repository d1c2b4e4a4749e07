"""Where each request's time went, on folders whose truth is known."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aether_load.analysis.latency.decomposition import Decomposition, parts_of
from aether_load.analysis.phase.phase_report import PhaseReport
from aether_load.analysis.report import build_report
from aether_load.protocol import Generation, NodeShape, NodeState, Outcome
from folders import answered, dropped, failed, make_run
from property_tests import examples

FAN_OUT = (NodeShape("left"), NodeShape("right"), NodeShape("join", ("left", "right")))
BYPASS = (NodeShape("slow"), NodeShape("quick"), NodeShape("after", ("quick",)))


def phase_of(folder: Path, requests: list[dict[str, Any]], **options: Any) -> PhaseReport:
    (phase,) = build_report(make_run(folder, requests, **options)).phases
    return phase


def contributions(decomposition: Decomposition) -> dict[str, float]:
    return {name: part.mean_contribution_ms for name, part in parts_of(decomposition)}


def test_each_part_is_what_it_says(tmp_path: Path) -> None:
    """Due at 0, sent at 30 ms, answered 200 ms later; T 170, levels 150, path 100: five parts, no more."""
    request = answered(30, 200, 170, due_ms=0, nodes=(100, 10, 50))
    found = phase_of(tmp_path, [request], nodes=BYPASS, load="open").decomposition
    assert contributions(found) == {
        "start_delay": 30.0, "sender_hold": 0.0, "overhead": 30.0, "scheduler": 20.0, "barrier": 50.0,
        "node_path": 100.0, "undivided_server": 0.0, "unanswered": 0.0,
    }  # fmt: skip
    assert found.response_latency_mean_ms == 230.0
    assert (found.parallel_speedup, found.parallel_speedup_bound) == (round(160 / 170, 6), 1.6)
    assert (found.requests_total, found.divided_requests_total) == (1, 1)


def test_what_is_not_known_is_not_divided(tmp_path: Path) -> None:
    """A failed node has no time, so that its request's server time stays whole; without an answer nothing is known."""
    requests = [
        answered(0, 100, 90, nodes=(60, 20, 10)),
        answered(100, 100, 90, nodes=(60, NodeState.FAILED, NodeState.SKIPPED), outcome=Outcome.NODE_ERROR),
        failed(200, 400, Outcome.TIMEOUT),
    ]
    found = phase_of(tmp_path, requests, nodes=FAN_OUT).decomposition
    assert contributions(found) == {
        "start_delay": 0.0, "sender_hold": 0.0, "overhead": round(20 / 3, 6), "scheduler": round(20 / 3, 6),
        "barrier": 0.0,
        "node_path": round(70 / 3, 6), "undivided_server": 30.0, "unanswered": round(400 / 3, 6),
    }  # fmt: skip
    assert found.response_latency_mean_ms == 200.0
    assert (found.requests_total, found.divided_requests_total) == (3, 1)
    assert found.overhead is not None
    assert found.overhead.time_ms is not None
    assert found.node_path is not None
    assert found.node_path.time_ms is not None
    assert found.unanswered is not None
    assert found.unanswered.time_ms is not None
    assert (found.overhead.time_ms.count, found.node_path.time_ms.count, found.unanswered.time_ms.count) == (2, 1, 1)


def test_an_older_run_without_a_nodes_time_is_not_divided(tmp_path: Path) -> None:
    """A time that was not told is no time of -1 ms, though the request counts as a success there."""
    requests = [answered(0, 100, 90, nodes=(60, 20, 10)), answered(100, 100, 90, nodes=(60, 20, NodeState.NOT_RUN))]
    found = phase_of(tmp_path, requests, nodes=FAN_OUT).decomposition
    assert (found.requests_total, found.divided_requests_total) == (2, 1)
    assert found.node_path is not None
    assert found.node_path.time_ms is not None
    assert found.undivided_server is not None
    assert found.undivided_server.time_ms is not None
    assert (found.node_path.time_ms.min, found.undivided_server.time_ms.max) == (70.0, 90.0)


@pytest.mark.parametrize("how", [{"sequential": True}, {"generation": Generation.V1}])
def test_in_sequence_there_are_no_barriers(tmp_path: Path, how: dict[str, Any]) -> None:
    """Nodes one after the other: the path is all of them, the scheduler's part what is left of the total."""
    found = phase_of(tmp_path, [answered(0, 100, 90, nodes=(40, 30, 10))], nodes=BYPASS, **how)
    parts = found.decomposition
    assert contributions(parts)["scheduler"] == 10.0
    assert contributions(parts)["node_path"] == 80.0
    assert parts.barrier is None
    assert parts.reasons["barrier"] == "nodes ran one after the other, so that no level waited for its slowest"
    assert parts.scheduler is not None
    assert parts.scheduler.resolution_ms == 3
    assert [node.path_share for node in found.nodes] == [0.5, 0.375, 0.125]


def test_a_run_that_did_not_write_its_shape_down_is_divided_where_it_can_be(tmp_path: Path) -> None:
    """Of one node the shape is plain; of several, the server's time stays whole, and each null says why."""
    alone = phase_of(tmp_path, [answered(0, 70)])
    assert contributions(alone.decomposition)["node_path"] == 60.0
    folder = make_run(
        tmp_path, [answered(0, 70, nodes=(40, 20))], run_id="20260304T050607Z-made-0002",
        nodes=(NodeShape("a"), NodeShape("b")),
    )  # fmt: skip
    manifest = folder.read_manifest()
    manifest.nodes = ()
    folder.write_manifest(manifest)
    (phase,) = build_report(folder).phases
    found = phase.decomposition
    assert (found.node_path, contributions(found)["undivided_server"]) == (None, 60.0)
    assert found.reasons["node_path"] == "the run does not say how its nodes depend on each other"
    assert phase.nodes[1].reasons["path_share"] == found.reasons["node_path"]
    assert phase.nodes[1].node_time_ms is not None
    assert (phase.nodes[1].level, phase.nodes[1].node_time_ms.mean) == (None, 20.0)


def test_what_was_never_sent_is_in_no_latency(tmp_path: Path) -> None:
    """A request that was due and not sent has no latency: it is counted, and not divided."""
    phase = phase_of(tmp_path, [answered(0, 70), dropped(10), dropped(20)], load="open", rate_rps=3.0)
    assert (phase.decomposition.requests_total, phase.all.requests_total) == (1, 3)
    assert phase.open_load is not None
    assert phase.open_load.dropped_total == 2


def test_nothing_sent_is_nothing_divided(tmp_path: Path) -> None:
    """Every null of an empty window has its reason."""
    found = phase_of(tmp_path, []).decomposition
    absent = {field for field in found.__struct_fields__ if getattr(found, field) is None}
    assert absent == set(found.reasons)


TAIL = [answered(2 * number, 100, 95, nodes=(40, 40, 40)) for number in range(990)]


def test_the_tail_is_told_in_one_sentence(tmp_path: Path) -> None:
    """p99, whose part is the largest, which level and node it is, and the next parts of 5 % or more."""
    slow = [answered(3060 + n, 350, 335, due_ms=3000 + n, nodes=(1, 20, 310)) for n in range(11)]
    nodes = (NodeShape("fetch"), NodeShape("read", ("fetch",)), NodeShape("summarize", ("read",)))
    phase = phase_of(tmp_path, TAIL + slow, nodes=nodes, load="open", window_ms=(0, 5000), phase_ms=6000)
    assert phase.tail_sentence == (
        "p99 is 410 ms: 81 % of the tail is node time on the server (level 2, node `summarize`), "
        "15 % waiting in the client"
    )
    assert phase.decomposition.tail_requests_total == 11
    assert [node.tail_path_share for node in phase.nodes] == [round(part / 331, 6) for part in (1, 20, 310)]


def test_a_tail_of_lost_answers_says_so(tmp_path: Path) -> None:
    """Where the slowest requests brought no answer, no node is blamed."""
    lost = [failed(3000 + n, 900, Outcome.TIMEOUT) for n in range(11)]
    phase = phase_of(tmp_path, TAIL + lost, nodes=FAN_OUT, window_ms=(0, 5000), phase_ms=6000)
    assert phase.tail_sentence == "p99 is 900 ms: 100 % of the tail is requests that brought no readable answer"


def test_no_tail_is_claimed_of_a_few_requests(tmp_path: Path) -> None:
    """Fewer than ten at or above p99: no sentence, no share, and the reason."""
    phase = phase_of(tmp_path, TAIL[:500], nodes=FAN_OUT)
    few = [answered(number, 50 + number, 40, nodes=(20, 20, 20)) for number in range(100)]
    small = phase_of(tmp_path, few, nodes=FAN_OUT, run_id="20260304T050607Z-made-0002")
    assert phase.tail_sentence is not None  # all alike, so that all are in the tail
    assert small.tail_sentence is None
    assert small.reasons["tail_sentence"] == "2 requests at or above p99, of 10 needed"
    assert {part.tail_share for _, part in parts_of(small.decomposition)} == {None}
    assert {node.tail_path_share for node in small.nodes} == {None}


def test_each_node_by_itself(tmp_path: Path) -> None:
    """Times of those that succeeded, states of all, the cache's share of those that said, the path's of the others."""
    requests = [
        answered(0, 110, 100, nodes=(60, 30, 40), cached=1),
        answered(200, 110, 100, nodes=(60, 30, 40)),
        answered(
            400, 110, 100, nodes=(60, NodeState.FAILED, NodeState.SKIPPED), outcome=Outcome.NODE_ERROR
        ),
    ]  # fmt: skip
    left, right, join = phase_of(tmp_path, requests, nodes=FAN_OUT).nodes
    assert (left.level, join.level, join.waits_for) == (0, 1, ("left", "right"))
    assert (left.states["succeeded"], right.states["failed"], join.states["skipped"]) == (3, 1, 1)
    assert left.node_time_ms is not None
    assert right.node_time_ms is not None
    assert (left.node_time_ms.count, right.node_time_ms.count) == (3, 2)
    assert left.cached_share is not None
    assert (left.cached_share.hits, left.cached_share.count) == (1, 3)
    assert [node.path_share for node in (left, right, join)] == [0.6, 0.0, 0.4]
    assert [node.on_path_share for node in (left, right, join)] == [1.0, 0.0, 1.0]


requests_of_three = st.lists(
    st.tuples(
        st.integers(0, 50), st.integers(0, 40), st.integers(0, 20), st.integers(0, 90), st.integers(0, 90),
        st.integers(0, 90), st.sampled_from(["ok", "node_error", "timeout"]),
    ),
    min_size=1, max_size=40,
)  # fmt: skip


def made(drawn: list[Any]) -> list[dict[str, Any]]:
    """Requests of drawn start delays, overheads, scheduler times, node times and outcomes; T is what it must be."""
    requests = []
    for place, (late, over, extra, *times, outcome) in enumerate(drawn):
        levels = max(times[0], times[1]) + times[2]
        total = levels + extra
        at = 20 * place + late
        if outcome == "ok":
            requests.append(answered(at, total + over, total, due_ms=20 * place, nodes=tuple(times)))
        elif outcome == "node_error":
            nodes = (times[0], NodeState.FAILED, NodeState.SKIPPED)
            requests.append(
                answered(at, total + over, total, due_ms=20 * place, nodes=nodes, outcome=Outcome.NODE_ERROR)
            )
        else:
            requests.append(failed(at, total + over, Outcome.TIMEOUT, due_ms=20 * place))
    return requests


@given(requests_of_three)
@settings(max_examples=examples(40), deadline=None)
def test_parts_add_up(drawn: list[Any]) -> None:
    """Whatever the requests: contributions add up to the mean response latency, shares to 1, no part is negative."""
    with tempfile.TemporaryDirectory() as folder:
        phase = phase_of(Path(folder), made(drawn), nodes=FAN_OUT, load="open", window_ms=(0, 900))
    found = phase.decomposition
    parts = dict(parts_of(found))
    assert sum(part.mean_contribution_ms for part in parts.values()) == pytest.approx(
        found.response_latency_mean_ms, abs=1e-5
    )
    for kind in ("mean_share", "tail_share", "variance_share"):
        shares = [getattr(part, kind) for part in parts.values()]
        assert None in shares or sum(shares) == pytest.approx(1, abs=1e-4)
    assert all(part.time_ms is None or part.time_ms.min >= 0 for part in parts.values())
    sent = phase.all.response_latency_ms
    assert sent is not None
    assert sent.mean == pytest.approx(found.response_latency_mean_ms, abs=1e-3)
