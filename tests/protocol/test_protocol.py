import json

import msgspec
import pytest

from aether_load.protocol import NodeState, Outcome, classify, decode_execution, is_mock_output, state_of_missing

RESULT = {"node_id": "a", "output": "x", "execution_time_ms": 60, "token_cost": 7}


def execution(**fields):
    plain = {
        "execution_id": "e",
        "total_execution_time_ms": 61,
        "total_token_cost": 7,
        "results": [RESULT],
        "errors": [],
    }
    return decode_execution(json.dumps(plain | fields))


@pytest.mark.parametrize(
    ("fields", "outcome", "reason"),
    [
        ({}, Outcome.OK, None),
        ({"results": []}, Outcome.INVALID_RESPONSE, "0 results and no error for a DAG of 1 nodes"),
        ({"aborted": True}, Outcome.ABORTED, "aborted without an error"),
        (
            {"results": [], "aborted": True, "errors": ["Cycle detected in DAG involving node 'a'"]},
            Outcome.ABORTED,
            "Cycle detected in DAG involving node 'a'",
        ),
        (
            {"results": [], "aborted": True, "errors": ["Node a: Security violation: Detected blacklisted pattern: x"]},
            Outcome.REJECTED,
            "Node a: Security violation: Detected blacklisted pattern: x",
        ),
        (
            {"errors": ["Node b: Security violation: Detected profane content: x", "Node c: Timeout after 5s"]},
            Outcome.NODE_ERROR,
            "Node c: Timeout after 5s",
        ),
        (
            {"errors": ["Node a: Rate limited: retry after 3s"]},
            Outcome.NODE_ERROR,
            "Node a: Rate limited: retry after 3s",
        ),
    ],
)
def test_success_is_read_from_the_body(fields, outcome, reason):
    """No error, not aborted, a result for each node: nothing less is a success."""
    assert classify(execution(**fields), 1) == (outcome, reason)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b'{"execution_id": "e"}',
        b'{"execution_id": "e", "total_execution_time_ms": -1}',
        b'{"execution_id": "e", "total_execution_time_ms": "61"}',
        b'{"execution_id": "e", "total_execution_time_ms": 61, "results": [{"node_id": "a"}]}',
        b'{"execution_id": "e", "total_execution_time_ms": 61, "errors": "none"}',
        b'{"execution_id": "e", "total_execution_time_ms": 61',
    ],
)
def test_what_is_not_the_contract_is_not_decoded(body):
    """A body that lacks what every answer has, or has it in another type, is no answer."""
    with pytest.raises(msgspec.MsgspecError):
        decode_execution(body)


def test_a_v1_answer_has_no_cache_and_was_not_aborted():
    """What only a v2 runtime says is absent, not false."""
    told = execution()
    assert (told.aborted, told.results[0].cache_hit) == (False, None)


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({"node_status": {"b": {"state": "failed"}}}, NodeState.FAILED),
        ({"node_status": {"b": {"state": "skipped", "skip_reason": "x"}}}, NodeState.SKIPPED),
        ({"errors": ["Node b: API request failed"]}, NodeState.FAILED),
        ({}, NodeState.NOT_RUN),
    ],
)
def test_a_node_without_a_result_has_a_state(fields, state):
    """It is read from node_status, else from the errors."""
    assert state_of_missing(execution(**fields), "b") is state


@pytest.mark.parametrize(
    ("output", "mock"), [("[Mock Response] x", True), ("TODO", True), ("B", False), ("TODO: B", False), (None, False)]
)
def test_the_mock_is_known_by_its_text(output, mock):
    """The fixed texts of both generations, and nothing else."""
    assert is_mock_output(output) is mock
