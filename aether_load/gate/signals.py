"""Take Ctrl-C, SIGTERM and SIGHUP while a gate or a measurement of claims goes on: what it started ends with it."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def interrupt_on_signals() -> None:
    """Raise KeyboardInterrupt on each of them, SIGHUP only where it is not ignored (nohup)."""
    for number in ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


@contextmanager
def undisturbed() -> Iterator[None]:
    """Finish what is in the block first: a signal that comes meanwhile is dropped, since the gate ends anyway."""
    with _handled_by(signal.SIG_IGN):
        yield


@contextmanager
def handed_on(child: subprocess.Popen[bytes]) -> Iterator[None]:
    """Hand them on to a child, as Ctrl-C: it ends in order, and the gate with it."""
    with _handled_by(lambda _number, _frame: child.send_signal(signal.SIGINT)):
        yield


@contextmanager
def _handled_by(handler: Callable[[int, Any], object] | signal.Handlers) -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in ENDING}
    for number, own in before.items():
        if own is not signal.SIG_IGN:
            signal.signal(number, handler)
    try:
        yield
    finally:
        for number, own in before.items():
            signal.signal(number, own)
