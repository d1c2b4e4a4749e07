"""End a process in order on SIGINT, SIGTERM and SIGHUP, from its first instant to its last.

Nothing here imports gevent at the top: it is imported before Locust is.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_INTERRUPTED = 130
_SAID = b"aether-load: interrupted before the load began.\n"


def end_early_on_signals() -> None:
    """End at once, with a sentence, while there is nothing yet to be ended in order.

    A handler that is not Python's or the system's own is left alone, and so is a signal that is ignored (nohup).
    """
    process = os.getpid()

    def end(_number: int, _frame: object) -> None:
        if os.getpid() == process:
            # A child of --processes leaves the word to its master, whose terminal it shares.
            os.write(2, _SAID)
        os._exit(_INTERRUPTED)

    for number in ENDING:
        if signal.getsignal(number) in {signal.SIG_DFL, signal.default_int_handler}:
            signal.signal(number, end)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)


def hold_signals() -> None:
    """Let no signal change the exit code any more: the run has ended, and the process is about to."""
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    for number in ENDING:
        # Other threads do not block them.
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def raising_in(greenlet: Any) -> Iterator[None]:
    """Raise KeyboardInterrupt in a greenlet, at a point where it waits, on each of the signals."""
    import gevent  # noqa: PLC0415

    watchers = [
        gevent.signal_handler(number, gevent.kill, greenlet, KeyboardInterrupt)
        for number in ENDING
        if signal.getsignal(number) is not signal.SIG_IGN
    ]
    try:
        yield
    finally:
        for watcher in watchers:
            watcher.cancel()


def take_hangup_as_termination() -> None:
    """End on SIGHUP as on SIGTERM, unless it is ignored: the terminal, or the connection to it, is gone."""
    import gevent  # noqa: PLC0415

    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        gevent.signal_handler(signal.SIGHUP, os.kill, os.getpid(), signal.SIGTERM)


def on_signal(number: signal.Signals, handler: Callable[..., object], *arguments: object) -> None:
    """Call a handler, in a greenlet of its own, whenever a signal comes."""
    import gevent  # noqa: PLC0415

    gevent.signal_handler(number, handler, *arguments)
