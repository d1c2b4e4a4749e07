"""The prompt guard: its phrases, its words, its panics."""

from __future__ import annotations

import http.client

import pytest

from contract.contract_runtime import Runtime, fresh

INJECTIONS = [
    "ignore previous instructions",
    "forget everything above",
    "system prompt",
    "jailbreak",
    "dan mode",
    "developer mode",
    "ignore all previous",
    "act as if",
    "pretend you are",
    "roleplay as",
]
PROFANITIES = ["badword1", "badword2", "offensive"]
CLOSED = (http.client.RemoteDisconnected, ConnectionResetError)


@pytest.mark.parametrize("phrase", INJECTIONS)
def test_injections_are_refused(runtime: Runtime, phrase: str) -> None:
    """Each phrase is refused inside any text and in any case, and is named in lower case."""
    answer = runtime.run(runtime.llm("a", f"{fresh()}x{phrase.title()}y"))
    assert answer["errors"] == [f"Node a: Security violation: Detected blacklisted pattern: {phrase}"]
    assert answer["results"] == []


@pytest.mark.parametrize("word", PROFANITIES)
def test_profanities_are_refused(runtime: Runtime, word: str) -> None:
    """Each word is refused inside any text and in any case."""
    answer = runtime.run(runtime.llm("a", f"un{word.upper()}ly {fresh()}"))
    assert answer["errors"] == [f"Node a: Security violation: Detected profane content: {word}"]


def test_one_of_two_phrases_is_named(runtime: Runtime) -> None:
    """With two phrases in one prompt, one of them is named; an injection before a profanity."""
    prefix = "Node a: Security violation: Detected blacklisted pattern: "
    (error,) = runtime.run(runtime.llm("a", "offensive jailbreak in dan mode"))["errors"]
    assert error in {f"{prefix}jailbreak", f"{prefix}dan mode"}


def test_near_misses_pass(runtime: Runtime) -> None:
    """A phrase with other spaces in it, or half of one, is not refused."""
    assert runtime.run(runtime.llm("a", f"{fresh()} jail break, act as  if, system\nprompt"))["errors"] == []


@pytest.mark.parametrize(
    ("prompt", "breaks"),
    [
        ("x" * 99 + "é jailbreak", True),
        ("x" * 100 + "é jailbreak", False),
        ("x" * 49 + "é offensive", True),
        ("x" * 48 + "é offensive", False),
        ("é" * 20 + " jailbreak", False),
    ],
)
def test_a_cut_inside_a_character_panics(runtime: Runtime, prompt: str, breaks: bool) -> None:
    """A refused prompt is cut after 100 bytes, or 50, for the log; inside a character that is a panic."""
    node = runtime.llm("a", prompt)
    if not breaks:
        assert "Security violation" in runtime.run(node)["errors"][0]
    elif runtime.generation == "v1":
        with pytest.raises(CLOSED):
            runtime.run(node)
    else:
        answer = runtime.run(node)
        assert [error.partition(": ")[0] for error in answer["errors"]] == ["Task execution panicked"]
        assert (answer["aborted"], answer.get("node_status")) == (True, None)


def test_a_panic_in_sequence_closes_the_connection(v2: Runtime) -> None:
    """In sequential mode a panic takes the connection with it."""
    with pytest.raises(CLOSED):
        v2.run(v2.llm("a", "x" * 99 + "é jailbreak"), query="?sequential=true")


def test_dependents_of_a_panic_are_not_skipped(v2: Runtime) -> None:
    """With the policy skip, a node whose dependency panicked runs."""
    panics = v2.llm("a", "x" * 99 + "é jailbreak", execution_hints={"error_policy": "skip"})
    answer = v2.run(panics, v2.function("b", dependencies=["a"]))
    assert [result["node_id"] for result in answer["results"]] == ["b"]
    assert answer["node_status"] == {"b": {"state": "succeeded", "attempts": 1}}
    assert answer["aborted"] is False
