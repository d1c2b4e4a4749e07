"""What becomes of a request, as a record."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aether_load.dag.sent_dag import WorkloadDag
from aether_load.dag.workload import Workload
from aether_load.datasets.prompt import Prompt
from aether_load.protocol import NodeShape, Outcome
from aether_load.response import LONGEST_MS, MOST_TOKENS
from aether_load.rundata.records.record_buffer import RecordBuffer
from aether_load.rundata.records.record_set import RecordPart
from aether_load.rundata.records.record_writer import RecordWriter
from aether_load.rundata.records.recorder import Recorder, RequestFailed
from aether_load.rundata.samples.samples_arrow import read_samples

WORK = (4, 0, None, 0)
RESULT = {"node_id": "answer", "output": "B", "execution_time_ms": 50, "token_cost": 7}
ANSWER = {
    "execution_id": "00112233-4455-6677-8899-aabbccddeeff",
    "results": [RESULT],
    "total_execution_time_ms": 51,
    "total_token_cost": 7,
    "errors": [],
    "level_execution_times_ms": [50],
}


@pytest.fixture
def recorded(tmp_path: Path) -> Callable[..., Any]:
    """Let a recorder do something, and return the one row of it."""

    def row(act: Callable[..., Any], **options: Any) -> dict[str, Any]:
        buffer = RecordBuffer(["piqa/0"], ["piqa"])
        buffer.phases.place("closed")
        prompt = Prompt("piqa/0", "piqa", "a question", ("one", "two"), 1)
        dag = WorkloadDag(nodes=(NodeShape("answer"),), answer_node="answer")
        workload = Workload(prompts=(prompt,), bodies=(), dags=(dag,), prompt_count=1)
        act(Recorder(buffer, workload, **options))
        writer = RecordWriter(buffer, tmp_path / "records.bin")
        writer.finish()
        writer.close()
        (found,) = read_samples([RecordPart(tmp_path / "records.bin")]).table.to_pylist()
        answer: dict[str, Any] = found
        return answer

    return row


def answered(body: bytes, status: int = 200) -> Callable[..., Any]:
    return lambda recorder: recorder.answered(WORK, 1000, 60_001_000, status, body)


def some(row: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)


def test_a_whole_answer_is_classified_timed_and_scored(recorded: Callable[..., Any]) -> None:
    row = recorded(answered(json.dumps(ANSWER).encode()))
    assert some(row, "outcome", "http_status", "error", "server_total_ms", "node_times_ms", "level_times_ms") == (
        "ok", 200, None, 51, [50], [50]
    )  # fmt: skip
    assert some(row, "request_index", "service_latency_us", "token_cost", "answer", "correct", "answer_state") == (
        4, 60_000, 7, "B", True, "answered"
    )  # fmt: skip
    assert row["execution_id"].hex() == "00112233445566778899aabbccddeeff"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("total_execution_time_ms", LONGEST_MS + 1),
        ("total_execution_time_ms", -1),
        ("total_execution_time_ms", 10**30),
        ("total_token_cost", MOST_TOKENS + 1),
        ("level_execution_times_ms", [2**31]),
        ("results", [RESULT | {"execution_time_ms": 2**31}]),
        ("results", [RESULT | {"token_cost": 10**25}]),
    ],
)
def test_a_number_that_no_record_holds_is_an_invalid_response(
    recorded: Callable[..., Any], key: str, value: Any
) -> None:
    """Its row is there, with the reason."""
    row = recorded(answered(json.dumps(ANSWER | {key: value}).encode()))
    assert some(row, "outcome", "http_status", "server_total_ms", "node_times_ms", "token_cost") == (
        "invalid_response", 200, None, None, None
    )  # fmt: skip
    assert row["error"].startswith(key)


@pytest.mark.parametrize(
    ("key", "value", "column", "recorded_as"),
    [
        ("total_execution_time_ms", LONGEST_MS, "server_total_ms", LONGEST_MS),
        ("total_token_cost", MOST_TOKENS, "token_cost", MOST_TOKENS),
        ("level_execution_times_ms", [LONGEST_MS], "level_times_ms", [LONGEST_MS]),
        ("results", [RESULT | {"execution_time_ms": LONGEST_MS}], "node_times_ms", [LONGEST_MS]),
        ("execution_id", "no UUID at all", "execution_id", None),
        ("execution_id", "", "execution_id", None),
    ],
)
def test_the_largest_number_that_fits_is_recorded(
    recorded: Callable[..., Any], key: str, value: Any, column: str, recorded_as: Any
) -> None:
    """And an id that is no UUID is none."""
    row = recorded(answered(json.dumps(ANSWER | {key: value}).encode()))
    assert some(row, "outcome", column) == ("ok", recorded_as)


def test_a_request_without_an_answer_has_its_reason(recorded: Callable[..., Any]) -> None:
    """And whoever listens hears of it, with what Locust shows."""
    heard = []
    row = recorded(
        lambda recorder: recorder.unanswered(WORK, 1000, 60_001_000, Outcome.TIMEOUT, "no answer within 30 s"),
        listener=lambda *request: heard.append(request),
    )
    assert some(row, "outcome", "http_status", "error") == ("timeout", None, "no answer within 30 s")
    ((name, sent, ended, length, failure),) = heard
    assert (name, sent, ended, length) == ("piqa", 1000, 60_001_000, 0)
    assert isinstance(failure, RequestFailed)
    assert str(failure) == "timeout: no answer within 30 s"


def test_a_request_that_was_never_sent_has_no_instants_but_its_own(recorded: Callable[..., Any]) -> None:
    row = recorded(lambda recorder: recorder.dropped((4, 0, 777, 0)))
    assert some(row, "outcome", "intended_start_ns", "sent_ns", "ended_ns", "response_latency_us") == (
        "dropped", 777, None, None, None
    )  # fmt: skip


def test_only_failures_are_told_unless_all_are_wanted(recorded: Callable[..., Any]) -> None:
    body = msgspec.json.encode(ANSWER)
    some_heard, all_heard = [], []
    recorded(answered(body), listener=lambda *request: some_heard.append(request))
    recorded(answered(body), listener=lambda *request: all_heard.append(request), every=True)
    assert (len(some_heard), len(all_heard)) == (0, 1)
