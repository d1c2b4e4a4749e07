"""What a process has taken, read by itself and from outside."""

from __future__ import annotations

import os
import threading
from time import process_time, thread_time

from aether_load.observer.sender_watch import SenderWatch

WORK_S = 0.05


def work() -> None:
    began = thread_time()
    while thread_time() - began < WORK_S:
        pass


def test_threads_that_have_ended_count_in_a_process_that_reads_itself() -> None:
    """An evaluation sends from threads that end before its last reading."""
    watch = SenderWatch(os.getpid())
    before = watch.read()
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    after = watch.read()
    assert before is not None
    assert after is not None
    assert after.cpu_s - before.cpu_s >= WORK_S
    assert after.cpu_s <= process_time()


def test_a_process_that_is_gone_has_no_reading() -> None:
    """Its number cannot be another's: no process has it."""
    assert SenderWatch(2**31 - 1).read() is None
