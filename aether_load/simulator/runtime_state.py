"""Hold the state of one simulated runtime."""

from __future__ import annotations

from collections.abc import Callable

from aether_load.errors import AetherLoadError
from aether_load.simulator.clock import Clock
from aether_load.simulator.engine.cache import Cache
from aether_load.simulator.engine.metrics import Metrics
from aether_load.simulator.engine.provider import Provider
from aether_load.simulator.fault_kinds import ProcessFault
from aether_load.simulator.faults import Faults
from aether_load.simulator.options import Options
from aether_load.simulator.record import Record


class RuntimeState:
    """What requests share: the provider, metrics, cache, faults, the record."""

    def __init__(
        self,
        options: Options,
        on_process_fault: Callable[[ProcessFault], None],
        on_failure: Callable[[AetherLoadError], None],
    ) -> None:
        self.options = options
        self.metrics = Metrics()
        self.cache = Cache()
        self.clock = Clock()
        self.record = Record(options.record_limit if options.control else 0, options.record, on_failure)
        self.faults = Faults(options.seed, on_process_fault)
        self.provider = Provider(options, self.clock, self.faults)

    def restart(self) -> None:
        """Begin with new metrics and an empty cache; what is still under way keeps the old ones."""
        self.metrics = Metrics()
        self.cache = Cache()
