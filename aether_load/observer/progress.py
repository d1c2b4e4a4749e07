"""Draw one line on the terminal that says how far the run is."""

from __future__ import annotations

import sys
from time import monotonic_ns
from typing import TextIO

from aether_load.observer.messages import Gauges, StageNow

_NEW_SHARE = 0.3


class Progress:
    """A line that is written over itself, on a terminal only."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._visible = self._stream.isatty()
        self._shown = False
        self.stage = StageNow(name=None)
        self._last: tuple[int, int] | None = None
        self._number = -1
        self._done_before = 0
        self._failed_before = 0
        self._rate = 0.0

    def take(self, gauges: Gauges) -> None:
        """Take in how things stand, and draw."""
        if not self._visible:
            return
        now_ns = monotonic_ns()
        if self.stage.number != self._number:
            self._number, self._done_before, self._failed_before = self.stage.number, gauges.done, gauges.failed
        if self._last is not None and now_ns > self._last[0]:
            rate = (gauges.done - self._last[1]) / ((now_ns - self._last[0]) / 1e9)
            self._rate = rate if self._rate == 0 else (1 - _NEW_SHARE) * self._rate + _NEW_SHARE * rate
        self._last = now_ns, gauges.done
        if self.stage.name is not None:
            self._draw(self.text(gauges, now_ns))

    def text(self, gauges: Gauges, now_ns: int) -> str:
        """Return the line: which phase, done of all, rate, failures, users, and the time left where it is known."""
        stage = self.stage
        done = gauges.done - self._done_before
        left = []
        if stage.planned is not None and self._rate > 0:
            left.append(max(0.0, (stage.planned - done) / self._rate))
        if stage.duration_s is not None and stage.window_began_ns is not None:
            left.append(max(0.0, stage.duration_s - (now_ns - stage.window_began_ns) / 1e9))
        place = f"phase {stage.number} of {stage.of}, " if stage.of > 1 else ""
        return "  ".join(
            [
                f"{place}{stage.name}:",
                f"{done} of {stage.planned} requests" if stage.planned is not None else f"{done} requests",
                f"{self._rate:.0f}/s",
                f"{gauges.failed - self._failed_before} failed",
                f"{gauges.loose} {'in flight' if stage.load == 'open' else 'users'}",
                f"{min(left):.0f} s left" if left else "until stopped",
            ]
        )

    def clear(self) -> None:
        """Leave the line empty for whoever writes next."""
        if self._shown:
            self._write("\r\x1b[K")
            self._shown = False

    def _draw(self, text: str) -> None:
        self._write(f"\r\x1b[K{text}")
        self._shown = True

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            self._visible = False
