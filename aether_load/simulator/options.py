"""Define how a simulated runtime behaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aether_load.errors import UsageError
from aether_load.simulator.engine.latency import Latency
from aether_load.simulator.fault_kinds import AnyFault

_MAX_RECORD_LIMIT = 10_000_000
Generation = Literal["v1", "v2"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Everything that can be chosen, with its default; times in seconds. Raises UsageError for impossible values."""

    generation: Generation = "v2"
    bind: str = "127.0.0.1"
    port: int = 3000
    exit_with_parent: bool = False
    seed: int = 0
    latency: Latency | None = None
    token_latency: float = 0.0
    slots: int | None = None
    answer: str | None = None
    answer_key: Path | None = None
    accuracy: float = 1.0
    faults: Sequence[AnyFault] = ()
    control: bool = False
    record: Path | None = None
    record_limit: int = 200_000

    def __post_init__(self) -> None:
        """Check each value."""
        if not 0 <= self.port <= 65_535:
            raise UsageError(f"--port {self.port} is no port; choose one from 1 to 65535, or 0 for any free one")
        if self.slots is not None and self.slots < 1:
            raise UsageError(f"--slots {self.slots} lets no node run; give 1 or more, or leave it out for no limit")
        if not 0 <= self.accuracy <= 1:
            raise UsageError(f"--accuracy {self.accuracy} is no probability; give a number from 0 to 1")
        if not 0 <= self.record_limit <= _MAX_RECORD_LIMIT:
            raise UsageError(
                f"--record-limit {self.record_limit} is impossible; give 0 to {_MAX_RECORD_LIMIT:,} requests"
            )
        if self.answer is not None and self.answer_key is not None:
            raise UsageError("--answer and --answer-key exclude each other; give one of them")
