"""Everything that one simulated runtime is made of, put together from its options."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aether_load.simulator.clock import Clock
from aether_load.simulator.engine import answers
from aether_load.simulator.engine.answer_key import read_answer_key
from aether_load.simulator.engine.cache import Cache
from aether_load.simulator.engine.latency import Latency
from aether_load.simulator.engine.metrics import Metrics
from aether_load.simulator.engine.provider import Provider, Timings
from aether_load.simulator.engine.slots import Slots
from aether_load.simulator.faults import Faults
from aether_load.simulator.record import Record

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from aether_load.simulator.engine.answers import Answerer
    from aether_load.simulator.fault_kinds import ProcessFault
    from aether_load.simulator.options import Options


class RuntimeState:
    """The parts of one simulated runtime."""

    def __init__(
        self, options: Options, loop: asyncio.AbstractEventLoop, on_process: Callable[[ProcessFault], None]
    ) -> None:
        self.options = options
        self.metrics = Metrics()
        self.cache = Cache()
        self.clock = Clock(loop)
        self.record = Record(options.record_limit, options.record)
        self.faults = Faults(options.seed, loop, on_process)
        self.provider = Provider(
            _timings(options), _answerer(options), self.clock, Slots(options.slots, loop), self.faults
        )

    def forget(self) -> None:
        """Forget what a restarted runtime has forgotten."""
        self.metrics.clear()
        self.cache.restart()


def _timings(options: Options) -> Timings:
    """With a latency of one's own, it is the whole time of a completion, and nothing else takes any."""
    if options.latency is not None:
        sampler = options.latency.sampler(options.seed)
        return Timings(guard=0.0, completion=sampler, function=0.0, per_token=options.token_latency)
    completion, function = (0.100, 0.100) if options.generation == "v1" else (0.050, 0.010)
    sampler = Latency("constant", (completion,)).sampler(options.seed)
    return Timings(guard=0.010, completion=sampler, function=function, per_token=options.token_latency)


def _answerer(options: Options) -> Answerer:
    if options.answer is not None:
        return answers.fixed(options.answer)
    mock = answers.mock_v1 if options.generation == "v1" else answers.mock_v2
    if options.answer_key is not None:
        return answers.by_key(read_answer_key(options.answer_key, options.accuracy, options.seed), mock)
    return mock
