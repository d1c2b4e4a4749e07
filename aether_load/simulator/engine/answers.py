"""What the simulated provider says."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aether_load.simulator.engine.answer_key import AnswerKey

Answerer = Callable[[str, str], str]
"""The output for a prompt and a model."""


def mock_v1(_prompt: str, _model: str) -> str:
    """Return what the first generation always says."""
    return "TODO"


def mock_v2(prompt: str, model: str) -> str:
    """Return the fixed text of today's mock, which holds the model and a hash of the prompt."""
    digest = hashlib.sha256(prompt.encode()).hexdigest()[:16]
    return f"[Mock Response]\nModel: {model}\nPrompt hash: {digest}\nThis is a deterministic mock response for testing."


def fixed(text: str) -> Answerer:
    """Return an answerer that always says `text`."""
    return lambda _prompt, _model: text


def by_key(key: AnswerKey, otherwise: Answerer) -> Answerer:
    """Return an answerer that gives the key's letter, and `otherwise` for prompts that the key does not know."""
    return lambda prompt, model: key.letter(prompt) or otherwise(prompt, model)
