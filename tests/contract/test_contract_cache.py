"""The cache of today's generation."""

from __future__ import annotations

from typing import Any

import pytest

from contract.contract_runtime import Runtime, fresh


def hits(answer: dict[str, Any]) -> dict[str, Any]:
    return {row["node_id"]: row["cache_hit"] for row in answer["results"]}


def stats(runtime: Runtime) -> dict[str, float]:
    answer: dict[str, float] = runtime.call("GET", "/cache/stats").json()
    return answer


def test_the_second_time_is_a_hit(v2: Runtime) -> None:
    """The same prompt again costs nothing and says the same."""
    node = v2.llm("a")
    first, second = v2.run(node), v2.run(node)
    before, after = first["results"][0], second["results"][0]
    assert (before["cache_hit"], after["cache_hit"]) == (False, True)
    assert (after["token_cost"], after["input_tokens"], after["output_tokens"]) == (0, 0, 0)
    assert (after["output"], after["rendered_prompt"]) == (before["output"], before["rendered_prompt"])
    assert [answer["cache_hit_rate"] for answer in (first, second)] == [0.0, 1.0]
    assert (second["total_token_cost"], second["tokens_saved"]) == (0, 0)


@pytest.mark.parametrize(
    ("field", "value", "hit"),
    [("model", "gpt-4o", False), ("temperature", 0.5, False), ("max_tokens", 9, False), ("system_prompt", "Be", True)],
)
def test_what_the_key_holds(v2: Runtime, field: str, value: float | str, hit: bool) -> None:
    """Model, temperature and max_tokens belong to the key; the system prompt does not."""
    node = v2.llm("a")
    v2.run(node)
    assert hits(v2.run({**node, field: value})) == {"a": hit}


def test_an_unnamed_model_is_a_key_of_its_own(v2: Runtime) -> None:
    """A node that names the default model does not share with one that names none."""
    node = v2.llm("a")
    v2.run(node)
    assert hits(v2.run({**node, "model": "gpt-4o-mini"})) == {"a": False}


def test_equal_prompts_in_flight_both_miss(v2: Runtime, mock: Runtime) -> None:
    """Two equal prompts at once are two completions; in sequence the second is a hit."""
    prompt = fresh()
    assert hits(v2.run(v2.llm("a", prompt), v2.llm("b", prompt))) == {"a": False, "b": False}
    prompt = fresh()
    answer = v2.run(v2.llm("a", prompt), v2.llm("b", prompt), query="?sequential=true")
    assert sorted(hits(answer).values()) == [False, True]


def test_functions_count_as_misses_in_the_answer(v2: Runtime) -> None:
    """The answer's hit rate is over all nodes that succeeded."""
    node = v2.llm("a")
    v2.run(node)
    assert v2.run(node, v2.function("f"), v2.function("g"), v2.function("h"))["cache_hit_rate"] == 0.25


def test_stats_count_look_ups(v2: Runtime) -> None:
    """The cache's own counts are of look-ups, and clearing keeps them."""
    node = v2.llm("a")
    before = stats(v2)
    v2.run(node, v2.function("f"), v2.llm("refused", "jailbreak", execution_hints={"error_policy": "skip"}))
    v2.run(node)
    after = stats(v2)
    assert set(after) == {"entries", "hits", "misses", "hit_rate"}
    assert (after["hits"] - before["hits"], after["misses"] - before["misses"]) == (1, 1)
    assert after["hit_rate"] == pytest.approx(after["hits"] / (after["hits"] + after["misses"]))
    reply = v2.call("POST", "/cache/clear")
    assert (reply.status, reply.body) == (200, b"Cache cleared")
    assert stats(v2) == {**after, "entries": 0}
    assert hits(v2.run(node)) == {"a": False}


def test_a_thousand_entries(v2: Runtime, mock: Runtime) -> None:
    """The least recently used of 1,001 entries goes, and a look-up is a use."""
    kept, lost = v2.llm("kept"), v2.llm("lost")
    v2.run(kept)  # the oldest, and looked up below
    v2.run(lost)
    v2.run(*(v2.llm(f"n{number}") for number in range(998)))
    assert stats(v2)["entries"] == 1000
    assert hits(v2.run(kept)) == {"kept": True}
    v2.run(v2.llm("one more"))
    assert stats(v2)["entries"] == 1000
    assert hits(v2.run(kept)) == {"kept": True}
    assert hits(v2.run(lost)) == {"lost": False}
