"""One line on the terminal that says how far things are; nothing at all where nobody watches."""

from __future__ import annotations

import sys
from time import monotonic_ns
from typing import TYPE_CHECKING, TextIO

import gevent

from aether_load.text import terminal_text

if TYPE_CHECKING:
    from aether_load.load.phases import PhaseDriver

_INTERVAL_S = 0.25


class ProgressLine:
    """A line that is written over itself, on a terminal only."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._shown = False

    @property
    def visible(self) -> bool:
        """Tell whether there is a terminal to write on."""
        return self._stream.isatty()

    def show(self, text: str) -> None:
        """Put `text` in place of what stood there."""
        if self.visible:
            self._stream.write(f"\r\x1b[K{terminal_text(text)}")
            self._stream.flush()
            self._shown = True

    def clear(self) -> None:
        """Leave the line empty for whoever writes next."""
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._shown = False


def watch(driver: PhaseDriver, line: ProgressLine) -> None:
    """Keep the line up to date until killed."""
    if not line.visible:
        return
    last_done, last_ns, rate = driver.senders.tally().done, monotonic_ns(), 0.0
    while True:
        gevent.sleep(_INTERVAL_S)
        done, now_ns = driver.senders.tally().done, monotonic_ns()
        current_rate = (done - last_done) / ((now_ns - last_ns) / 1e9)
        rate = current_rate if rate == 0 else 0.7 * rate + 0.3 * current_rate
        last_done, last_ns = done, now_ns
        line.show(progress_text(driver, rate, now_ns))


def progress_text(driver: PhaseDriver, rate_rps: float, now_ns: int) -> str:
    """Return the line's text: done of all, rate, failures, and the time left as far as it can be known."""
    if driver.current is None:
        return "waiting for the users"
    stage, record = driver.current
    tally = driver.senders.tally()
    done = tally.done - driver.done_before
    planned = driver.planned_requests
    left = []
    if planned is not None and rate_rps > 0:
        left.append(max(0.0, (planned - done) / rate_rps))
    if stage.duration_s is not None and record.window_began_ns is not None:
        left.append(max(0.0, stage.duration_s - (now_ns - record.window_began_ns) / 1e9))
    return "  ".join(
        [
            f"{record.name}:",
            f"{done} of {planned} requests" if planned is not None else f"{done} requests",
            f"{rate_rps:.0f}/s",
            f"{tally.failed} failed",
            f"{tally.loose} {'in flight' if stage.load == 'open' else 'users'}",
            f"{min(left):.0f} s left" if left else "until stopped",
        ]
    )
