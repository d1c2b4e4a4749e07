"""What the progress says, and where it says it."""

import io
from typing import Any

import numpy as np
import pytest

from aether_load.observer import progress as module
from aether_load.observer.messages import Gauges, StageNow
from aether_load.observer.progress import LINE_EVERY_NS, Progress
from aether_load.rundata.records.record_reader import REQUEST_TYPE, RecordBatch

MS = 1_000_000
S = 1_000_000_000
STAGE = StageNow(name="users-4", users=4, planned=400, number=3, of=7)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def gauges(done: int, failed: int = 0) -> Gauges:
    return Gauges(done=done, failed=failed, active=4, thinking=0, waiting=0, cpu_s=0.0)


def answers(latency_ms: int, count: int) -> RecordBatch:
    rows = np.zeros(count, REQUEST_TYPE)
    rows["ended_ns"] = latency_ms * MS
    nothing: Any = np.zeros(0, REQUEST_TYPE)
    return RecordBatch(requests=rows, nodes=nothing, levels=nothing, holds=nothing, iterations=nothing)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A clock that a test sets."""
    now = [0]
    monkeypatch.setattr(module, "monotonic_ns", lambda: now[0])
    return now


def drawn(progress: Progress, clock: list[int], at_s: int, done: int, failed: int = 0) -> None:
    clock[0] = at_s * S
    progress.take(gauges(done, failed))


def test_a_terminal_has_a_bar_and_what_is_of_interest(clock: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Phase, done of all, rate, p95, failures and time left; no colour with NO_COLOR."""
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    terminal = Terminal()
    progress = Progress(terminal)
    progress.stage = STAGE
    drawn(progress, clock, 1, 0)
    progress.add(answers(62, 100))
    drawn(progress, clock, 2, 100, failed=2)
    line = terminal.getvalue().rpartition("\r\x1b[K")[2]
    assert line[:15] == "━━━╸" + 11 * " "
    assert line[15:] == "phase 3 of 7, users-4:  100 of 400  100/s  p95 62 ms  2 failed  3 s left  4 users"
    progress.clear()
    assert terminal.getvalue().endswith("\r\x1b[K")


def test_a_load_without_an_end_has_no_bar(clock: list[int]) -> None:
    """It goes on until it is stopped."""
    terminal = Terminal()
    progress = Progress(terminal)
    progress.stage = StageNow(name="closed", users=4, number=1)
    drawn(progress, clock, 1, 0)
    drawn(progress, clock, 2, 50)
    assert (
        terminal.getvalue().rpartition("\r\x1b[K")[2] == "closed:  50 requests  50/s  0 failed  until stopped  4 users"
    )


def test_elsewhere_there_is_a_line_every_ten_seconds(clock: list[int]) -> None:
    """Plain, with its newline; a short run says nothing."""
    out = io.StringIO()
    progress = Progress(out)
    progress.stage = STAGE
    for second in range(10):
        drawn(progress, clock, second, 10 * second)
    assert out.getvalue() == ""
    for second in range(10, 25):
        drawn(progress, clock, second, 10 * second)
    lines = out.getvalue().splitlines()
    assert len(lines) == 2
    assert lines[0] == "aether-load: phase 3 of 7, users-4:  100 of 400  10/s  0 failed  30 s left  4 users"
    assert LINE_EVERY_NS == 10 * S


def test_each_phase_is_counted_from_its_beginning(clock: list[int]) -> None:
    """What was done and how long it took before belongs to the phases before."""
    out = Terminal()
    progress = Progress(out)
    progress.stage = STAGE
    drawn(progress, clock, 1, 0)
    progress.add(answers(900, 50))
    drawn(progress, clock, 2, 50)
    progress.stage = StageNow(name="users-8", users=8, planned=400, number=4, of=7)
    drawn(progress, clock, 3, 100)
    assert "users-8:  0 of 400" in out.getvalue().rpartition("\r\x1b[K")[2]
    assert "p95" not in out.getvalue().rpartition("\r\x1b[K")[2]
