from __future__ import annotations

import contextlib
import http.client
import select
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from aether_load.simulator.fault_kinds import Close, Late, NodeFailure, Panic, Stall, parse_fault, read_faults
from simulator.simulated import JSON_TYPE, Simulator, SimulatorProcess, llm, raw_request, read_all, wait_for

DAG = {"dag": {"nodes": [llm()]}}
CLOSED = (http.client.RemoteDisconnected, ConnectionResetError)
REPLIES = {
    "truncate": {"kind": "truncate"},
    "garbage": {"kind": "garbage"},
    "empty": {"kind": "empty"},
}


def last(simulator: Simulator) -> tuple[int | None, str, str | None]:
    row = simulator.record()[-1]
    return row["status"], row["sent"], row["fault"]


def test_orders_are_shown_and_cleared(tame: Simulator) -> None:
    """What is in force is shown as it was ordered, with a number and how often it struck, until it is cleared."""
    shown = tame.order({"kind": "late", "delay": "1ms", "count": 2}, {"kind": "stall", "after": "90s"})
    first = shown[0]["id"]
    assert shown == [
        {"id": first, "applied": 0, "kind": "late", "count": 2, "delay": "1ms"},
        {"id": first + 1, "applied": 0, "kind": "stall", "after": "90s"},
    ]
    tame.run(llm())
    assert tame.get("/_sim/faults").json()[0]["applied"] == 1
    tame.run(llm())
    assert [fault["kind"] for fault in tame.get("/_sim/faults").json()] == ["stall"]
    assert tame.call("DELETE", "/_sim/faults").json() == []


@pytest.mark.parametrize(
    ("body", "status", "part"),
    [
        (b"{", 400, "This is no JSON: "),
        (b"\xff", 400, "This is no JSON: "),
        (b"5", 422, "This is no fault: "),
        (b"{}", 422, "This is no fault: Object missing required field `kind`."),
        (b'{"kind": "quake"}', 422, "Invalid value 'quake'"),
        (b'{"kind": "close", "at": "noon"}', 422, "Invalid enum value 'noon' - at `$.at`"),
        (b'{"kind": "close", "where": "x"}', 422, "unknown field `where`"),
        (b'{"kind": "close", "share": 2}', 422, "`$.share`"),
        (b'{"kind": "stall", "for": "long"}', 422, "'long' is no duration"),
        (b'[{"kind": "close"}, {"kind": "exit", "code": 256}]', 422, "`$[1].code`"),
    ],
)
def test_bad_orders_are_refused_with_a_reason(tame: Simulator, body: bytes, status: int, part: str) -> None:
    """An order that is wrong puts nothing in force and says what is wrong."""
    reply = tame.call("POST", "/_sim/faults", body, JSON_TYPE)
    assert reply.status == status
    assert part in reply.body.decode()
    assert tame.get("/_sim/faults").json() == []


def test_flags_and_orders_are_the_same_faults() -> None:
    """--fault reads the same settings as the JSON."""
    assert [parse_fault("close:at=body,share=0.1,reset=true"), parse_fault("late"), parse_fault("panic:for=2s")] == [
        Close(at="body", share=0.1, reset=True),
        Late(),
        Panic(lasting="2s"),
    ]
    orders = b'[{"kind": "stall", "for": "2s"}, {"kind": "node_failure", "reason": "Rate limited: retry after 3s"}]'
    assert read_faults(orders) == [Stall(lasting="2s"), NodeFailure(reason="Rate limited: retry after 3s")]


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize(
    ("at", "status", "complete_head", "some_body"),
    [
        ("before", None, False, False),
        ("headers", None, False, False),
        ("after_headers", 200, True, False),
        ("body", 200, True, True),
    ],
)
def test_closed_connections(
    tame: Simulator, at: str, status: int | None, complete_head: bool, some_body: bool, reset: bool
) -> None:
    """The connection is closed before the head, inside it, after it or inside the body; the run was counted."""
    before = tame.metrics()["aether_executed_nodes_total"]
    tame.order({"kind": "close", "at": at, "count": 1, "reset": reset})
    with tame.connect() as connection:
        connection.sendall(raw_request(DAG))
        try:
            reply = read_all(connection)
        except ConnectionResetError:
            assert reset
            reply = None
    if not reset:
        assert reply is not None
        head, end, body = reply.partition(b"\r\n\r\n")
        assert (bool(end), bool(body), bool(head)) == (complete_head, some_body, at != "before")
    assert last(tame) == (status, f"closed_{at}", "close")
    assert tame.metrics()["aether_executed_nodes_total"] == before + 1


