from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from aether_load.simulator.engine.answer_key import AnswerKey, KeyRow
from simulator.simulated import Simulator, llm

PROMPT = "Question: {question}\nA. {a}\nB. {b}\nC) {c}\nAnswer:"


def prompt(number: int) -> str:
    return PROMPT.format(question=f"What is number {number}?", a="red", b=f"blue {number}", c="green")


def output(simulator: Simulator, text: str) -> str:
    (row,) = simulator.run(llm("a", text))["results"]
    answer: str = row["output"]
    return answer


def test_a_fixed_answer(simulate: Callable[..., Simulator]) -> None:
    """--answer is what every completion says, at the mock's token counts."""
    simulator = simulate("--answer", "B")
    (row,) = simulator.run(llm("a", "anything"))["results"]
    assert (row["output"], row["token_cost"]) == ("B", 52)


@pytest.mark.parametrize("generation", ["v1", "v2"])
def test_right_answers(simulate: Callable[..., Simulator], tmp_path: Path, generation: str) -> None:
    """With a key, the reply is the letter of the option that is right; without a match, the mock's text."""
    key = tmp_path / "key.jsonl"
    rows = [
        {"match": f"What is number {n}?", "answer": f"blue {n}" if n % 2 else "green", "id": f"q{n}"} for n in range(9)
    ]
    key.write_text("".join(json.dumps(row) + "\n" for row in rows))
    simulator = simulate("--generation", generation, "--answer-key", str(key))
    texts = [*(prompt(n) for n in range(9)), "What is number 3? No options.", "something else"]
    if generation == "v1":
        nodes = [{"id": str(n), "node_type": "llm_fn", "prompt": t, "dependencies": []} for n, t in enumerate(texts)]
        said = [row["output"] for row in simulator.post("/execute", {"nodes": nodes}).json()["results"]]
    else:
        said = [output(simulator, text) for text in texts]
    assert said[:9] == ["C", "B", "C", "B", "C", "B", "C", "B", "C"]
    assert all(text.startswith("TODO" if generation == "v1" else "[Mock Response]") for text in said[9:])


def test_accuracy_is_a_share_that_the_prompt_decides() -> None:
    """A share of replies is right, the others are other letters on offer; the same prompt is always answered alike."""
    rows = [KeyRow(f"What is number {n}?", f"blue {n}") for n in range(2000)]
    key, fresh, other = AnswerKey(rows, 0.7, 0), AnswerKey(rows, 0.7, 0), AnswerKey(rows, 0.7, 1)
    letters = [fresh.letter(prompt(n)) for n in range(2000)]
    backwards = [key.letter(prompt(n)) for n in reversed(range(2000))]
    assert letters == backwards[::-1]
    assert letters.count("B") / 2000 == pytest.approx(0.7, abs=0.04)
    assert letters.count("A") / 2000 == pytest.approx(0.15, abs=0.03)
    assert set(letters) == {"A", "B", "C"}
    assert letters != [other.letter(prompt(n)) for n in range(2000)]


@pytest.mark.parametrize(("accuracy", "letters"), [(0.0, {"A", "C"}), (1.0, {"B"})])
def test_the_ends_of_accuracy(accuracy: float, letters: set[str]) -> None:
    """At 1 every reply is right, at 0 none is."""
    rows = [KeyRow(f"What is number {n}?", f"blue {n}") for n in range(50)]
    key = AnswerKey(rows, accuracy, 0)
    assert {key.letter(prompt(n)) for n in range(50)} == letters


def test_of_several_rows_one_that_is_on_offer_is_taken() -> None:
    """Rows may share a text: the one whose answer is among the options counts, and a longer text before a shorter."""
    rows = [KeyRow("What is", "yellow"), KeyRow("What is", "red"), KeyRow("What is number", "green")]
    assert AnswerKey(rows, 1.0, 0).letter(prompt(1)) == "C"
    assert AnswerKey(rows[:2], 1.0, 0).letter(prompt(1)) == "A"
    assert AnswerKey(rows[:1], 1.0, 0).letter(prompt(1)) is None


def test_options_of_examples_are_not_the_questions() -> None:
    """With examples before the question, the options behind the question's text count."""
    example = PROMPT.format(question="What is number 1?", a="green", b="red", c="blue 1") + " A\n\n"
    key = AnswerKey([KeyRow("What is number 2?", "green")], 1.0, 0)
    assert key.letter(example + prompt(2)) == "C"


def test_options_before_the_question() -> None:
    """Options may also stand before the text that matches."""
    key = AnswerKey([KeyRow("Which one?", "green")], 1.0, 0)
    assert key.letter("A. red\nB. green\nWhich one?") == "B"


def test_spaces_do_not_matter() -> None:
    """Option and answer are compared with their spaces evened out."""
    key = AnswerKey([KeyRow("Q", "two  words")], 1.0, 0)
    assert key.letter("Q\n  A) one\n  B)  two words \r\n") == "B"


def test_one_option_is_always_right() -> None:
    """Where only one letter is on offer, it is the reply at any accuracy."""
    assert AnswerKey([KeyRow("Q", "one")], 0.0, 0).letter("Q\nA. one") == "A"


def test_short_and_long_texts_are_found_anywhere() -> None:
    """A text is found at the start, in the middle and at the end of a prompt, whatever its length."""
    options = "\nA. x\nB. y\n"
    for text in ("é", "short", "a text that is longer than what the index holds"):
        key = AnswerKey([KeyRow("never there at all", "x"), KeyRow(text, "y")], 1.0, 0)
        assert [key.letter(whole) for whole in (text + options, f"in {text} it{options}", options + text)] == ["B"] * 3
        assert key.letter(f"in {text[:-1]} it{options}") is None
