"""Locust's events become the begin and the ends of a run, over fakes of the session, the run and the master."""

from __future__ import annotations

from io import StringIO
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from locust.event import Events

from aether_load.errors import ExitCode, TargetError
from aether_load.load import listener as module
from aether_load.load.listener import Listener
from aether_load.load.progress import ProgressLine
from aether_load.load.web.monitoring import Monitoring

URL = "http://here"
new_events: Any = Events


class FakeController:
    """A run that notes how it is ended."""

    def __init__(self, calls: list[Any], *, finished: bool = False) -> None:
        self._calls = calls
        self.is_load_over = self.is_finished = finished
        self.results = SimpleNamespace(show_summary=lambda: calls.append("summary"))

    def __getattr__(self, name: str) -> Any:
        if name not in {"begin", "end", "fail", "end_as_planned", "end_without_workers", "end_from_page"}:
            raise AttributeError(name)
        return lambda *arguments: self._calls.append((name, *arguments))


class FakeMaster:
    """A master that notes what it does, and whose workers are there or not."""

    def __init__(self, calls: list[Any], *, has_workers: bool) -> None:
        self.has_workers = has_workers
        self._calls = calls

    def users_for(self, users: int) -> int:
        return users * 10

    def __getattr__(self, name: str) -> Any:
        if name not in {"hand_over", "wait_for_workers", "limit_wait", "close"}:
            raise AttributeError(name)
        return lambda *_: self._calls.append(f"master.{name}")


