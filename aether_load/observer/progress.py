"""Say how far the run is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import os
import shutil
import sys
from time import monotonic_ns
from typing import TextIO

import numpy as np

from aether_load.observer.live.bins import BINS, bins_of, percentile_ms
from aether_load.observer.messages import Gauges, StageNow
from aether_load.rundata.records.record_format import ABSENT
from aether_load.rundata.records.record_reader import RecordBatch
from aether_load.text import terminal_text

LINE_EVERY_NS = 10_000_000_000
"""Between two lines where no terminal is."""
_NEW_SHARE = 0.3
_BAR_WIDTH = 14
_LEAST_COLUMNS = 40


class Progress:
    """How far the phase under way is: done of all, rate, p95, failures, users, and the time left where it is known."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._is_terminal = self._stream.isatty()
        self._shown = False
        self.stage = StageNow(name=None)
        self._last: tuple[int, int] | None = None
        self._said_ns = monotonic_ns()
        self._number = -1
        self._done_before = 0
        self._failed_before = 0
        self._rate = 0.0
        self._latencies = np.zeros(BINS, np.int64)

    def add(self, batch: RecordBatch) -> None:
        """Take in records of the phase under way."""
        rows = batch.requests
        rows = rows[rows["sent_ns"] != ABSENT]
        if len(rows):
            bins = bins_of((rows["ended_ns"] - rows["due_ns"]) / 1000)
            self._latencies += np.bincount(bins, minlength=BINS)

    def take(self, gauges: Gauges) -> None:
        """Take in how things stand, and say it."""
        now_ns = monotonic_ns()
        if self.stage.number != self._number:
            self._number, self._done_before, self._failed_before = self.stage.number, gauges.done, gauges.failed
            self._latencies[:] = 0
        if self._last is not None and now_ns > self._last[0]:
            rate = (gauges.done - self._last[1]) / ((now_ns - self._last[0]) / 1e9)
            self._rate = rate if self._rate == 0 else (1 - _NEW_SHARE) * self._rate + _NEW_SHARE * rate
        self._last = now_ns, gauges.done
        if self.stage.name is None:
            return
        if self._is_terminal:
            self._draw(gauges, now_ns)
        elif now_ns - self._said_ns >= LINE_EVERY_NS:
            self._said_ns = now_ns
            self._write(f"aether-load: {self.text(gauges, now_ns)}\n")

    def text(self, gauges: Gauges, now_ns: int) -> str:
        """Return it in words."""
        stage = self.stage
        done = gauges.done - self._done_before
        left = self._left_s(done, now_ns)
        p95 = percentile_ms(self._latencies, 0.95)
        place = f"phase {stage.number} of {stage.of}, " if stage.of > 1 else ""
        words = [
            f"{place}{stage.name}:",
            f"{done} of {stage.planned}" if stage.planned is not None else f"{done} requests",
            f"{self._rate:.0f}/s",
            "" if p95 is None else f"p95 {p95:.3g} ms" if p95 < 10 else f"p95 {p95:.0f} ms",
            f"{gauges.failed - self._failed_before} failed",
            f"{left:.0f} s left" if left is not None else "" if self._has_end else "until stopped",
            f"{gauges.active} in flight"
            if stage.load == "open"
            else "1 user"
            if gauges.active == 1
            else f"{gauges.active} users",
        ]
        return "  ".join(filter(None, words))

    def share(self, gauges: Gauges, now_ns: int) -> float | None:
        """Return which share of the phase is over, None where it goes on until it is stopped."""
        stage = self.stage
        shares = []
        if stage.planned:
            shares.append((gauges.done - self._done_before) / stage.planned)
        if stage.duration_s and stage.window_began_ns is not None:
            shares.append((now_ns - stage.window_began_ns) / 1e9 / stage.duration_s)
        elif stage.duration_s:
            shares.append(0.0)
        return min(1.0, max(shares)) if shares else None

    def clear(self) -> None:
        """Clear the line for other output."""
        if self._shown:
            self._write("\r\x1b[K")
            self._shown = False

    @property
    def _has_end(self) -> bool:
        return self.stage.planned is not None or self.stage.duration_s is not None

    def _left_s(self, done: int, now_ns: int) -> float | None:
        stage, left = self.stage, []
        if stage.planned is not None and self._rate > 0:
            left.append(max(0.0, (stage.planned - done) / self._rate))
        if stage.duration_s is not None and stage.window_began_ns is not None:
            left.append(max(0.0, stage.duration_s - (now_ns - stage.window_began_ns) / 1e9))
        return min(left) if left else None

    def _draw(self, gauges: Gauges, now_ns: int) -> None:
        columns = max(_LEAST_COLUMNS, shutil.get_terminal_size().columns) - 1
        share = self.share(gauges, now_ns)
        bar = "" if share is None else f"{_bar(share, self._stream)} "
        room = columns - (_BAR_WIDTH + 1 if bar else 0)
        self._write(f"\r\x1b[K{bar}{terminal_text(self.text(gauges, now_ns))[:room]}")
        self._shown = True

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, UnicodeError):
            self._is_terminal, self._said_ns = False, sys.maxsize


def _bar(share: float, stream: TextIO) -> str:
    """Return a bar of rich's, in its colours unless NO_COLOR is set."""
    from rich.console import Console  # noqa: PLC0415 -- only for a terminal
    from rich.progress_bar import ProgressBar  # noqa: PLC0415

    console = Console(file=stream, width=_BAR_WIDTH, force_terminal=True, no_color="NO_COLOR" in os.environ or None)
    with console.capture() as captured:
        console.print(ProgressBar(total=1.0, completed=share, width=_BAR_WIDTH), end="")
    # Without colour rich leaves out what is not done yet.
    bar = captured.get().rstrip("\n")
    return bar if "\x1b" in bar else bar.ljust(_BAR_WIDTH)
