"""Write a prompt's text: the question, its lettered options, and the request for an answer."""

from __future__ import annotations

from collections.abc import Callable

from aether_load.datasets.answer import LETTERS
from aether_load.datasets.prompt import Prompt


def question_text(prompt: Prompt) -> str:
    """Return the prompt as a multiple-choice question with lettered options, or its bare text when it has none."""
    if not prompt.options:
        return prompt.text
    return f"{_text_and_options(prompt)}\n\n{_ask_for_letter(prompt)}"


def _text_and_options(prompt: Prompt) -> str:
    return f"{prompt.text}\n\n{_lettered(prompt)}" if prompt.options else prompt.text


def _lettered(prompt: Prompt) -> str:
    return "\n".join(f"{letter}. {option}" for letter, option in zip(LETTERS, prompt.options, strict=False))


def _ask_for_letter(prompt: Prompt) -> str:
    letters = LETTERS[: len(prompt.options)]
    return f"Answer with one letter only: {', '.join(letters[:-1])} or {letters[-1]}."


def _ask(prompt: Prompt) -> str:
    return _ask_for_letter(prompt) if prompt.options else "Now give the answer, and nothing else."


def _choices(prompt: Prompt) -> str:
    if not prompt.options:
        return "Answer in one or two words."
    return f"{_lettered(prompt)}\n\n{_ask_for_letter(prompt)}"


def _legend(prompt: Prompt) -> str:
    """Say what the letters stand for, on one line, so that it is never taken for another list of options."""
    meanings = (f"{letter} is {option}" for letter, option in zip(LETTERS, prompt.options, strict=False))
    return f" ({', '.join(meanings)})" if prompt.options else ""


WORDS: dict[str, Callable[[Prompt], str]] = {
    "prompt": question_text,
    "question": _text_and_options,
    "text": lambda prompt: prompt.text,
    "ask": _ask,
    "choices": _choices,
    "legend": _legend,
    "dataset": lambda prompt: prompt.dataset,
}
"""What a shape may have in place of `{{name}}`, row by row."""