class Installed:
    """A listener that has prepared its process, and everything that it had others do, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, headless: bool, master: bool, workers: bool) -> None:
        self.calls: list[Any] = []
        self._terminal = StringIO()
        options = SimpleNamespace(
            headless=headless, master=master, results_dir="results", host=None, csv_prefix=None,
        )  # fmt: skip
        runner = SimpleNamespace(
            quit=lambda: self.calls.append("quit"),
            stop=lambda: self.calls.append("stop"),
            send_message=lambda name: self.calls.append(("to workers", name)),
            shape_greenlet=None,
        )
        self.environment: Any = SimpleNamespace(
            events=new_events(), parsed_options=options, runner=runner, stats=None, host=None, shape_class=None,
            process_exit_code=None,
        )  # fmt: skip
        load = SimpleNamespace(target=SimpleNamespace(url=URL), workload=SimpleNamespace(prompts=(1, 2)))
        self.session = SimpleNamespace(
            load=load,
            end=lambda: self.calls.append("session.end"),
            follow_host=lambda host: self.calls.append(("host", host)),
        )
        live = SimpleNamespace(refuse=lambda sentence: self.calls.append(("page", sentence)))
        shown = SimpleNamespace(live=live, end=lambda: self.calls.append("page.end"))
        scenario = SimpleNamespace(name="fake")
        interruption = SimpleNamespace(listen=lambda: None, leave_before_load=self._leave)
        fakes: dict[str, Any] = {
            "Session": lambda *_: self.session,
            "checked_scenario": lambda *_, **__: scenario,
            "prepare_session": lambda *_: self.calls.append("prepared"),
            "most_users": lambda _: 4,
            "fill_in_options": lambda _, *counts: self.calls.append(("users", *counts)),
            "keep_entries": lambda _: None,
            "described": lambda _: "runtime",
            "scenario_from": lambda _: scenario,
            "scenario_hash": lambda _: "hash",
            "Interruption": lambda *_: interruption,
            "Master": lambda *_: FakeMaster(self.calls, has_workers=workers),
            "ProgressLine": lambda: ProgressLine(self._terminal),
            "hold_signals": lambda: self.calls.append("hold"),
            "new_run": lambda *_: self._new_run(),
        }
        for name, fake in fakes.items():
            monkeypatch.setattr(module, name, fake)
        monkeypatch.setattr(Monitoring, "of", lambda *_, **hooks: self._shows(shown, hooks))
        self.refusal: Exception | None = None
        self.controller: Any = FakeController(self.calls)
        self.listener = Listener(self.environment)

    def _leave(self, code: ExitCode) -> None:
        self.calls.append(("leave", code))

    def _shows(self, shown: Any, hooks: dict[str, Any]) -> Any:
        self.busy, self.has_senders = hooks["busy"], hooks["has_senders"]
        return None if self.environment.parsed_options.headless else shown

    def _new_run(self) -> Any:
        if self.refusal is not None:
            raise self.refusal
        return self.controller

    @property
    def said(self) -> str:
        return self._terminal.getvalue()

    def prepared(self) -> Installed:
        self.listener.prepare()
        self.calls.clear()
        return self

    def starts(self) -> Installed:
        self.environment.events.test_start.fire(environment=self.environment)
        self.calls.clear()
        return self

    def fires(self, event: str) -> list[Any]:
        """Fire an event of Locust; return what was done then."""
        getattr(self.environment.events, event).fire(environment=self.environment)
        gevent.sleep(0)
        return self.calls


@pytest.fixture
def installed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Installed:
    kinds = {"headless": True, "master": False, "workers": True} | getattr(request, "param", {})
    return Installed(monkeypatch, **kinds)


PAGE = {"headless": False}
MASTER = {"master": True}
EMPTY_MASTER = {"master": True, "workers": False}


@pytest.mark.parametrize(
    ("installed", "calls"),
    [({}, ["prepared", ("users", 4, 4)]), (PAGE, ["prepared", ("users", 4, 4)]),
     (MASTER, ["prepared", "master.hand_over", ("users", 40, 4), "master.limit_wait"]),
     (MASTER | PAGE, ["prepared", "master.hand_over", ("users", 4, 4)])],
    indirect=["installed"],
)  # fmt: skip
def test_a_process_is_prepared_before_locust_spawns_users(installed: Installed, calls: list[Any]) -> None:
    """A master without a page spawns at once what its workers will need."""
    installed.listener.prepare()
    assert installed.calls == calls
    assert (installed.environment.host, installed.environment.parsed_options.host) == (URL, URL)
    assert installed.environment.aether is None


@pytest.mark.parametrize(
    ("installed", "calls"), [({}, ["session.end"]), (MASTER, ["session.end", ("to workers", "quit")])],
    indirect=["installed"],
)  # fmt: skip
def test_what_was_started_is_ended_where_the_preparations_fail(
    installed: Installed, calls: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers that have come already would wait for ever."""

    def refuse(*_: object) -> None:
        raise TargetError("Nothing answers.")

    monkeypatch.setattr(module, "prepare_session", refuse)
    with pytest.raises(TargetError):
        installed.listener.prepare()
    assert installed.calls == calls


@pytest.mark.parametrize(
    ("installed", "calls"),
    [({}, [("host", URL), ("begin",)]),
     (MASTER, [("host", URL), "master.hand_over", "master.wait_for_workers", ("begin",)])],
    indirect=["installed"],
)  # fmt: skip
def test_a_start_of_the_load_begins_a_run(installed: Installed, calls: list[Any]) -> None:
    assert installed.prepared().fires("test_start") == calls


@pytest.mark.parametrize(
    ("installed", "calls"), [({}, ["quit"]), (PAGE, [("page", "Nothing answers."), "stop"])], indirect=["installed"]
)
def test_a_run_that_cannot_begin_is_given_up(installed: Installed, calls: list[Any]) -> None:
    """Locust must not go on to spawn users; a page stays, and says why."""
    installed.prepared().refusal = TargetError("Nothing answers.")
    with pytest.raises(gevent.GreenletExit):
        installed.fires("test_start")
    gevent.sleep(0)
    assert installed.calls == [("host", URL), *calls]
    assert installed.environment.process_exit_code == ExitCode.TARGET
    assert installed.said == "aether-load: Nothing answers.\n"
    assert installed.busy() is None


