"""Reading an answer of `/execute`: what is an outcome of the DAG, and what breaks the contract."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aether_load.protocol import NodeShape, NodeState, Outcome
from aether_load.redaction import foreign_text
from aether_load.response import LONGEST_MS, MOST_TOKENS, Execution, SentDag, is_mock_output, read_answer, sent_prompt
from aether_load.response import state_of_missing as state_of
from property_tests import examples

PROMPT = 'Wie heißt "das"?\n\tA. \x01\x7f ☃'
ONE = SentDag.of([NodeShape("a")])
ASKED = SentDag.of([NodeShape("a")], "a")
CHAIN = SentDag.of([NodeShape("a"), NodeShape("b", ("a",)), NodeShape("c", ("a", "gone"))])


def result(node_id: str = "a", **fields: int) -> dict[str, Any]:
    return {"node_id": node_id, "output": "x", "execution_time_ms": 60, "token_cost": 7} | fields


def answer(**fields: Any) -> bytes:
    plain = {
        "execution_id": "e",
        "total_execution_time_ms": 61,
        "total_token_cost": 7,
        "results": [result()],
        "errors": [],
    }
    return json.dumps({key: value for key, value in (plain | fields).items() if value is not ...}).encode()


def read(dag: Any = ONE, **fields: Any) -> tuple[Outcome, str | None, Execution | None]:
    return read_answer(200, answer(**fields), dag)


def request(**fields: Any) -> bytes:
    node = {"id": "a", "node_type": "llm_fn", "prompt_template": PROMPT} | fields
    return b"POST /execute HTTP/1.1\r\nX: {\r\n\r\n" + msgspec.json.encode({"dag": {"nodes": [node]}, "context": {}})


REJECTED = "Node a: Security violation: Detected blacklisted pattern: x"


@pytest.mark.parametrize(
    ("fields", "outcome", "reason"),
    [
        ({}, Outcome.OK, None),
        ({"aborted": True}, Outcome.ABORTED, "aborted without an error"),
        (
            {"results": [], "aborted": True, "errors": ["Cycle detected in DAG involving node 'a'"]},
            Outcome.ABORTED,
            "Cycle detected in DAG involving node 'a'",
        ),
        ({"results": [], "aborted": True, "errors": [REJECTED]}, Outcome.REJECTED, REJECTED),
        (
            {"errors": ["Node b: Security violation: Detected profane content: x", "Node c: Timeout after 5s"]},
            Outcome.NODE_ERROR,
            "Node c: Timeout after 5s",
        ),
        ({"errors": ["a\x1b[31m\nb" + "c" * 300]}, Outcome.NODE_ERROR, "a\ufffd[31m b" + "c" * 291 + "…"),
    ],
)
def test_success_is_read_from_the_body(fields: dict[str, Any], outcome: Outcome, reason: str | None) -> None:
    """No error and not aborted is a success, nothing less; a reason is on one line, printable and short."""
    found = read(**fields)
    assert found[:2] == (outcome, reason)
    assert found[2] is not None
    assert found[2].execution_id == "e"


def test_a_v1_answer_has_no_cache_and_was_not_aborted() -> None:
    """What only a v2 runtime states is absent, and so are tokens that an answer does not state."""
    _, _, told = read(total_token_cost=...)
    assert told is not None
    assert (told.aborted, told.results[0].cache_hit, told.total_token_cost) == (False, None, None)


# --- numbers and types

DEEP = b'{"execution_id":"x","total_execution_time_ms":1,"z":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
TIME = f"a whole number of ms from 0 to {LONGEST_MS} (24 h)"
TOKENS = f"a whole number of tokens from 0 to {MOST_TOKENS}"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "the answer is empty"),
        (b"{}", "the answer has no execution_id"),
        (b"[]", "the answer is []; it must be an object"),
        (answer(total_execution_time_ms=...), "the answer has no total_execution_time_ms"),
        (answer(total_execution_time_ms=-1), f"total_execution_time_ms is -1; it must be {TIME}"),
        (answer(total_execution_time_ms=2**63), f"total_execution_time_ms is 9223372036854775808; it must be {TIME}"),
        (answer(total_execution_time_ms=61.0), f"total_execution_time_ms is 61.0; it must be {TIME}"),
        (answer(total_execution_time_ms="61"), f'total_execution_time_ms is "61"; it must be {TIME}'),
        (answer(total_execution_time_ms=None), f"total_execution_time_ms is null; it must be {TIME}"),
        (answer(total_execution_time_ms=float("nan")), "the answer is not JSON (invalid character (byte 49)): "),
        (answer(total_token_cost=2**31 + 1), f"total_token_cost is 2147483649; it must be {TOKENS}"),
        (answer(results=[result(token_cost=-1)]), f"results[0].token_cost is -1; it must be {TOKENS}"),
        (
            answer(results=[result("b"), result(execution_time_ms=LONGEST_MS + 1)]),
            f"results[1].execution_time_ms is 86400001; it must be {TIME}",
        ),
        (answer(results=[{"node_id": "a"}]), "results[0] has no execution_time_ms"),
        (answer(results=[result(cache_hit=3)]), "results[0].cache_hit is 3; it must be true or false or null"),
        (answer(level_execution_times_ms=[1, -5]), f"level_execution_times_ms[1] is -5; it must be {TIME}"),
        (answer(errors="none"), 'errors is "none"; it must be a list'),
        (answer(node_status={"a": {"state": 5}}), "node_status[...].state must be text"),
        (
            answer().replace(b"61", b"9" * 5000),
            f"total_execution_time_ms is {'9' * 24}… (5000 digits); it must be {TIME}",
        ),
        (answer()[:-1], "the answer is not JSON (it ends too early): "),
        (answer() + b"{", "the answer is not JSON (trailing characters (byte 178)): "),
        (b'{"execution_id": "\xff"}', 'the answer is not JSON (not UTF-8): {"execution_id": "\ufffd"}'),
        (b"<html>\x1b[2J</html>", "the answer is not JSON (invalid character (byte 0)): <html>\ufffd[2J</html>"),
        (DEEP, "the answer is nested too deep"),
        (b"\x1f\x8b\x08\x00", "the answer is gzip-encoded, which was not asked for"),
        (b"\x28\xb5\x2f\xfd\x00", "the answer is zstd-encoded, which was not asked for"),
        (answer(execution_id=5) + b" " * (1 << 20), "execution_id must be text"),
    ],
)  # fmt: skip
def test_what_is_not_the_contract(body: bytes, reason: str) -> None:
    """A body that lacks what every answer has, or states an impossible value, is invalid; field and value are named."""
    outcome, found, told = read_answer(200, body, ONE)
    assert (outcome, told) == (Outcome.INVALID_RESPONSE, None)
    assert found is not None
    assert found == reason or (reason.endswith(": ") and found.startswith(reason))


@pytest.mark.parametrize("status", [401, 500])
def test_another_status(status: int) -> None:
    """The reason quotes the body in a printable form."""
    assert read_answer(status, b"no\x00\r\nway" + b"!" * 9999, ONE) == (
        Outcome.HTTP_ERROR,
        f"HTTP {status}: no\ufffd way" + "!" * 192 + "…",
        None,
    )
    assert (
        read_answer(status, b"\x1f\x8b\x08", ONE)[1]
        == f"HTTP {status}: the answer is gzip-encoded, which was not asked for"
    )


NUMBERS = st.one_of(
    st.integers(-3, 3), st.integers(), st.sampled_from([LONGEST_MS, LONGEST_MS + 1, MOST_TOKENS, MOST_TOKENS + 1])
)


@settings(max_examples=examples(300), deadline=None)
@given(NUMBERS, NUMBERS, NUMBERS, NUMBERS, st.lists(NUMBERS, max_size=3))
def test_every_number_that_is_returned_is_in_its_range(
    total: int, tokens: int, took: int, cost: int, levels: list[int]
) -> None:
    """An answer is valid exactly when each of its numbers is possible."""
    outcome, _, told = read(
        total_execution_time_ms=total,
        total_token_cost=tokens,
        results=[result(execution_time_ms=took, token_cost=cost)],
        level_execution_times_ms=levels,
    )
    possible = (
        all(0 <= time <= LONGEST_MS for time in (total, took, *levels))
        and all(0 <= count <= MOST_TOKENS for count in (tokens, cost))
        and len(levels) <= 1
    )
    assert (outcome is Outcome.OK) == possible == (told is not None)


JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.floats() | st.text(max_size=5) | st.sampled_from(["a", "failed", "state"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "node_id", "state"]), inner),
    max_leaves=8,
)
FIELDS = st.sampled_from([*json.loads(answer()), "aborted", "node_status", "level_execution_times_ms", "z"])
OF_RESULT = st.sampled_from([*result(), "cache_hit", "rendered_prompt"])


@settings(max_examples=examples(300), deadline=None)
@given(st.dictionaries(FIELDS, JSON, max_size=3), st.dictionaries(OF_RESULT, JSON, max_size=3), st.binary(max_size=3))
def test_nothing_that_is_answered_raises(fields: dict[str, Any], of_result: dict[str, Any], tail: bytes) -> None:
    """Whatever stands in an answer, it has an outcome, and a reason unless it is a success."""
    body = answer(**({"results": [result(**of_result)]} | fields)) + tail
    outcome, reason, told = read_answer(200, body, ASKED, request())
    assert (reason is None) == (outcome is Outcome.OK)
    assert (told is None) == (outcome is Outcome.INVALID_RESPONSE)
    assert reason is None or foreign_text(reason, 500) == reason


# --- nodes


def of(*ids: str, **fields: Any) -> dict[str, Any]:
    return {"results": [result(node_id) for node_id in ids]} | fields


def status(**states: str) -> dict[str, Any]:
    return {"node_status": {node_id: {"state": state} for node_id, state in states.items()}}


LEVELS = {"level_execution_times_ms": [1, 2, 3]}
FAILED = {"errors": ["Node b: Timeout after 5s"]}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (of(), "results has no node 'a', and errors does not say why"),
        (of("c", "a"), "results has no node 'b', and errors does not say why"),
        (of("a", "b", "d"), "results has node 'd', which was not sent"),
        (of("a", "b", "\x1b[2J"), "results has node '\ufffd[2J', which was not sent"),
        (of("a", "b", "c", "a"), "results has node 'a' twice"),
        (of("d", **FAILED), "results has node 'd', which was not sent"),
        (of("a", "a", **FAILED), "results has node 'a' twice"),
        (of("a", "b", **FAILED, **status(b="failed")), "results has node 'b', whose node_status is failed"),
        (of("a", "b", "c", **status(c="skipped")), "results has node 'c', whose node_status is skipped"),
        (of("a", "b", "c", **LEVELS), "level_execution_times_ms has 3 levels, the DAG sent 2"),
        (of("a", errors=["x"] * 1001), "errors has 1001 entries, the DAG sent 3 nodes"),
    ],
)  # fmt: skip
def test_results_that_do_not_fit_the_dag(fields: dict[str, Any], reason: str) -> None:
    """Without errors each node has one result; with errors none is foreign, repeated, or of a node that did not run."""
    assert read(CHAIN, **fields) == (Outcome.INVALID_RESPONSE, reason, None)


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        (of("b", "c", "a", level_execution_times_ms=[1, 2]), Outcome.OK),
        (of("a", "b", "c", **status(a="succeeded", x="failed")), Outcome.OK),
        (of("a", **FAILED, **status(b="failed", c="skipped")), Outcome.NODE_ERROR),
        (of(**FAILED), Outcome.NODE_ERROR),
        (of("a", aborted=True, level_execution_times_ms=[]), Outcome.ABORTED),
    ],
)
def test_results_that_fit_the_dag(fields: dict[str, Any], outcome: Outcome) -> None:
    """Results come in any order; a node without one is told by errors or by aborted."""
    found = read(CHAIN, **fields)
    assert found[0] is outcome
    assert found[2] is not None
    assert [one.node_id for one in found[2].results] == [one["node_id"] for one in fields["results"]]


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("fields", [{}, {"results": []}, of("b"), of("a", "a"), {"level_execution_times_ms": [1, 1]}])
def test_one_node_is_read_as_several_are(fields: dict[str, list[Any]], known: bool) -> None:
    """The short way for a DAG of one node decides as the long one does."""
    fields |= status(a="succeeded") if known else {}
    assert read(**fields) == read(SentDag(("a",), frozenset("a"), 1), **fields)


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({"node_status": {"b": {"state": "failed"}}}, NodeState.FAILED),
        ({"node_status": {"b": {"state": "skipped", "skip_reason": "x"}}}, NodeState.SKIPPED),
        ({"errors": ["Node b: API request failed"]}, NodeState.FAILED),
        ({"errors": ["Task execution panicked: x"]}, NodeState.PANICKED),
        ({"aborted": True}, NodeState.NOT_RUN),
    ],
)
def test_a_node_without_a_result_has_a_state(fields: dict[str, Any], state: NodeState) -> None:
    """It is read from node_status, else from the errors."""
    _, _, told = read(CHAIN, **({"aborted": True} | fields))
    assert told is not None
    assert state_of(told, "b") is state


# --- the prompt that an answer repeats


def repeated(
    prompt: Any, sent: bytes, dag: SentDag = ASKED, *, ensure_ascii: bool = False, prepared: bool = True
) -> tuple[Outcome, str | None]:
    results = [result(**({} if prompt is ... else {"rendered_prompt": prompt}))]
    body = json.dumps(json.loads(answer(results=results)), ensure_ascii=ensure_ascii).encode()
    outcome, reason, _ = read_answer(200, body, dag, sent, sent_prompt(sent, "a") if prepared else None)
    return outcome, reason


@pytest.mark.parametrize("prepared", [True, False])
@pytest.mark.parametrize("ensure_ascii", [True, False])
@pytest.mark.parametrize("fields", [{}, {"prompt": PROMPT, "prompt_template": None}, {"prompt": "not this one"}])
def test_an_answer_repeats_the_prompt_that_was_sent(fields: dict[str, Any], ensure_ascii: bool, prepared: bool) -> None:
    """However its JSON is escaped; absent, null and empty say nothing."""
    for prompt in (PROMPT, f"System: be brief.\n{PROMPT}", ..., None, ""):
        found = repeated(prompt, request(**fields), ensure_ascii=ensure_ascii, prepared=prepared)
        assert found == (Outcome.OK, None), prompt


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        ("Wie heißt das?", "answer of another request: node 'a' repeats a prompt that was not sent: Wie heißt das?"),
        (5, "rendered_prompt of node 'a' is 5, not text"),
    ],
)
def test_an_answer_to_another_request(prompt: int | str, reason: str) -> None:
    """A prompt that was not sent tells that the answer belongs to another request."""
    assert repeated(prompt, request()) == (Outcome.INVALID_RESPONSE, reason)
    # A node into whose prompt the runtime fills something says nothing.
    assert repeated(prompt, request(), SentDag.of([NodeShape("a")])) == (Outcome.OK, None)


def test_the_prompt_is_a_view_of_the_request() -> None:
    """What is kept of each prompt does not grow with it."""
    sent = request(prompt_template="x" * 100_000)
    assert len(bytes(sent_prompt(sent, "a"))) == 100_002
    assert msgspec.json.decode(sent_prompt(sent.partition(b"\r\n\r\n")[2], "a")) == "x" * 100_000
    with pytest.raises(StopIteration):
        sent_prompt(sent, "b")


@pytest.mark.parametrize(
    ("output", "mock"), [("[Mock Response] x", True), ("TODO", True), ("B", False), ("TODO: B", False), (None, False)]
)
def test_the_mock_is_known_by_its_text(output: str | None, mock: bool) -> None:
    """The fixed texts of both generations, and nothing else."""
    assert is_mock_output(output) is mock
