"""Hold what a master knows of one worker that it has accepted: who it is, its clock, and when it was heard."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import monotonic_ns, time
from typing import Literal

from aether_load.load.distributed import messages as say
from aether_load.rundata.clock import ClockReading, Echo, read_clock

_FIRST_PINGS = 8
_ECHOES_KEPT = 12


class WorkerSession:
    """One worker, from its acceptance until it is gone."""

    def __init__(self, client: str, number: int, joined: say.Join, send: Callable[[str, say.Message], None]) -> None:
        """Take Locust's id of the worker, and the function that sends a message to such an id."""
        self.client = client
        self.number = number
        self.host = joined.host
        self.pid = joined.pid
        self.handover: str | None = None
        self.gone: Literal["lost", "left"] | None = None
        self.heard_ns = monotonic_ns()
        self.utc_ahead_s = 0.0
        self._excused_ns = 0
        self._echoes: deque[Echo] = deque(maxlen=_ECHOES_KEPT)
        self._send = send

    @property
    def name(self) -> str:
        """Return how it is called in sentences."""
        return f"worker {self.number} (process {self.pid} on {self.host})"

    def send(self, message: say.Message) -> None:
        """Send it a message; what cannot be sent to a worker that is gone is lost."""
        self._send(self.client, message)

    def ping(self) -> None:
        """Ask for its clocks; the answer shows that it is alive."""
        self.send(say.Ping(monotonic_ns()))

    # Silence

    def heard(self) -> None:
        """Note that it has just said something."""
        self.heard_ns, self._excused_ns = monotonic_ns(), 0

    def excuse(self, duration_ns: int) -> None:
        """Leave out of its silence a time in which this process could not have heard it."""
        self._excused_ns += duration_ns

    def silence_s(self) -> float:
        """Return for how long nothing has come from it."""
        return (monotonic_ns() - self.heard_ns - self._excused_ns) / 1e9

    # Its clock

    def clock(self) -> ClockReading:
        """Return what its clock is ahead of this process's by."""
        return read_clock(self._echoes)

    @property
    def has_clock(self) -> bool:
        """Tell whether its clock is known."""
        return len(self._echoes) >= _FIRST_PINGS

    def to_run(self, instant_ns: int) -> int:
        """Return an instant of its clock by this process's."""
        return instant_ns - self.clock().offset_ns

    def from_run(self, instant_ns: int) -> int:
        """Return an instant of this process's clock by its own."""
        return instant_ns + self.clock().offset_ns

    def take_pong(self, message: say.Pong) -> None:
        """Take in the answer to a ping."""
        now_ns = monotonic_ns()
        self._echoes.append(Echo(message.sent_ns, message.there_ns, now_ns))
        half_s = (now_ns - message.sent_ns) / 2e9
        ahead = message.there_utc_s + half_s - time()
        # What half a round trip could hide is no difference.
        self.utc_ahead_s = ahead if abs(ahead) > half_s else 0.0