@pytest.mark.parametrize(
    ("installed", "how"),
    [({}, "end"), (PAGE, "end_from_page"), (MASTER, "end_without_workers"), (MASTER | PAGE, "end_from_page")],
    indirect=["installed"],
)
def test_a_stop_of_the_load_ends_the_run_by_who_has_asked(installed: Installed, how: str) -> None:
    assert installed.prepared().fires("test_stopping") == []
    assert installed.starts().fires("test_stopping") == [(how,)]
    installed.calls.clear()
    installed.controller.is_finished = True
    assert installed.fires("test_stopping") == []


def test_the_end_of_a_load_shape_ends_the_run_as_planned(installed: Installed) -> None:
    """Locust stops the load from the greenlet of the shape then."""
    installed.prepared().starts()
    installed.environment.shape_class = object()
    shape = gevent.spawn(installed.fires, "test_stopping")
    installed.environment.runner.shape_greenlet = shape
    shape.join()
    assert installed.calls == [("end_as_planned",)]


@pytest.mark.parametrize(
    ("installed", "sentence", "code"),
    [({}, "interrupted before the load began.", ExitCode.INTERRUPTED),
     (MASTER, "interrupted before the load began.", ExitCode.INTERRUPTED),
     (EMPTY_MASTER, "the workers have gone before the load began.", ExitCode.INVALID), (PAGE, None, None)],
    indirect=["installed"],
)  # fmt: skip
def test_an_end_before_the_load_is_no_success(
    installed: Installed, sentence: str | None, code: ExitCode | None
) -> None:
    """Who closes a page without a run has done nothing wrong."""
    installed.prepared().fires("quitting")
    assert installed.environment.process_exit_code == code
    assert installed.said == ("" if sentence is None else f"aether-load: {sentence}\n")


def test_an_end_of_the_process_ends_its_run(installed: Installed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Locust says so for each signal and for the run; the first time goes on to the end of the process."""
    monkeypatch.setattr(module, "_END_LIMIT_S", 0)
    assert installed.prepared().starts().fires("quitting") == [("end",)]
    installed.controller.is_finished = True
    assert installed.fires("quitting") == [("end",)]
    assert installed.environment.process_exit_code is None


@pytest.mark.parametrize(
    ("installed", "calls"),
    [({}, ["session.end", "summary", "hold"]), (PAGE, ["session.end", "page.end", "summary", "hold"]),
     (MASTER, ["session.end", "master.close", "summary", "hold"])],
    indirect=["installed"],
)  # fmt: skip
def test_the_result_is_said_last(installed: Installed, calls: list[Any]) -> None:
    assert installed.prepared().starts().fires("quit") == calls


def test_what_breaks_in_a_handler_ends_the_run_and_is_said(installed: Installed) -> None:
    """Locust would log it and go on."""

    def broken() -> None:
        raise ZeroDivisionError

    installed.prepared().starts()
    installed.controller.end = broken
    [(name, sentence)] = installed.fires("test_stopping")
    assert name == "fail"
    assert installed.said == f"aether-load: {sentence}\n"
    assert installed.environment.process_exit_code == ExitCode.INVALID


@pytest.mark.parametrize("installed", [PAGE], indirect=True)
def test_the_page_is_told_what_still_goes_on(installed: Installed) -> None:
    found = [installed.prepared().busy()]
    installed.controller.begin = lambda: found.append(installed.busy())
    installed.starts()
    found.append(installed.busy())
    installed.controller.is_load_over = True
    found.append(installed.busy())
    installed.controller.is_finished = True
    found.append(installed.busy())
    assert found == [None, "starting", "running", "writing", None]


@pytest.mark.parametrize(
    ("installed", "there"), [(PAGE, True), (PAGE | MASTER, True), (PAGE | EMPTY_MASTER, False)], indirect=["installed"]
)
def test_the_page_is_told_whether_anybody_can_send(installed: Installed, there: bool) -> None:
    assert installed.prepared().has_senders() is there
