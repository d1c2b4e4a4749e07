"""Times in which the event loop did not run are recorded, whatever held it."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

from aether_load.load.process.loop_watch import LoopWatch
from aether_load.rundata.records.record_buffer import RecordBuffer
from aether_load.rundata.records.record_format import HOLD

MS = 1_000_000


@pytest.fixture
def holds() -> Iterator[Callable[..., Any]]:
    """Watch this thread's loop; call it for the holds so far, as (began, ended, caught up) in ns."""
    buffer = RecordBuffer(["piqa/0"], ["piqa"])
    watch = LoopWatch(buffer)

    def so_far() -> list[tuple[int, int, int]]:
        buffer.seal()
        found = []
        while (block := buffer.take()) is not None:
            found += [fields[1:] for fields in HOLD.iter_unpack(block.holds)]
        return found

    yield so_far
    watch.close()


def test_a_step_that_does_not_yield_is_a_hold(holds: Callable[..., Any]) -> None:
    """From its beginning to its end, and the loop has caught up when it next has nothing to do."""
    edges = []

    def work() -> None:
        edges.append(time.monotonic_ns())
        time.sleep(0.03)  # in place of computing
        edges.append(time.monotonic_ns())

    gevent.spawn(work).join()
    gevent.sleep(0.02)
    began, ended, caught_up = max(holds(), key=lambda hold: hold[1] - hold[0])
    assert began <= edges[0]
    assert ended >= edges[1]
    assert caught_up >= ended


def test_a_process_that_was_stopped_was_held(holds: Callable[..., Any]) -> None:
    """While it waits for nothing in particular: the watch has a timer of its own."""
    pid = os.getpid()
    before = time.monotonic_ns()
    script = f"kill -STOP {pid}; sleep 0.06; kill -CONT {pid}"
    process = subprocess.Popen(["/bin/sh", "-c", script])
    while process.poll() is None:
        gevent.sleep(0.005)
    gevent.sleep(0.02)
    longest = max(holds(), key=lambda hold: hold[1] - hold[0])
    assert longest[1] - longest[0] >= 50 * MS
    assert longest[0] >= before - 10 * MS


def test_holds_before_the_loop_has_caught_up_begin_with_the_first(holds: Callable[..., Any]) -> None:
    """What is read after the second may have waited since the first began."""

    def work(times: int) -> None:
        for _ in range(times):
            time.sleep(0.01)  # in place of computing
            gevent.sleep(0)

    began_ns = time.monotonic_ns()
    gevent.spawn(work, 3).join()
    ended_ns = time.monotonic_ns()
    gevent.sleep(0.02)
    # A busy machine may stop the process before or afterwards, too.
    own = [hold for hold in holds() if hold[1] - hold[0] >= 9 * MS and began_ns <= hold[1] and hold[0] <= ended_ns]
    assert len({began for began, _, _ in own}) == 1
    assert len({caught_up for _, _, caught_up in own}) == 1


def test_what_is_closed_can_be_closed_again() -> None:
    """A worker closes its part at the master's word, and once more when the next run begins."""
    watch = LoopWatch(RecordBuffer([], []))
    watch.close()
    watch.close()
