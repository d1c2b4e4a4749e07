"""End a run in which nothing has happened for longer than its own time limits allow."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

import gevent
import msgspec

from aether_load.load.sending.sender_context import Tally
from aether_load.scenario.scenario import Target
from aether_load.scenario.stage import Stage

LOOK_INTERVAL_S = 1.0
SLACK_S = 60.0
BETWEEN_S = 300.0
"""Longer than the limits of what happens while nobody sends: spawning users, reading /metrics, judging a probe."""


class Waiting(msgspec.Struct, frozen=True):
    """What a run waits for, and how long that may take at most."""

    what: str
    limit_s: float


def waiting_for(tally: Tally, stage: Stage | None, target: Target, *, any_time: bool) -> Waiting | None:
    """Return what has to happen before long; None where time alone has to pass.

    Users that think and an arrival that is not due yet are such a wait, and with `any_time` everything is: a page on
    which nobody has pressed anything, or users of somebody's own class. A request has a limit for its connection and
    one for its answer.
    """
    if any_time:
        return None
    of_a_request_s = target.connect_timeout + target.request_timeout
    if tally.in_flight > 0:
        return Waiting(f"{tally.in_flight} answers in flight", of_a_request_s + SLACK_S)
    if tally.thinking > 0 or (stage is not None and stage.load == "open" and not tally.waiting):
        return None
    ramp_s = 0.0 if stage is None else stage.ramp_over_s + stage.users / (stage.spawn_rate or stage.users or 1)
    return Waiting("users to send something", BETWEEN_S + of_a_request_s + 2 * target.server_metrics_timeout + ramp_s)


class Watchdog:
    """Counts for how long nothing has happened; `on_stalled` is told once, with a sentence."""

    def __init__(
        self,
        look: Callable[[], tuple[object, Waiting | None]],
        on_stalled: Callable[[str], None],
    ) -> None:
        """Take in `look`, which returns what changes whenever something happens, and what is waited for."""
        self._look = look
        self._on_stalled = on_stalled
        self._state: object = None
        self._still_s = 0.0
        self._has_told = False

    def watch_for_ever(self) -> None:
        """Look once a second."""
        while True:
            began = monotonic()
            gevent.sleep(LOOK_INTERVAL_S)
            # A machine that slept, or a process that was stopped, is no run in which nothing happens.
            self.pass_time(min(monotonic() - began, 2 * LOOK_INTERVAL_S))

    def pass_time(self, seconds: float) -> None:
        """Look, after so many seconds."""
        state, waiting = self._look()
        if waiting is None or state != self._state:
            self._state, self._still_s = state, 0.0
            return
        self._still_s += seconds
        if self._still_s > waiting.limit_s and not self._has_told:
            self._has_told = True
            self._on_stalled(f"nothing has happened for {self._still_s:.0f} s; the run waited for {waiting.what}.")