def test_a_reset_is_a_reset(tame: Simulator) -> None:
    """With reset the client sees the connection reset."""
    tame.order({"kind": "close", "reset": True, "count": 1})
    with tame.connect() as connection:
        connection.sendall(raw_request(DAG))
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_truncated_json(tame: Simulator) -> None:
    """Half of the body comes as a whole answer."""
    tame.order({"kind": "truncate", "count": 1})
    reply = tame.post("/execute", DAG)
    assert (reply.status, reply.headers["content-length"]) == (200, str(len(reply.body)))
    assert reply.body.startswith(b'{"execution_id":"')
    with pytest.raises(msgspec.DecodeError):
        reply.json()
    assert last(tame) == (200, "whole", "truncate")


@pytest.mark.parametrize(("kind", "body"), [("garbage", b"}{ \x00 not"), ("empty", b"")])
def test_no_json(tame: Simulator, kind: str, body: bytes) -> None:
    """A body that is no JSON, or none at all, comes as a whole answer."""
    tame.order({"kind": kind, "count": 1})
    reply = tame.post("/execute", DAG)
    assert (reply.status, reply.body[: max(8, len(body))]) == (200, body)
    assert last(tame) == (200, "whole", kind)


@pytest.mark.parametrize(
    ("form", "wrong"),
    [
        ("empty_object", lambda answer: answer == {}),
        ("null", lambda answer: answer is None),
        ("array", lambda answer: answer[0]["results"][0]["node_id"] == "a"),
        ("no_results", lambda answer: "results" not in answer and answer["errors"] == []),
        ("no_errors", lambda answer: "errors" not in answer and len(answer["results"]) == 1),
        ("results_object", lambda answer: answer["results"]["a"]["node_id"] == "a"),
        ("text_times", lambda answer: answer["results"][0]["execution_time_ms"] == "0"),
    ],
)
def test_answers_of_another_shape(tame: Simulator, form: str, wrong: Callable[..., Any]) -> None:
    """The answer is JSON, and not the contract's."""
    tame.order({"kind": "shape", "form": form, "count": 1})
    assert wrong(tame.post("/execute", DAG).json())
    assert last(tame) == (200, "whole", "shape")


@pytest.mark.parametrize("code", [500, 503, 429])
def test_error_statuses(tame: Simulator, code: int) -> None:
    """An error status comes with an HTML page, and the DAG does not run."""
    before = tame.metrics()
    tame.order({"kind": "status", "code": code, "count": 1})
    reply = tame.post("/execute", DAG)
    assert (reply.status, reply.headers["content-type"]) == (code, "text/html")
    assert reply.body.startswith(f"<html><head><title>{code} ".encode())
    assert tame.metrics() == before
    assert last(tame) == (code, "whole", "status")


def test_late_answers(tame: Simulator) -> None:
    """A late answer is held back after the run: the client waits, the server's total does not know."""
    tame.order({"kind": "late", "delay": "80ms", "count": 1})
    began = time.monotonic()
    tame.post("/execute", DAG)
    assert time.monotonic() - began >= 0.08
    (*_, row) = tame.record()
    assert row["end_ns"] - row["start_ns"] - row["total_ms"] * 1_000_000 >= 80_000_000


