"""End a process's run on Ctrl-C and SIGTERM, and the process itself where no run has begun."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import gevent

from aether_load.errors import ExitCode
from aether_load.load.process.signals import on_signal, take_hangup_as_termination
from aether_load.load.progress import ProgressLine
from aether_load.load.run_controller import RunController


class Interruption:
    """What signals do to a process that is no worker: the first ends its run in order, later ones at once."""

    def __init__(self, environment: Any, line: ProgressLine, controller: Callable[[], RunController | None]) -> None:
        """Take in the function that returns the run that has begun, if any; to be called in Locust's main greenlet."""
        self._runner = environment.runner
        self._headless = bool(environment.parsed_options.headless)
        self._is_master = bool(environment.parsed_options.master)
        self._line = line
        self._controller = controller
        self._main = gevent.getcurrent()
        self._signals = 0
        self._is_leaving = False

    def listen(self) -> None:
        """Take the process's signals from now on."""
        on_signal(signal.SIGINT, self._on_interrupt)
        on_signal(signal.SIGTERM, self._on_terminate)
        take_hangup_as_termination()

    def _on_interrupt(self) -> None:
        """Hand the first Ctrl-C to Locust's main greenlet, which waits for the run; later ones wait for no answers.

        Python's own handler raises in whichever greenlet runs just then: a user's request would be lost with it.
        """
        controller = self._controller()
        if self._hurries():
            return
        if self._headless and controller is not None and controller.is_finished:
            return  # The results are written and the process is about to end by itself.
        if not self._leaves_before_load():
            gevent.kill(self._main, KeyboardInterrupt)

    def _on_terminate(self) -> None:
        """End where Locust, whose own handler is called too, does not listen yet; a second one waits for no answers."""
        if not self._hurries():
            self._leaves_before_load()

    def _hurries(self) -> bool:
        """Wait for no answers any longer, and return True, at any signal but the first."""
        self._signals += 1
        controller = self._controller()
        if self._signals > 1 and controller is not None:
            controller.hurry()
        return self._signals > 1

    def _leaves_before_load(self) -> bool:
        if not self._is_before_load:
            return False
        self._line.say("interrupted before the load began.")
        self.leave_before_load(ExitCode.INTERRUPTED)
        return True

    @property
    def _is_before_load(self) -> bool:
        """Tell whether a master without a page waits for its workers, where Locust listens to nothing else."""
        return self._headless and self._is_master and self._controller() is None

    def leave_before_load(self, code: ExitCode) -> None:
        """End where a master without a page still waits for its workers; once, however many ask for it."""
        if self._is_before_load and not self._is_leaving:
            self._is_leaving = True
            self._runner.send_message("quit")
            gevent.kill(self._main, SystemExit(int(code)))
