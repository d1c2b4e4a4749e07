"""Signals to a process that is no worker, before its run, during it and after it."""

from __future__ import annotations

import signal
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from gevent.event import Event

from aether_load.errors import ExitCode
from aether_load.load import interruption
from aether_load.load.interruption import Interruption
from aether_load.load.progress import ProgressLine

INTERRUPT, TERMINATE = signal.SIGINT, signal.SIGTERM
EARLY = "aether-load: interrupted before the load began.\n"


class Interrupted:
    """A main greenlet that waits as Locust's does, and what it, the run and the workers were made to do."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, *, headless: bool = True, master: bool = False, run: str | None = None
    ) -> None:
        """Take in how far the run is: None before it has begun, else "running" or "finished"."""
        self.calls: list[Any] = []
        self._handlers: dict[int, Any] = {}
        monkeypatch.setattr(interruption, "on_signal", self._handlers.__setitem__)
        monkeypatch.setattr(interruption, "take_hangup_as_termination", lambda: None)
        environment = SimpleNamespace(
            runner=SimpleNamespace(send_message=self.calls.append),
            parsed_options=SimpleNamespace(headless=headless, master=master),
        )
        controller: Any = SimpleNamespace(is_finished=run == "finished", hurry=lambda: self.calls.append("hurry"))
        self.begun = Event()
        self._main = gevent.spawn(self._wait, environment, controller if run else None)
        assert self.begun.wait(20)

    def _wait(self, environment: Any, controller: Any) -> None:
        self.interruption = Interruption(environment, ProgressLine(), lambda: controller)
        self.interruption.listen()
        self.begun.set()
        try:
            gevent.sleep(3600)
        except (KeyboardInterrupt, SystemExit) as end:
            self.calls.append(end.code if isinstance(end, SystemExit) else type(end))

    def send(self, number: int) -> None:
        self._handlers[number]()

    def ended(self) -> list[Any]:
        """What was done, once the main greenlet has had its turn."""
        gevent.sleep(0)
        self._main.kill()
        return self.calls


def test_the_first_interruption_goes_to_locust_and_the_next_to_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Interrupted(monkeypatch, run="running")
    run.send(INTERRUPT)
    gevent.sleep(0)
    run.send(INTERRUPT)
    run.send(TERMINATE)
    assert run.ended() == [KeyboardInterrupt, "hurry", "hurry"]


def test_a_termination_is_left_to_locusts_own_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Interrupted(monkeypatch, run="running")
    run.send(TERMINATE)
    assert run.ended() == []


@pytest.mark.parametrize(("headless", "calls"), [(True, []), (False, [KeyboardInterrupt])])
def test_an_interruption_of_a_run_whose_results_are_written_ends_a_page_only(
    monkeypatch: pytest.MonkeyPatch, headless: bool, calls: list[Any]
) -> None:
    """Without a page the process is about to end by itself."""
    run = Interrupted(monkeypatch, headless=headless, run="finished")
    run.send(INTERRUPT)
    assert run.ended() == calls


@pytest.mark.parametrize("number", [INTERRUPT, TERMINATE])
def test_a_master_that_waits_for_workers_leaves_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    """Locust listens to nothing else while it waits; the workers that have come are sent home."""
    run = Interrupted(monkeypatch, master=True)
    run.send(number)
    assert run.ended() == ["quit", int(ExitCode.INTERRUPTED)]
    assert capsys.readouterr().err == EARLY


def test_a_master_leaves_once_however_many_workers_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Interrupted(monkeypatch, master=True)
    run.interruption.leave_before_load(ExitCode.USAGE)
    run.interruption.leave_before_load(ExitCode.TARGET)
    assert run.ended() == ["quit", int(ExitCode.USAGE)]


@pytest.mark.parametrize(
    "more", [{"master": True, "headless": False}, {"master": True, "run": "running"}, {"master": False}]
)
def test_nobody_leaves_where_a_page_or_a_run_waits(monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]) -> None:
    run = Interrupted(monkeypatch, **more)
    run.interruption.leave_before_load(ExitCode.USAGE)
    assert run.ended() == []