def test_slow_bytes(tame: Simulator) -> None:
    """The body comes in pieces, and is whole in the end."""
    tame.order({"kind": "slow", "chunk": 100, "every": "5ms", "count": 1})
    began = time.monotonic()
    reply = tame.post("/execute", DAG)
    assert reply.json()["errors"] == []
    assert time.monotonic() - began >= 0.005 * (len(reply.body) // 100)
    assert last(tame) == (200, "whole", "slow")


def test_a_client_that_goes_during_slow_bytes(tame: Simulator) -> None:
    """An answer whose client went away before its end is recorded so."""
    tame.order({"kind": "slow", "chunk": 1, "every": "10ms", "count": 1})
    with tame.connect() as connection:
        connection.sendall(raw_request(DAG))
        connection.recv(10)
    wait_for(lambda: tame.summary()["in_flight"] == 0)
    assert tame.record()[-1]["sent"] == "client_gone"


def test_node_failures(tame: Simulator) -> None:
    """A node fails with a provider's reason, as often as was ordered, and is no success anywhere."""
    before = tame.metrics()
    tame.order({"kind": "node_failure", "reason": "Timeout after 30s", "count": 1})
    answer = tame.run(llm("a", "node failures"), llm("b", "node failures"))
    assert answer["errors"] == ["Node a: Timeout after 30s"]
    assert [row["node_id"] for row in answer["results"]] == ["b"]
    after = tame.metrics()
    assert after["aether_errors_total"] - before["aether_errors_total"] == 1
    assert after["aether_execution_time_seconds_count"] - before["aether_execution_time_seconds_count"] == 1
    states = [(node["id"], node["state"]) for node in tame.record()[-1]["nodes"]]
    assert states == [("a", "failed"), ("b", "succeeded")]


def test_guard_refusals_on_order(tame: Simulator) -> None:
    """A harmless prompt is refused as if it held the phrase."""
    tame.order({"kind": "guard_refusal", "phrase": "act as if", "count": 1})
    assert tame.run(llm())["errors"] == ["Node a: Security violation: Detected blacklisted pattern: act as if"]
    assert tame.run(llm())["errors"] == []


def test_panics_on_order(tame: Simulator) -> None:
    """In parallel a panic is an error of the DAG; in sequence it takes the connection."""
    tame.order({"kind": "panic", "message": "boom", "count": 2})
    answer = tame.run(llm())
    assert answer["errors"] == ['Task execution panicked: task panicked with message "boom"']
    assert [node["state"] for node in tame.record()[-1]["nodes"]] == ["panicked"]
    with pytest.raises(CLOSED):
        tame.run(llm(), query="?sequential=true")
    assert last(tame) == (None, "panic", None)


def test_the_share_of_failures_is_seeded(simulate: Callable[..., Simulator]) -> None:
    """--fail-rate fails about that share of completions, the same ones for one seed and one order of requests."""

    def failed(seed: int) -> list[str]:
        simulator = simulate("--fail-rate", "0.3", "--seed", str(seed))
        retry = {"error_policy": "retry"}
        answer = simulator.run(*(llm(f"n{n}", f"{n}", execution_hints=retry) for n in range(1000)))
        found: list[str] = answer["errors"]
        return found

    first, again, other = failed(1), failed(1), failed(2)
    assert first == again != other
    assert 250 <= len(first) <= 350
    assert all(error.endswith(": API request failed: simulated failure") for error in first)


def test_faults_have_a_time(tame: Simulator) -> None:
    """A fault begins after `after` and is over after `for`."""
    tame.order({"kind": "status", "after": "90s"}, {"kind": "status", "for": "0s"})
    assert tame.post("/execute", DAG).status == 200
    tame.order({"kind": "status", "after": "50ms", "for": "60s"})
    wait_for(lambda: tame.post("/execute", DAG).status == 500)


def test_the_first_fault_that_is_drawn_strikes(tame: Simulator) -> None:
    """Of several faults one strikes an answer: the first in order of arrival."""
    tame.order({"kind": "status", "code": 503, "count": 1}, {"kind": "status", "code": 500, "count": 1})
    assert [tame.post("/execute", DAG).status for _ in range(3)] == [503, 500, 200]


def test_metrics_that_are_down_empty_garbage_or_closed(tame: Simulator) -> None:
    """Faults of /metrics strike it alone."""
    path = {"path": "/metrics", "count": 1}
    tame.order({"kind": "status", "code": 500, **path}, {"kind": "empty", **path}, {"kind": "garbage", **path})
    replies = [tame.get("/metrics") for _ in range(4)]
    assert [reply.status for reply in replies] == [500, 200, 200, 200]
    assert replies[1].body == b""
    assert b"aether_" not in replies[2].body
    assert b"aether_" in replies[3].body
    tame.order({"kind": "close", **path})
    with pytest.raises(CLOSED):
        tame.get("/metrics")
    tame.order({"kind": "late", "delay": "50ms", **path})
    began = time.monotonic()
    assert tame.get("/metrics").status == 200
    assert time.monotonic() - began >= 0.05
    assert tame.post("/execute", DAG).status == 200


def test_a_stall_holds_everything(tame: Simulator) -> None:
    """During a stall nothing is answered but the simulator's own pages; then everything is."""
    replies = []
    began = time.monotonic()
    tame.order({"kind": "stall", "for": "250ms"})
    calls = [lambda: tame.get("/health"), lambda: tame.get("/metrics"), lambda: tame.post("/execute", DAG)]
    threads = [
        threading.Thread(target=lambda call=call: replies.append((call().status, time.monotonic()))) for call in calls
    ]
    for thread in threads:
        thread.start()
    assert tame.get("/_sim/record").status == 200
    for thread in threads:
        thread.join()
    assert [status for status, _ in replies] == [200, 200, 200]
    assert min(ended for _, ended in replies) - began >= 0.25


def test_a_stall_stops_what_is_under_way(simulate: Callable[..., Simulator]) -> None:
    """A node that would have ended during the stall ends after it, and its time says so."""
    simulator = simulate(latency="constant:50ms")
    with simulator.connect() as connection:
        connection.sendall(raw_request(DAG, extra="connection: close\r\n"))
        wait_for(lambda: simulator.summary()["in_flight"] == 1)
        simulator.order({"kind": "stall", "for": "300ms"})
        body = read_all(connection).partition(b"\r\n\r\n")[2]
    (row,) = msgspec.json.decode(body)["results"]
    assert row["execution_time_ms"] >= 300


def test_a_stall_by_flag(simulate: Callable[..., Simulator]) -> None:
    """--stall FOR@AFTER stalls at a time after the start."""
    simulator = simulate("--stall", "2m@10ms")
    wait_for(lambda: simulator.get("/_sim/faults").json() == [])
    with simulator.connect() as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        assert select.select([connection], [], [], 0.05) == ([], [], [])
        simulator.call("DELETE", "/_sim/faults")
        assert read_all(connection).endswith(b"\r\n\r\nOK")


def test_clearing_ends_a_stall(tame: Simulator) -> None:
    """A stall ends when faults are cleared."""
    tame.order({"kind": "stall", "for": "2m"})
    with tame.connect() as connection:
        connection.sendall(raw_request(DAG, extra="connection: close\r\n"))
        tame.call("DELETE", "/_sim/faults")
        assert read_all(connection).startswith(b"HTTP/1.1 200 OK")


def test_a_restart(simulate: Callable[..., Simulator]) -> None:
    """A restart sets the counters to zero, empties the cache and closes every connection; the record stays."""
    simulator = simulate(latency="constant:100ms")
    simulator.run(llm())
    with simulator.connect() as idle, simulator.connect() as busy:
        busy.sendall(raw_request({"dag": {"nodes": [llm("a", "under way")]}}))
        wait_for(lambda: simulator.summary()["in_flight"] == 1)
        simulator.order({"kind": "restart"})
        assert (read_all(idle), read_all(busy)) == (b"", b"")
    assert simulator.metrics()["aether_executed_nodes_total"] == 0
    assert simulator.get("/cache/stats").json() == {"entries": 0, "hits": 0, "misses": 0, "hit_rate": 0.0}
    assert [row["sent"] for row in simulator.record()] == ["whole", "restart"]
    assert simulator.run(llm())["results"][0]["cache_hit"] is False
    assert simulator.metrics()["aether_executed_nodes_total"] == 1


def test_a_restart_with_a_gap(simulate: Callable[..., Simulator]) -> None:
    """With `down`, connections are refused for a while, and then served on the same port."""
    simulator = simulate()
    simulator.order({"kind": "restart", "down": "200ms"})
    wait_for(simulator.is_refused)
    wait_for(lambda: not simulator.is_refused())
    assert simulator.get("/health").status == 200


def test_an_exit(start_process: Callable[..., SimulatorProcess]) -> None:
    """An exit ends the process at once with the code that was ordered."""
    simulator = start_process()
    with simulator.connect() as idle:
        simulator.order({"kind": "exit", "code": 7})
        assert simulator.process.wait(timeout=10) == 7
        assert read_all(idle) == b""


def test_an_exit_by_flag(start_process: Callable[..., SimulatorProcess]) -> None:
    """The time of a process fault that a flag orders counts from the start."""
    simulator = start_process("--fault", "exit:code=3,after=20ms")
    assert simulator.process.wait(timeout=10) == 3


def test_faults_by_flag(simulate: Callable[..., Simulator]) -> None:
    """--fault may be given again and again."""
    simulator = simulate("--fault", "status:code=503,count=1", "--fault", "node_failure:count=1")
    assert simulator.post("/execute", DAG).status == 503
    assert simulator.run(llm())["errors"] == ["Node a: API request failed: simulated failure"]
    assert simulator.run(llm())["errors"] == []


def test_faults_strike_pipelined_requests_in_order(tame: Simulator) -> None:
    """A connection that a fault closes takes the requests behind it along, unanswered and unrecorded."""
    ended = tame.summary()["ended"]
    tame.order({"kind": "close", "at": "before", "count": 1})
    with socket.create_connection(("127.0.0.1", tame.port), timeout=20) as connection:
        connection.sendall(raw_request(DAG) * 3)
        with contextlib.suppress(ConnectionResetError):
            assert read_all(connection) == b""
    assert tame.summary()["ended"] == ended + 1
