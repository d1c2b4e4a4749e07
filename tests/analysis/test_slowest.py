"""The slowest requests of a run: which they are, and how their time is divided."""

from pathlib import Path
from typing import Any

import pytest

from aether_load.analysis.latency.slowest import SlowRequest
from aether_load.analysis.report import build_report
from aether_load.protocol import NodeShape, NodeState, Outcome
from folders import answered, failed, make_run

FAN = (NodeShape("a"), NodeShape("b"), NodeShape("join", ("a", "b")))


def slowest(tmp_path: Path, requests: list[dict[str, Any]], **more: Any) -> tuple[SlowRequest, ...]:
    return build_report(make_run(tmp_path, requests, **more)).slowest_requests


def test_the_ten_slowest_of_a_window_slowest_first(tmp_path: Path) -> None:
    """Those due outside the window are none of them, however slow they were."""
    requests = [answered(10 * place, 40 + place, 30) for place in range(30)]
    requests.append(answered(1500, 900, 30))
    found = slowest(tmp_path, requests)
    assert [request.response_latency_ms for request in found] == [69.0 - place for place in range(10)]
    assert {request.dataset for request in found} == {"piqa"}
    assert {request.phase for request in found} == {"closed"}


def test_the_parts_of_a_request_add_up(tmp_path: Path) -> None:
    """Client wait, outside, scheduler and levels are its response latency; nodes begin where their levels do."""
    known = {"execution_id": bytes(range(16)), "cached": 1, "due_ms": 95}
    (request,) = slowest(tmp_path, [answered(100, 50, 47, nodes=[20, 30, 10], **known)], nodes=FAN)
    assert (request.start_delay_ms, request.outside_ms, request.sender_hold_ms) == (5.0, 3.0, 0.0)
    assert (request.server_ms, request.scheduler_ms, request.levels_ms) == (47, 7, (30, 10))
    assert request.response_latency_ms == 55.0
    assert [(node.id, node.level, node.began_ms, node.time_ms, node.cached) for node in request.nodes] == [
        ("a", 0, 15.0, 20, True), ("b", 0, 15.0, 30, True), ("join", 1, 45.0, 10, True),
    ]  # fmt: skip
    assert (request.cached_nodes_total, request.reasons) == (3, {})
    assert (request.prompt, request.execution_id) == ("piqa/0", "00010203-0405-0607-0809-0a0b0c0d0e0f")


def test_in_sequence_nodes_follow_each_other(tmp_path: Path) -> None:
    """Each has a level of its own."""
    (request,) = slowest(tmp_path, [answered(100, 70, 62, nodes=[20, 30, 10])], nodes=FAN, sequential=True)
    assert request.levels_ms == (20, 30, 10)
    assert [node.began_ms for node in request.nodes] == [10.0, 30.0, 60.0]


@pytest.mark.parametrize("outcome", [Outcome.TIMEOUT, Outcome.CONNECTION_ERROR, Outcome.INVALID_RESPONSE])
def test_without_an_answer_a_request_is_none_of_them(tmp_path: Path, outcome: Outcome) -> None:
    """Nothing divides its time, however long that was."""
    assert [one.outcome for one in slowest(tmp_path, [failed(100, 80, outcome), answered(200, 70)])] == ["ok"]


def test_a_failed_node_leaves_the_servers_time_whole(tmp_path: Path) -> None:
    """Its time is not known, and the answer told no levels."""
    request = answered(100, 50, 47, nodes=[20, NodeState.FAILED, 10]) | {"outcome": Outcome.NODE_ERROR}
    (found,) = slowest(tmp_path, [request], nodes=FAN)
    assert (found.server_ms, found.scheduler_ms, found.levels_ms) == (47, None, None)
    assert [(node.state, node.began_ms) for node in found.nodes] == [
        ("succeeded", None), ("failed", None), ("succeeded", None),
    ]  # fmt: skip


def test_what_the_sender_held_is_a_part_of_its_own(tmp_path: Path) -> None:
    """A request that was read during a hold may have been answered when the hold began."""
    (request,) = slowest(tmp_path, [answered(100, 50, 20)], holds=[(130, 151, 151)])
    assert (request.sender_hold_ms, request.outside_ms) == (20.0, 10.0)
