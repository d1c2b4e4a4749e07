"""Simulate the provider of completions: its time, its texts, its failures."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

from aether_load.simulator.clock import Clock
from aether_load.simulator.engine import guard
from aether_load.simulator.engine.answer_key import read_answer_key
from aether_load.simulator.engine.latency import Latency, Sampler
from aether_load.simulator.engine.outcomes import NodeFailedError, PanicError
from aether_load.simulator.fault_kinds import GuardRefusal, NodeFailure, Panic
from aether_load.simulator.faults import Faults
from aether_load.simulator.options import Options

Answerer = Callable[[str, str], str]
"""Returns the output for a prompt and a model."""


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds that things take; `completion` draws an LLM node's, `per_token` is added for each output token."""

    guard: float
    completion: Sampler
    function: float
    per_token: float


class Provider:
    """What a node needs from outside: a slot, the guard, a completion, a function's time."""

    def __init__(self, options: Options, clock: Clock, faults: Faults) -> None:
        self._timings = choose_timings(options)
        self._answer = choose_answerer(options)
        self._clock = clock
        self._faults = faults
        self.slot = nullcontext() if options.slots is None else asyncio.Semaphore(options.slots)

    async def check(self, prompt: str) -> None:
        """Guard a prompt; a refusal comes at once. Raises NodeFailedError or PanicError."""
        if (panic := self._faults.on_node(Panic)) is not None:
            raise PanicError(panic.message)
        if (refusal := self._faults.on_node(GuardRefusal)) is not None:
            raise guard.injection(refusal.phrase)
        guard.check(prompt)
        await self._clock.pause(self._timings.guard)

    async def complete(self, prompt: str, model: str, output_tokens: int) -> str:
        """Take the time of a completion and return its text; raises NodeFailedError with a provider's reason."""
        await self._clock.pause(self._timings.completion() + self._timings.per_token * output_tokens)
        if (failure := self._faults.on_node(NodeFailure)) is not None:
            raise NodeFailedError(failure.reason)
        return self._answer(prompt, model)

    async def function(self) -> None:
        """Take the time of a node that calls no provider."""
        await self._clock.pause(self._timings.function)


def choose_timings(options: Options) -> Timings:
    """Return the runtime's own timings; with `latency`, a completion takes that and nothing else takes any time."""
    if options.latency is not None:
        return Timings(0.0, options.latency.sampler(options.seed), 0.0, options.token_latency)
    completion, function = (0.100, 0.100) if options.generation == "v1" else (0.050, 0.010)
    return Timings(0.010, Latency("constant", (completion,)).sampler(options.seed), function, options.token_latency)


def choose_answerer(options: Options) -> Answerer:
    """Return what makes the texts: one fixed answer, the answer key, or the runtime's mock, which in v1 says TODO."""
    if options.answer is not None:
        fixed = options.answer
        return lambda _prompt, _model: fixed
    mock = (lambda _prompt, _model: "TODO") if options.generation == "v1" else mock_v2
    if options.answer_key is None:
        return mock
    key = read_answer_key(options.answer_key, options.accuracy, options.seed)
    return lambda prompt, model: key.letter(prompt) or mock(prompt, model)


def mock_v2(prompt: str, model: str) -> str:
    """Return the text of today's mock, which holds the model and a hash of the prompt."""
    digest = hashlib.sha256(prompt.encode()).hexdigest()[:16]
    return f"[Mock Response]\nModel: {model}\nPrompt hash: {digest}\nThis is a deterministic mock response for testing."
