"""Refuse prompts that have one of the guard's phrases."""

from __future__ import annotations

from aether_load.simulator.engine.outcomes import NodeFailedError, check_cut

INJECTIONS = (
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
)
PROFANITIES = ("badword1", "badword2", "offensive")


def check(prompt: str) -> None:
    """Refuse a prompt that has one of the phrases; the refusal names the first of the list.

    Raises NodeFailedError, or PanicError when the preview of the text for the log breaks a character.
    """
    lowered = prompt.lower()
    for phrase in INJECTIONS:
        if phrase in lowered:
            check_cut(prompt, 100)
            raise injection(phrase)
    for word in PROFANITIES:
        if word in lowered:
            check_cut(lowered, 50)
            raise NodeFailedError(f"Security violation: Detected profane content: {word}")


def injection(phrase: str) -> NodeFailedError:
    """Return the refusal of a prompt that has `phrase`."""
    return NodeFailedError(f"Security violation: Detected blacklisted pattern: {phrase}")
