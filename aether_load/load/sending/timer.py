"""Call back at an instant, to within some hundredths of a millisecond where the system can."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from time import monotonic_ns
from typing import Any, Protocol

from gevent import get_hub

_CLOCK_MONOTONIC = 1
_ABSOLUTE = 1
_NS_PER_S = 1_000_000_000


class Alarm(Protocol):
    """Calls back once when it is `at_ns` of the monotonic clock, on the event loop; set anew it forgets the old."""

    def set(self, at_ns: int) -> None:
        """Call back at `at_ns`, or at once when that is over."""

    def close(self) -> None:
        """Never call back again."""


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


def open_timer(interval_ns: int) -> int:
    """Return the descriptor of a timer of the Linux kernel that becomes readable every `interval_ns`.

    Raises OSError or AttributeError where the system has no such timers.
    """
    descriptor, set_time = _new_timer()
    step = _Timespec(*divmod(interval_ns, _NS_PER_S))
    set_time(descriptor, 0, ctypes.byref(_Itimerspec(step, step)), None)
    return descriptor


def _new_timer() -> tuple[int, Any]:
    """Return a descriptor, and the kernel's function that sets such a timer."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor: int = libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "timerfd_create")
    return descriptor, libc.timerfd_settime


class TimerDescriptorAlarm:
    """A timer of the Linux kernel, waited for like a socket.

    The event loop's own timers count in whole milliseconds, and are late by one of them now and then.
    """

    def __init__(self, callback: Callable[[], None]) -> None:
        """Raise OSError or AttributeError where the system has no such timers."""
        self._fd, self._set_time = _new_timer()
        self._time = _Itimerspec()
        self._time_at = ctypes.byref(self._time)
        self._callback = callback
        self._watcher: Any = get_hub().loop.io(self._fd, 1)
        self._watcher.start(self._rings)

    def set(self, at_ns: int) -> None:
        """Call back at `at_ns`, or at once when that is over."""
        value = self._time.value
        value.seconds, value.nanoseconds = divmod(max(1, at_ns), _NS_PER_S)
        self._set_time(self._fd, _ABSOLUTE, self._time_at, None)

    def _rings(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            return
        self._callback()

    def close(self) -> None:
        """Never call back again."""
        self._watcher.stop()
        self._watcher.close()
        os.close(self._fd)


class LoopAlarm:
    """The event loop's own timer, where there is nothing better; up to a millisecond or two late."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback = callback
        self._timer: Any = None

    def set(self, at_ns: int) -> None:
        """Call back at `at_ns`, or at once when that is over."""
        self.close()
        self._timer = get_hub().loop.timer(max(0.0, (at_ns - monotonic_ns()) / _NS_PER_S))
        self._timer.start(self._callback, update=True)

    def close(self) -> None:
        """Never call back again."""
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None


def new_alarm(callback: Callable[[], None]) -> Alarm:
    """Return the best alarm that the system has."""
    try:
        return TimerDescriptorAlarm(callback)
    except (OSError, AttributeError):
        return LoopAlarm(callback)
