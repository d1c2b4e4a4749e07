"""Talk to the observer over a socket that never blocks the event loop."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

import gevent
import msgspec
from gevent.event import AsyncResult, Event
from gevent.queue import Queue

from aether_load.errors import AetherLoadError, ExitCode, explain
from aether_load.load.observer_process import ObserverProcess
from aether_load.observer import messages as say

START_LIMIT_S = 30.0
SCRAPE_LIMIT_S = 10.0
"""Beside the time that the readings themselves may take."""
FLUSH_LIMIT_S = 60.0
JUDGE_LIMIT_S = 120.0
ASK_LIMIT_S = 10.0
PAGE_LIMIT_S = 150.0
STILL_LIMIT_S = 120.0
_STANDS_STILL = f"it has done nothing for {STILL_LIMIT_S:g} s"
_LOOK_INTERVAL_S = 2.0
_RECEIVE_BYTES = 1 << 16


class ObserverLost(AetherLoadError):
    """The observer has ended or does not answer."""

    exit_code = ExitCode.INVALID


class CommandFailed(AetherLoadError):
    """The observer could not do what it was told; it goes on."""

    def __init__(self, sentence: str, exit_code: ExitCode) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


class ObserverClient:
    """One observer process and what it says; `lost` is set when it is gone, with the reason in `why`."""

    def __init__(self, process: ObserverProcess) -> None:
        self._process = process
        self.lost = Event()
        self.why = ""
        self._ready = Event()
        self.page_made = Event()
        self.page_made.set()
        self._waiting: dict[int, AsyncResult] = {}
        self._last_id = 0
        self._is_closing = False
        self._out: Queue = Queue()
        self.on_broken: Callable[[say.Broken], None] | None = None
        self.on_counted: Callable[[say.Counted], None] | None = None
        self.on_refused: Callable[[str], None] | None = None
        self._greenlets = [gevent.spawn(self._receive_for_ever), gevent.spawn(self._send_for_ever)]

    def wait_until_ready(self) -> None:
        """Wait until it listens; raises ObserverLost."""
        gevent.wait([self._ready, self.lost], timeout=START_LIMIT_S, count=1)
        if not self._ready.is_set():
            self._lose(self.why or f"it was not ready within {START_LIMIT_S:g} s")
            raise ObserverLost(f"The observer could not be started: {self.why}.")

    def send(self, command: say.Command) -> None:
        """Send a command that is not answered; what cannot be sent any more is dropped."""
        if not self.lost.is_set():
            self._out.put(say.frame(command))

    def call(self, command: say.Command, limit_s: float | None) -> Any:
        """Send a command and return its answer; raises ObserverLost, and CommandFailed for what went wrong.

        What may take any time (None) is waited for as long as the observer works on it.
        """
        if self.lost.is_set():
            raise ObserverLost(f"The observer is gone: {self.why}.")
        self._last_id += 1
        number = self._last_id
        result = self._waiting[number] = AsyncResult()
        self.send(msgspec.structs.replace(command, id=number))
        try:
            answer = result.get(timeout=limit_s) if limit_s is not None else self._get_while_it_works(result)
        except gevent.Timeout:
            what = f"it did not answer within {limit_s:g} s" if limit_s is not None else _STANDS_STILL
            self._lose(what)
            raise ObserverLost(f"The observer is gone: {self.why}.") from None
        finally:
            self._waiting.pop(number, None)
        if isinstance(answer, say.Failed):
            raise CommandFailed(answer.sentence, ExitCode(answer.exit_code))
        if isinstance(answer, say.Refused):
            raise CommandFailed(f"the disk refused it ({answer.reason})", ExitCode.INVALID)
        return answer

    def _get_while_it_works(self, result: AsyncResult) -> Any:
        """Return an answer; raises gevent.Timeout when the process has done nothing for a time."""
        taken: float | None = None
        left_s = STILL_LIMIT_S
        while True:
            began = monotonic()
            try:
                return result.get(timeout=_LOOK_INTERVAL_S)
            except gevent.Timeout:
                if (now := self._process.cpu_s()) not in {None, taken}:
                    taken, left_s = now, STILL_LIMIT_S
                # A machine that slept, or a sender that was stopped, has waited for less than it seems.
                left_s -= min(monotonic() - began, 2 * _LOOK_INTERVAL_S)
                if left_s <= 0:
                    raise

    def close(self) -> None:
        """Have it end when the last page is made."""
        gevent.wait([self.page_made, self.lost], timeout=PAGE_LIMIT_S, count=1)
        self._is_closing = True
        self.send(say.Quit())
        self._process.end()
        gevent.killall(self._greenlets)
        self._process.socket.close()

    def _send_for_ever(self) -> None:
        while True:
            data = self._out.get()
            try:
                self._process.socket.sendall(data)
            except OSError:
                return

    def _receive_for_ever(self) -> None:
        frames = say.Frames()
        try:
            while data := self._process.socket.recv(_RECEIVE_BYTES):
                for content in frames.feed(data):
                    self._take(say.decode_answer(content))
        except (OSError, msgspec.MsgspecError, ValueError) as error:
            self._lose(f"it cannot be understood ({error})")
            return
        except Exception as error:  # noqa: BLE001 -- nobody would hear the observer any longer
            self._lose(explain(error)[0].rstrip("."))
            return
        self._lose("its process ended")

    def _take(self, answer: Any) -> None:
        waiting = self._waiting.get(answer.id) if answer.id else None
        if waiting is not None:
            waiting.set(answer)
        elif isinstance(answer, say.Ready):
            self._ready.set()
        elif isinstance(answer, say.Broken) and self.on_broken is not None:
            self.on_broken(answer)
        elif isinstance(answer, say.Counted) and self.on_counted is not None:
            # In a greenlet of its own, so that it can give way between two names.
            gevent.spawn(self.on_counted, answer)
        elif isinstance(answer, say.PageMade):
            self.page_made.set()
        elif isinstance(answer, say.Refused) and self.on_refused is not None:
            self.on_refused(answer.reason)
        elif isinstance(answer, say.Failed):
            self._lose(answer.sentence.rstrip("."))

    def _lose(self, why: str) -> None:
        if self.lost.is_set() or self._is_closing:
            return
        self.why = why
        self.lost.set()
        self._process.kill()
        for waiting in list(self._waiting.values()):
            waiting.set_exception(ObserverLost(f"The observer is gone: {why}."))
