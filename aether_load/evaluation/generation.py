"""What a generate_until task asks of a generation, and where its text is cut off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from aether_load.errors import UsageError

_KNOWN = {"until", "max_gen_toks", "max_tokens", "max_new_tokens", "max_length", "temperature", "do_sample"}


class Generation(msgspec.Struct, frozen=True):
    """A generation's end marks, its bound in tokens, its temperature, and what a runtime cannot be told."""

    until: tuple[str, ...]
    max_tokens: int
    temperature: float
    ignored: tuple[str, ...]


def read_generation(task: str, arguments: Mapping[str, Any], *, max_tokens: int, temperature: float) -> Generation:
    """Return what `arguments` ask for, with the model's own bound and temperature where they are silent.

    Without `do_sample` a task wants the likeliest text, whatever temperature stands beside it.
    """
    until = arguments.get("until") or ()
    texts = (until,) if isinstance(until, str) else tuple(until)
    if not all(isinstance(text, str) for text in texts):
        raise UsageError(f"Task {task}: until = {until!r}: expected texts.")
    said = next((arguments[key] for key in ("max_gen_toks", "max_new_tokens", "max_tokens") if key in arguments), None)
    warmth = arguments.get("temperature")
    if arguments.get("do_sample") is False:
        warmth = 0.0
    try:
        bound = max_tokens if said is None else int(said)
        warmth = temperature if warmth is None else float(warmth)
    except (TypeError, ValueError):
        raise UsageError(f"Task {task}: generation_kwargs {dict(arguments)!r}: expected numbers.") from None
    if bound < 1 or not 0 <= warmth <= 2:
        raise UsageError(f"Task {task}: generation_kwargs {dict(arguments)!r}: out of a runtime's bounds.")
    ignored = tuple(sorted(key for key in arguments if key not in _KNOWN))
    return Generation(tuple(text for text in texts if text), bound, warmth, ignored)


def truncate(text: str, until: Sequence[str]) -> str:
    """Return the text up to the first of the end marks."""
    found = [place for mark in until if (place := text.find(mark)) >= 0]
    return text[: min(found)] if found else text
