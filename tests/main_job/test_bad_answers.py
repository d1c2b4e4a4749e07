"""Answers that are wrong in every way: each is counted for what it is, and none of them touches the others."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from misbehaving_runtime import NODE_MS, misbehaving_runtime, on_the_wire
from recorded import samples_of

if TYPE_CHECKING:
    from processes import Finished

ENDLESS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + (b"3e8\r\n" + b" " * 1000 + b"\r\n") * 40
DEEP = b'{"execution_id":"x","total_execution_time_ms":1,"z":' + b"[" * 9000 + b"]" * 9000 + b"}"
HIGH = "it must be a whole number of ms from 0 to 86400000 (24 h)"


def results(answer: dict[str, Any], change: Callable[..., Any]) -> dict[str, Any]:
    return answer | {"results": change(answer["results"])}


def of_last(answer: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    *others, last = answer["results"]
    return answer | {"results": [*others, last | change]}


BAD = [
    (lambda answer, _: answer | {"total_execution_time_ms": 2**63}, f"total_execution_time_ms is {2**63}; {HIGH}"),
    (lambda answer, _: answer | {"total_execution_time_ms": 2**62}, f"total_execution_time_ms is {2**62}; {HIGH}"),
    (lambda answer, _: of_last(answer, {"execution_time_ms": -1}), f"results[2].execution_time_ms is -1; {HIGH}"),
    (lambda answer, _: of_last(answer, {"node_id": "\x1b[2J"}), "results has node '\ufffd[2J', which was not sent"),
    (
        lambda answer, _: results(answer, lambda nodes: nodes[:-1]),
        "results has no node 'step_1', and errors does not say why",
    ),
    (lambda answer, _: results(answer, lambda nodes: [*nodes, nodes[0]]), "results has node 'answer' twice"),
    (
        lambda answer, _: answer | {"errors": ["Node answer: x"], "node_status": {"answer": {"state": "failed"}}},
        "results has node 'answer', whose node_status is failed",
    ),
    (
        lambda answer, _: answer | {"level_execution_times_ms": [1] * 4},
        "level_execution_times_ms has 4 levels, the DAG sent 3",
    ),
    (lambda _answer, _: on_the_wire(DEEP), "the answer is nested too deep"),
    (
        lambda answer, _: on_the_wire(gzip.compress(json.dumps(answer).encode())),
        "the answer is gzip-encoded, which was not asked for",
    ),
    (lambda _answer, _: on_the_wire(b""), "the answer is empty"),
    (lambda _answer, _: on_the_wire(b" " * 30_001), "the answer has 30001 bytes, and the limit is 30000"),
    (lambda _answer, _: ENDLESS, "the answer goes on beyond the limit of 30000 bytes"),
    (lambda _answer, last: last, "answer of another request: node 'step_1' repeats a prompt that was not sent: "),
    (
        lambda answer, _: on_the_wire(json.dumps(answer).encode()) * 2,
        "more bytes came than the answer's Content-Length",
    ),
]  # fmt: skip


def test_every_bad_answer_is_an_invalid_response_and_touches_no_other(fork_locust: Callable[..., Finished]) -> None:
    """Each is followed by a good one, whose nodes, levels and tokens are its own; the run fails by the counts alone."""
    spoilt = {2 * place: spoil for place, (spoil, _) in enumerate(BAD, 1)}
    with misbehaving_runtime(spoilt) as url:
        finished = fork_locust(
            "--host", url, "-u", "1", "--dag", "chain", "--dag-nodes", "3",
            "--set", f"phases.0.requests={2 * len(BAD) + 1}", "--set", "target.server_metrics=false",
            "--set", "target.max_response_bytes=30000",
        )  # fmt: skip
    rows = samples_of(finished)
    assert (finished.code, len(rows)) == (1, 2 * len(BAD) + 1), finished.err
    for row, (_, reason) in zip(rows[1::2], BAD, strict=True):
        assert row["outcome"] == "invalid_response"
        assert row["error"] == reason or (reason.endswith(": ") and row["error"].startswith(reason))
        assert {row[name] for name in ("server_total_ms", "token_cost", "node_times_ms", "execution_id")} == {None}
    for row in rows[::2]:
        told = (row["outcome"], row["node_times_ms"], row["level_times_ms"], row["server_total_ms"], row["token_cost"])
        assert told == ("ok", list(NODE_MS), list(NODE_MS), sum(NODE_MS), 21)
    (phase,) = json.loads(finished.nightly.read_bytes())["phases"]
    assert (phase["all"]["ok_total"], phase["all"]["outcomes"]["invalid_response"]) == (len(BAD) + 1, len(BAD))
    assert phase["decomposition"]["divided_requests_total"] == len(BAD) + 1
