"""Read what a generate_until task asks of a generation, and cut a text off at its end marks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from aether_load.errors import UsageError

_BOUNDS = ("max_gen_toks", "max_new_tokens", "max_tokens")
PLACES = ("temperature", "do_sample", "until", *_BOUNDS)
"""The arguments that change what is sent, or where the text is cut off."""


class GenerationPlan(msgspec.Struct, frozen=True):
    """A generation's end marks, its bound in tokens, its temperature, and the arguments that are not sent.

    Bound and temperature are None where the runtime has no place for them.
    """

    until: tuple[str, ...]
    max_tokens: int | None
    temperature: float | None
    not_sent: dict[str, Any]

    def for_v1(self) -> GenerationPlan:
        """Return the plan as a v1 runtime takes it, which has no place for bound and temperature."""
        lost = {"temperature": self.temperature, "max_tokens": self.max_tokens}
        return msgspec.structs.replace(self, max_tokens=None, temperature=None, not_sent={**lost, **self.not_sent})


def read_generation(task: str, arguments: Mapping[str, Any], *, max_tokens: int, temperature: float) -> GenerationPlan:
    """Return what `arguments` ask for; raises UsageError for what is no generation.

    `max_tokens` and `temperature` are sent where the arguments say nothing. Without `do_sample` a task wants the
    likeliest text, whatever its temperature.
    """
    until = arguments.get("until") or ()
    texts = (until,) if isinstance(until, str) else tuple(until)
    if not all(isinstance(text, str) for text in texts):
        raise UsageError(f"Task {task}: until = {until!r}: expected texts.")
    bounds = {key: arguments[key] for key in _BOUNDS if arguments.get(key) is not None}
    warmth = arguments.get("temperature")
    if arguments.get("do_sample") is False:
        warmth = 0.0
    try:
        numbers = {key: int(value) for key, value in bounds.items()}
        warmth = temperature if warmth is None else float(warmth)
    except (TypeError, ValueError):
        raise UsageError(f"Task {task}: generation_kwargs {dict(arguments)!r}: expected numbers.") from None
    if len(set(numbers.values())) > 1:
        both = " and ".join(f"{key} = {number}" for key, number in numbers.items())
        raise UsageError(f"Task {task}: generation_kwargs: {both} contradict each other.")
    bound = next(iter(numbers.values()), max_tokens)
    if bound < 1 or not 0 <= warmth <= 2:
        raise UsageError(f"Task {task}: generation_kwargs {dict(arguments)!r}: out of a runtime's bounds.")
    not_sent = {key: value for key, value in arguments.items() if key not in PLACES}
    if arguments.get("do_sample") is True and warmth == 0:
        # A runtime samples by its temperature alone, and at 0 it does not.
        not_sent["do_sample"] = True
    return GenerationPlan(tuple(text for text in texts if text), bound, warmth, not_sent)


def truncate(text: str, until: Sequence[str]) -> str:
    """Return the text up to the first of the end marks."""
    found = [place for mark in until if (place := text.find(mark)) >= 0]
    return text[: min(found)] if found else text
