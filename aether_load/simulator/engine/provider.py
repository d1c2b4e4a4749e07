"""The simulated provider of completions: its time, its answers, its failures, and the slots that nodes share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aether_load.simulator.engine import guard
from aether_load.simulator.engine.outcomes import NodeFailedError, PanicError
from aether_load.simulator.fault_kinds import GuardRefusal, NodeFailure, Panic

if TYPE_CHECKING:
    from aether_load.simulator.clock import Clock
    from aether_load.simulator.engine.answers import Answerer
    from aether_load.simulator.engine.latency import Sampler
    from aether_load.simulator.engine.slots import Slots
    from aether_load.simulator.faults import Faults


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds that things take; `completion` draws an LLM node's, `per_token` is added for each output token."""

    guard: float
    completion: Sampler
    function: float
    per_token: float


class Provider:
    """What a node needs from outside: the guard, a completion, a function's time."""

    def __init__(self, timings: Timings, answerer: Answerer, clock: Clock, slots: Slots, faults: Faults) -> None:
        self._timings = timings
        self._answerer = answerer
        self._clock = clock
        self._faults = faults
        self.slots = slots

    async def check(self, prompt: str) -> None:
        """Guard a prompt; a refusal comes at once, NodeFailedError or PanicError."""
        if (panic := self._faults.on_node(Panic)) is not None:
            raise PanicError(panic.message)
        if (refusal := self._faults.on_node(GuardRefusal)) is not None:
            raise guard.injection(refusal.phrase)
        guard.check(prompt)
        await self._clock.pause(self._timings.guard)

    async def complete(self, prompt: str, model: str, output_tokens: int) -> str:
        """Take the time of a completion and return its text; NodeFailedError with a provider's reason."""
        timings = self._timings
        await self._clock.pause(timings.completion() + timings.per_token * output_tokens)
        if (failure := self._faults.on_node(NodeFailure)) is not None:
            raise NodeFailedError(failure.reason)
        return self._answerer(prompt, model)

    async def function(self) -> None:
        """Take the time of a node that calls no provider."""
        await self._clock.pause(self._timings.function)
