from __future__ import annotations

import http.client
import time
from collections.abc import Callable

import pytest

from simulator.simulated import JSON_TYPE, Simulator, llm, raw_request, read_all, wait_for

DAG = {"dag": {"nodes": [llm()]}}


def test_an_entry(simulate: Callable[..., Simulator]) -> None:
    """An entry says what was run, when by the machine's monotonic clock, and how it was answered."""
    simulator = simulate()
    began = time.monotonic_ns(), time.time_ns()
    answer = simulator.run(llm("a", "x" * 16), llm("b", "jailbreak"), llm("c", "y", dependencies=["b"]))
    ended = time.monotonic_ns(), time.time_ns()
    (row,) = simulator.record()
    assert began[0] <= row["arrival_ns"] <= row["start_ns"] <= row["end_ns"] <= ended[0]
    assert began[1] <= row["start_utc_ns"] <= ended[1]
    times = {name: row.pop(name) for name in ("arrival_ns", "start_ns", "start_utc_ns", "end_ns")}
    assert all(type(value) is int for value in times.values())
    assert row == {
        "sequence": 1,
        "execution_id": answer["execution_id"],
        "nodes": [
            {
                "id": "a",
                "state": "succeeded",
                "ms": answer["node_execution_times_ms"]["a"],
                "cached": False,
                "tokens": 55,
            },
            {"id": "b", "state": "failed", "ms": 0, "cached": False, "tokens": 0},
            {"id": "c", "state": "skipped", "ms": 0, "cached": False, "tokens": 0},
        ],
        "total_ms": answer["total_execution_time_ms"],
        "status": 200,
        "sent": "whole",
        "fault": None,
    }


def test_refused_bodies_are_recorded_too(simulate: Callable[..., Simulator]) -> None:
    """A refusal is an entry without a run; other paths are none."""
    simulator = simulate()
    simulator.get("/health")
    simulator.get("/execute")
    simulator.call("POST", "/execute", b"{", JSON_TYPE)
    simulator.call("POST", "/execute", b"{}", {})
    rows = [(row["status"], row["sent"], row["execution_id"], row["nodes"]) for row in simulator.record()]
    assert rows == [(400, "whole", None, []), (415, "whole", None, [])]


def test_broken_off_runs_are_recorded(simulate: Callable[..., Simulator]) -> None:
    """Two nodes of one id, and a client that goes, are entries without a status."""
    simulator = simulate(latency="constant:10s")
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        simulator.run({"id": "a", "node_type": "compute"}, {"id": "a", "node_type": "compute"})
    with simulator.connect() as connection:
        connection.sendall(raw_request(DAG))
        wait_for(lambda: simulator.summary()["in_flight"] == 1)
    wait_for(lambda: simulator.summary()["in_flight"] == 0)
    assert [(row["status"], row["sent"]) for row in simulator.record()] == [(None, "panic"), (None, "client_gone")]


def test_the_summary(simulate: Callable[..., Simulator]) -> None:
    """The totals hold every request that ended, also those whose entries were dropped."""
    simulator = simulate("--record-limit", "1", "--fault", "truncate:count=1")
    for prompt in ("one", "one", "jailbreak"):
        simulator.post("/execute", {"dag": {"nodes": [llm("a", prompt), {"id": "f", "node_type": "compute"}]}})
    simulator.call("POST", "/execute", b"", JSON_TYPE)
    assert simulator.summary() == {
        "requests": 4,
        "ended": 4,
        "in_flight": 0,
        "dropped": 3,
        "status": {"200": 3, "400": 1},
        "sent": {"whole": 4},
        "faults": {"truncate": 1},
        "nodes": {"succeeded": 5, "failed": 1},
        "cached_nodes": 1,
        "tokens": 50,
    }


@pytest.mark.parametrize("generation", ["v1", "v2"])
def test_record_metrics_and_answers_agree(simulate: Callable[..., Simulator], generation: str) -> None:
    """Nodes, times and tokens are the same in the answers, in the record and in the metrics."""
    simulator = simulate("--generation", generation, "--fail-rate", "0.2", latency="uniform:0,8ms")
    hints = {"error_policy": "retry"}
    nodes = [
        {"id": f"n{n}", "node_type": "llm_fn", "prompt": f"{n % 7}", "dependencies": [], "execution_hints": hints}
        for n in range(20)
    ]
    results = []
    for _ in range(10):
        value = {"nodes": nodes} if generation == "v1" else {"dag": {"nodes": nodes}}
        results += simulator.post("/execute", value).json()["results"]
    recorded = [node for row in simulator.record() for node in row["nodes"]]
    succeeded = [node for node in recorded if node["state"] == "succeeded"]
    metrics = simulator.metrics()
    assert len(recorded) == 200
    assert [(node["id"], node["ms"], node["tokens"]) for node in succeeded] == [
        (row["node_id"], row["execution_time_ms"], row["token_cost"]) for row in results
    ]
    assert metrics["aether_executed_nodes_total"] == metrics["aether_execution_time_seconds_count"] == len(succeeded)
    assert metrics["aether_errors_total"] == 200 - len(succeeded) > 0
    assert metrics["aether_token_cost_total"] == sum(node["tokens"] for node in succeeded)
    assert round(metrics["aether_execution_time_seconds_sum"] * 1000, 6) == sum(node["ms"] for node in succeeded)
    assert simulator.summary()["nodes"] == {"succeeded": len(succeeded), "failed": 200 - len(succeeded)}


def test_the_metrics_know_before_the_client_does(simulate: Callable[..., Simulator]) -> None:
    """A node is counted before its answer is written."""
    simulator = simulate()
    for number in range(1, 21):
        simulator.run(llm("a", f"{number}"))
        assert simulator.metrics()["aether_executed_nodes_total"] == number


def test_an_answer_that_the_client_does_not_read(simulate: Callable[..., Simulator]) -> None:
    """An answer counts as sent when the kernel has all of it; a client that goes before that broke it off."""
    simulator = simulate()
    large = {"dag": {"nodes": [{"id": f"n{n}" * 150, "node_type": "compute"} for n in range(2000)]}}
    with simulator.connect() as connection:
        connection.sendall(raw_request(large))
        wait_for(lambda: simulator.summary()["requests"] == 1)
        assert connection.recv(16).startswith(b"HTTP/1.1 200 OK")
        assert simulator.summary()["in_flight"] == 1
    wait_for(lambda: simulator.summary()["in_flight"] == 0)
    assert simulator.record()[0]["sent"] == "client_gone"
    with simulator.connect() as connection:
        connection.sendall(raw_request(large, extra="connection: close\r\n"))
        assert len(read_all(connection)) > 5_000_000
    wait_for(lambda: simulator.summary()["in_flight"] == 0)
    assert simulator.record()[1]["sent"] == "whole"
