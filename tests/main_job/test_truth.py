"""Our samples held against the simulator's own record of what it did, request by request.

Both sides read CLOCK_MONOTONIC of one machine, so that instants of the two processes stand on one line.
"""

from __future__ import annotations

import json
import operator
import signal
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

import pytest
import urllib3

from processes import UNSEEN, Finished, Simulator, wait_for
from recorded import samples_of

if TYPE_CHECKING:
    from locust_forks import LocustFork

USERS = 8
# The run asks once, with an empty body, which generation it has before it; that is a refusal in the record.
PROBE = ("whole", 422, None)


def record_of(path: Path) -> list[dict[str, Any]]:
    """Every entry but the probe's, in order of beginning."""
    probe, *entries = sorted(map(json.loads, path.open()), key=operator.itemgetter("sequence"))
    assert (probe["sent"], probe["status"], probe["execution_id"]) == PROBE
    return entries


def id_of(sample: dict[str, Any]) -> Any:
    return str(uuid.UUID(bytes=sample["execution_id"])) if sample["execution_id"] is not None else None


def joined(samples: list[dict[str, Any]], entries: list[dict[str, Any]]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Pairs by execution id, once it is sure that both sides have the same ids and none of them twice."""
    by_id = {entry["execution_id"]: entry for entry in entries}
    assert len(by_id) == len(entries)
    assert sorted(map(id_of, samples)) == sorted(by_id)
    return [(sample, by_id[id_of(sample)]) for sample in samples]


def told(sample: dict[str, Any]) -> dict[str, Any]:
    """What the sample says of an answer that was read."""
    return {
        "status": sample["http_status"],
        "total_ms": sample["server_total_ms"],
        "tokens": sample["token_cost"],
        "states": sample["node_states"],
        "times_ms": sample["node_times_ms"],
        "cached": sample["node_cached"],
    }


def done(entry: dict[str, Any], *, generation: str = "v2") -> dict[str, Any]:
    """What the record says in the same words: a failed node has no time, and v1 answers do not tell of a cache."""
    nodes = entry["nodes"]
    ended = [node["state"] == "succeeded" for node in nodes]
    return {
        "status": entry["status"],
        "total_ms": entry["total_ms"],
        "tokens": sum(node["tokens"] for node in nodes),
        "states": [node["state"] for node in nodes],
        "times_ms": [node["ms"] if well else None for node, well in zip(nodes, ended, strict=True)],
        "cached": [
            node["cached"] if well and generation == "v2" else None for node, well in zip(nodes, ended, strict=True)
        ],
    }


def out_of_order(pairs: list[tuple[dict[str, Any], dict[str, Any]]]) -> list[Any]:
    """The pairs whose instants contradict each other: sent, arrived, begun, ended there, ended here."""
    return [
        (sample, entry)
        for sample, entry in pairs
        if not sample["sent_ns"] <= entry["arrival_ns"] <= entry["start_ns"] <= entry["end_ns"] <= sample["ended_ns"]
    ]


def added_ns(sample: dict[str, Any], entry: dict[str, Any]) -> int:
    """What client and wire add to the server's own time, from the first byte that it read to the last it wrote."""
    answer: int = sample["ended_ns"] - sample["sent_ns"] - (entry["end_ns"] - entry["arrival_ns"])
    return answer


@pytest.mark.parametrize("generation", [pytest.param("v1", marks=pytest.mark.slow), "v2"])
def test_every_request_is_a_sample_and_every_sample_a_request(
    fork_locust: Callable[..., Finished], simulator: Callable[..., Simulator], tmp_path: Path, generation: str
) -> None:
    """Of concurrent users nothing is lost, doubled or mixed up: ids, times, tokens, states and instants agree."""
    record = tmp_path / "record.jsonl"
    runtime = simulator("--generation", generation, "--record", str(record), "--latency", "uniform:1ms,60ms")
    finished = fork_locust("--host", runtime.url, "-u", str(USERS))
    samples, entries = samples_of(finished), record_of(record)
    pairs = joined(samples, entries)
    assert finished.code == 0, finished.err
    assert [sample["request_index"] for sample in samples] == list(range(400))
    assert [told(sample) for sample, _ in pairs] == [done(entry, generation=generation) for _, entry in pairs]
    assert {sample["outcome"] for sample in samples} == {"ok"}
    assert out_of_order(pairs) == []


def test_our_latency_holds_the_servers_time_and_more(
    fork_locust: Callable[..., Finished], simulator: Callable[..., Simulator], tmp_path: Path
) -> None:
    """Each request takes longer here than there, by either of the server's clocks; the columns are the instants'."""
    record = tmp_path / "record.jsonl"
    runtime = simulator("--record", str(record))
    finished = fork_locust("--host", runtime.url, "--limit", "20", "-u", "16")
    pairs = joined(samples_of(finished), record_of(record))
    assert len(pairs) == 100, finished.err
    assert [pair for pair in pairs if added_ns(*pair) <= 0] == []
    for sample, entry in pairs:
        took_ns = sample["ended_ns"] - sample["sent_ns"]
        assert sample["service_latency_us"] == sample["response_latency_us"] == took_ns // 1000
        assert sum(sample["node_times_ms"]) <= sample["server_total_ms"]
        assert sample["server_total_ms"] * 1_000_000 <= entry["end_ns"] - entry["arrival_ns"] < took_ns


# What is ordered, how the record says that it went out, and what a sample must say. A lost connection stands
# between two answers, so that the user's pause after losses stays short.
ANSWER_FAULTS = [
    ("status:code=500", "whole", "http_error", 500),
    ("close:at=before", "closed_before", "connection_error", None),
    ("truncate", "whole", "invalid_response", 200),
    ("close:at=headers", "closed_headers", "connection_error", None),
    ("garbage", "whole", "invalid_response", 200),
    ("close:at=after_headers", "closed_after_headers", "connection_error", None),
    ("empty", "whole", "invalid_response", 200),
    ("close:at=body", "closed_body", "connection_error", None),
    ("shape:form=empty_object", "whole", "invalid_response", 200),
    ("close:at=body,reset=true", "closed_body", "connection_error", None),
    ("shape:form=array", "whole", "invalid_response", 200),
    ("late:delay=60s", "client_gone", "timeout", None),
    ("shape:form=null", "whole", "invalid_response", 200),
    ("close:at=before,reset=true", "closed_before", "connection_error", None),
    ("shape:form=no_results", "whole", "invalid_response", 200),
    ("shape:form=results_object", "whole", "invalid_response", 200),
    ("shape:form=text_times", "whole", "invalid_response", 200),
    ("status:code=503", "whole", "http_error", 503),
    ("slow:chunk=500,every=1ms", "whole", "ok", 200),
    ("late:delay=20ms", "whole", "ok", 200),
]


def test_each_fault_of_an_answer_is_the_outcome_that_it_is(
    fork_locust: Callable[..., Finished], simulator: Callable[..., Simulator], tmp_path: Path
) -> None:
    """One user meets each fault once and then none: the record's n-th request is the n-th sample, rightly named.

    None is sent again behind the user's back, whatever became of its connection; what could be read keeps its id,
    what could not has none.
    """
    record = tmp_path / "record.jsonl"
    # The probe meets the first fault, which does nothing.
    faults = ["late:delay=0s", *(fault for fault, *_ in ANSWER_FAULTS)]
    options = [word for fault in faults for word in ("--fault", f"{fault}{',' if ':' in fault else ':'}count=1")]
    runtime = simulator("--record", str(record), "--latency", "constant:5ms", *options)
    count = len(ANSWER_FAULTS) + 4
    finished = fork_locust(
        "--host", runtime.url, "-u", "1",
        "--set", f"phases.0.requests={count}", "--set", "target.request_timeout='2s'",
    )  # fmt: skip
    samples, entries = samples_of(finished), record_of(record)
    expected = [*ANSWER_FAULTS, *[(None, "whole", "ok", 200)] * 4]
    assert [(entry["fault"], entry["sent"]) for entry in entries] == [
        (fault and fault.split(":")[0], sent) for fault, sent, *_ in expected
    ], finished.err
    assert [(sample["outcome"], sample["http_status"]) for sample in samples] == [
        (outcome, status) for *_, outcome, status in expected
    ]
    pairs = list(zip(samples, entries, strict=True))
    assert [id_of(sample) for sample in samples] == [
        entry["execution_id"] if sample["outcome"] == "ok" else None for sample, entry in pairs
    ]
    assert [sample["error"] is None for sample in samples] == [sample["outcome"] == "ok" for sample in samples]
    assert [told(sample) for sample in samples if sample["outcome"] == "ok"] == [
        done(entry) for sample, entry in pairs if sample["outcome"] == "ok"
    ]
    # One that the client gave up ends there only when the server notices.
    assert out_of_order([pair for pair in pairs if pair[1]["sent"] == "whole"]) == []
    assert [pair for pair in pairs if not pair[0]["sent_ns"] <= pair[1]["arrival_ns"] <= pair[0]["ended_ns"]] == []


NODE_FAULTS = ("panic:count=3", "guard_refusal:count=3", "node_failure:count=3")
NODE_OUTCOMES = {
    "v1": [("panic", None, "connection_error")] * 3
    + [("whole", ["failed"], "rejected")] * 3
    + [("whole", ["failed"], "node_error")] * 3
    + [("whole", ["succeeded"], "ok")] * 3,
    "v2": [("whole", ["panicked"], "node_error")] * 3
    + [("whole", ["failed"], "rejected")] * 3
    + [("whole", ["failed"], "node_error")] * 3
    + [("whole", ["succeeded"], "ok")] * 3,
}


@pytest.mark.parametrize("generation", [pytest.param("v1", marks=pytest.mark.slow), "v2"])
def test_each_fault_of_a_node_is_the_outcome_that_it_is(
    fork_locust: Callable[..., Finished], simulator: Callable[..., Simulator], tmp_path: Path, generation: str
) -> None:
    """Panics, refusals of the guard and failures of the provider are told apart behind their common status of 200.

    A v1 runtime drops the connection at a panic; there is no answer then to have an id.
    """
    record = tmp_path / "record.jsonl"
    options = [word for fault in NODE_FAULTS for word in ("--fault", fault)]
    runtime = simulator("--generation", generation, "--record", str(record), "--latency", "constant:5ms", *options)
    finished = fork_locust("--host", runtime.url, "-u", "1", "--set", "phases.0.requests=12")
    samples, entries = samples_of(finished), record_of(record)
    assert [
        (entry["sent"], sample["node_states"], sample["outcome"])
        for sample, entry in zip(samples, entries, strict=True)
    ] == NODE_OUTCOMES[generation], finished.err
    answered = [pair for pair in zip(samples, entries, strict=True) if pair[1]["sent"] == "whole"]
    assert [id_of(sample) for sample, _ in answered] == [entry["execution_id"] for _, entry in answered]
    assert [told(sample) for sample, _ in answered] == [done(entry, generation=generation) for _, entry in answered]
    assert out_of_order(answered) == []
    assert {
        word: sum(word in (sample["error"] or "") for sample in samples)
        for word in ("panicked", "Security violation", "simulated failure")
    } == {"panicked": 3 if generation == "v2" else 0, "Security violation": 3, "simulated failure": 3}


# The kind of an answer's fault in the record, and the outcome that it must have.
DRAWN = {
    None: "ok",
    "close": "connection_error",
    "truncate": "invalid_response",
    "garbage": "invalid_response",
    "status": "http_error",
    "late": "ok",
}


@pytest.mark.slow
def test_outcomes_agree_where_faults_strike_many_users_at_random(
    fork_locust: Callable[..., Finished], simulator: Callable[..., Simulator], tmp_path: Path
) -> None:
    """With faults drawn among concurrent users each kind has as many samples as the record has strikes of it."""
    record = tmp_path / "record.jsonl"
    faults = ["late:delay=0s,count=1", *(f"{kind}:share=0.06" for kind in DRAWN if kind not in {None, "late"})]
    options = [word for fault in faults for word in ("--fault", fault)]
    runtime = simulator("--record", str(record), "--latency", "uniform:1ms,20ms", *options)
    finished = fork_locust("--host", runtime.url, "-u", str(USERS))
    samples, entries = samples_of(finished), record_of(record)
    assert len(samples) == len(entries) == 400, finished.err
    struck = Counter(DRAWN[entry["fault"]] for entry in entries)
    assert Counter(sample["outcome"] for sample in samples) == struck
    assert all(struck[outcome] for outcome in DRAWN.values()), struck
    read = [sample for sample in samples if sample["outcome"] == "ok"]
    pairs = joined(read, [entry for entry in entries if DRAWN[entry["fault"]] == "ok"])
    assert [told(sample) for sample, _ in pairs] == [done(entry) for _, entry in pairs]
    assert out_of_order(pairs) == []


@pytest.mark.slow
def test_a_stall_is_in_the_latency_of_one_request_of_each_closed_user(
    start_fork: Callable[..., LocustFork], simulator: Callable[..., Simulator], tmp_path: Path
) -> None:
    """A runtime that stands still for a second costs each closed user that second once, and no sample hides it.

    Exactly the requests in flight span the stall, one a user; none is sent into it and none ends in it, because
    a closed user waits for its answer. This is what closed load cannot show of those who would have come meanwhile.
    """
    record = tmp_path / "record.jsonl"
    runtime = simulator("--record", str(record))
    process = start_fork("--headless", "--host", runtime.url, "--limit", "20", "-u", str(USERS), "-t", "600s", *UNSEEN)
    process.wait_for_samples()
    faults = f"{runtime.url}/_sim/faults"

    def all_users_are_caught() -> bool:
        """Stall the runtime; let it go again when a user was just between two requests."""
        runtime.order({"kind": "stall", "for": "600s"})
        wait_for(lambda: urllib3.request("GET", faults).json() == [], "the ordered stall to begin")
        if runtime.record()["in_flight"] == USERS:
            return True
        urllib3.request("DELETE", faults)
        return False

    wait_for(all_users_are_caught, "a stall with every user's request in flight")
    before = runtime.record()
    held_ns = monotonic_ns()
    with pytest.raises(urllib3.exceptions.ReadTimeoutError):
        urllib3.request("GET", f"{runtime.url}/health", timeout=urllib3.Timeout(read=1.0), retries=False)
    lifted_ns = monotonic_ns()
    assert runtime.record() == before
    urllib3.request("DELETE", faults)
    wait_for(lambda: runtime.record()["ended"] > before["ended"] + 5 * USERS, "answers after the stall")
    process.send(signal.SIGINT)
    finished = process.finish()
    pairs = joined(samples_of(finished), record_of(record))
    caught = [pair for pair in pairs if pair[0]["sent_ns"] < held_ns and pair[0]["ended_ns"] > lifted_ns]
    outside = [pair for pair in pairs if pair[0]["ended_ns"] <= held_ns or pair[0]["sent_ns"] >= lifted_ns]
    assert finished.code == 130, finished.err
    assert (len(caught), len(outside)) == (USERS, len(pairs) - USERS)
    assert {sample["outcome"] for sample, _ in pairs} == {"ok"}
    assert [told(sample) for sample, _ in pairs] == [done(entry) for _, entry in pairs]
    assert out_of_order(pairs) == []
    assert [pair for pair in pairs if added_ns(*pair) <= 0] == []
    assert min(sample["service_latency_us"] for sample, _ in caught) >= (lifted_ns - held_ns) // 1000 >= 1_000_000
    # The server says the same of itself: the stall is in its own total, not in the client's part.
    assert min(sample["server_total_ms"] for sample, _ in caught) >= (lifted_ns - held_ns) // 1_000_000
