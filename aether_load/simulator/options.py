"""How a simulated runtime is to behave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from aether_load.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from aether_load.simulator.engine.latency import Latency
    from aether_load.simulator.fault_kinds import AnyFault

Generation = Literal["v1", "v2"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Everything that can be chosen; times in seconds. UsageError for values that do not go together."""

    bind: str = "127.0.0.1"
    port: int = 3000
    generation: Generation = "v2"
    latency: Latency | None = None
    token_latency: float = 0.0
    slots: int | None = None
    seed: int = 0
    answer: str | None = None
    answer_key: Path | None = None
    accuracy: float = 1.0
    faults: tuple[AnyFault, ...] = ()
    control: bool = False
    record: Path | None = None
    record_limit: int = 200_000
    exit_with_parent: bool = False

    def __post_init__(self) -> None:
        """Check each value."""
        if not 0 <= self.port <= 65_535:
            raise UsageError(f"--port {self.port} is no port; choose one from 1 to 65535, or 0 for any free one")
        if self.slots is not None and self.slots < 1:
            raise UsageError(f"--slots {self.slots} lets no node run; give 1 or more, or leave it out for no limit")
        if not 0 <= self.accuracy <= 1:
            raise UsageError(f"--accuracy {self.accuracy} is no probability; give a number from 0 to 1")
        if self.record_limit < 0:
            raise UsageError(f"--record-limit {self.record_limit} is below 0; give how many requests to keep")
        if self.answer is not None and self.answer_key is not None:
            raise UsageError("--answer and --answer-key exclude each other; give one of them")
