"""An observer's client over a real pair of sockets, with a scripted observer at the other end."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent import socket
from gevent.event import Event

from aether_load.errors import ExitCode
from aether_load.load import observer_client
from aether_load.load.observer_client import CommandFailed, ObserverClient, ObserverLost
from aether_load.observer import messages as say
from aether_load.rundata.manifest import AbortRecord

BROKEN = say.Broken(
    record=AbortRecord(condition="p(50)<1", phase="one", dataset=None, shown="9", confidence=0.99, after_s=1)
)


class Observer:
    """Answers each command with what `answer` returns for it, and keeps what it was sent; `cpu` is what it takes."""

    def __init__(self, answer: Callable[[Any], Any] = lambda _: None, cpu: Iterator[float] | None = None) -> None:
        self.socket, self._other_end = socket.socketpair()
        self.heard: list[Any] = []
        self.killed = self.ended = False
        self._answer = answer
        self._cpu = cpu
        self.client: Any = ObserverClient(self)  # type: ignore[arg-type]
        self._serving = gevent.spawn(self._serve)

    def _serve(self) -> None:
        frames = say.Frames()
        while data := self._other_end.recv(1 << 16):
            for content in frames.feed(data):
                command = say.decode_command(content)
                self.heard.append(command)
                if (answer := self._answer(command)) is not None:
                    self.say(answer)

    def say(self, answer: say.Answer) -> None:
        self._other_end.sendall(say.frame(answer))

    def say_bytes(self, data: bytes) -> None:
        self._other_end.sendall(data)

    def die(self) -> None:
        self._serving.kill()
        self._other_end.close()

    def cpu_s(self) -> float | None:
        return next(self._cpu) if self._cpu is not None else None

    def kill(self) -> None:
        self.killed = True

    def end(self) -> None:
        gevent.sleep(0.01)
        self.ended = True


@pytest.fixture(autouse=True)
def _in_time() -> Iterator[None]:
    with gevent.Timeout(20):
        yield


def judged(command: Any) -> Any:
    return say.Flushed(id=command.id) if isinstance(command, say.Flush) else None


def test_a_call_returns_its_own_answer() -> None:
    """Calls that wait at the same time are told apart by their ids, in whatever order they are answered."""
    asked: list[int] = []

    def answer(command: Any) -> None:
        asked.append(command.id)
        if len(asked) == 2:
            for id_ in reversed(asked):
                observer.say(say.PageData(id=id_, body=str(id_).encode()))

    observer = Observer(answer)
    calls = [gevent.spawn(observer.client.call, say.Ask(what=what), 10) for what in ("snapshot", "history")]
    assert [call.get().body for call in calls] == [str(id_).encode() for id_ in asked]
    assert [command.what for command in observer.heard] == ["snapshot", "history"]


def test_what_could_not_be_done_is_an_error_and_the_observer_goes_on() -> None:
    answers = iter([say.Failed(id=1, sentence="No rows.", exit_code=4), say.Refused(id=2, reason="full")])
    observer = Observer(lambda command: next(answers, None) or judged(command))
    with pytest.raises(CommandFailed, match="No rows") as failed:
        observer.client.call(say.Flush(), 10)
    assert failed.value.exit_code is ExitCode(4)
    with pytest.raises(CommandFailed, match=r"the disk refused it \(full\)"):
        observer.client.call(say.Flush(), 10)
    assert observer.client.call(say.Flush(), 10) == say.Flushed(id=3)
    assert not observer.client.lost.is_set()


def test_an_observer_that_does_not_answer_is_lost() -> None:
    """It is killed, further calls fail at once, and what is sent to it is dropped."""
    observer = Observer()
    for _ in range(2):
        with pytest.raises(ObserverLost, match=r"The observer is gone: it did not answer within 0\.01 s\."):
            observer.client.call(say.Flush(), 0.01)
    observer.client.send(say.Quit())
    gevent.sleep(0.01)
    assert (observer.killed, len(observer.heard)) == (True, 1)


@pytest.mark.parametrize(
    ("happens", "why"),
    [
        (Observer.die, "its process ended"),
        (lambda observer: observer.say(say.Failed(sentence="It broke.", exit_code=5)), "It broke"),
        (lambda observer: observer.say_bytes(b"\xff\xff\xff\xff"), "it cannot be understood"),
        (lambda observer: observer.say_bytes(b"\x01\0\0\0\0"), "it cannot be understood"),
    ],
)
def test_whoever_waits_is_told_that_the_observer_is_lost(happens: Callable[[Observer], None], why: str) -> None:
    observer = Observer()
    waiting = gevent.spawn(observer.client.call, say.Flush(), None)
    while not observer.heard:
        gevent.sleep(0)
    happens(observer)
    with pytest.raises(ObserverLost, match=f"The observer is gone: {why}"):
        waiting.get()
    assert (observer.client.lost.is_set(), observer.killed) == (True, True)


def test_what_takes_its_time_is_waited_for_while_the_process_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often the limit passes, as long as it takes more of the processor."""
    monkeypatch.setattr(observer_client, "_LOOK_INTERVAL_S", 0.001)
    # Five late looks: one alone never counts as standing still.
    monkeypatch.setattr(observer_client, "STILL_LIMIT_S", 0.01)

    def takes() -> Iterator[float]:
        for taken in range(10):
            yield float(taken)
        observer.say(say.Flushed(id=1))
        yield from itertools.count(10.0)

    observer = Observer(cpu=takes())
    assert observer.client.call(say.Flush(), None) == say.Flushed(id=1)


@pytest.mark.parametrize("cpu", [1.0, None])
def test_a_process_that_does_nothing_any_more_is_lost(monkeypatch: pytest.MonkeyPatch, cpu: float | None) -> None:
    monkeypatch.setattr(observer_client, "_LOOK_INTERVAL_S", 0.001)
    monkeypatch.setattr(observer_client, "STILL_LIMIT_S", 0.002)
    with pytest.raises(ObserverLost, match="The observer is gone: it has done nothing for"):
        Observer(cpu=None if cpu is None else itertools.repeat(cpu)).client.call(say.Flush(), None)


def test_the_observers_own_words_reach_whom_they_are_for() -> None:
    observer = Observer()
    heard: list[Any] = []
    counted = Event()

    def take_counts(said: say.Counted) -> None:
        heard.append(said)
        counted.set()

    observer.client.on_broken = observer.client.on_refused = heard.append
    observer.client.on_counted = take_counts
    observer.client.page_made.clear()
    for answer in (BROKEN, say.Refused(reason="full"), say.Counted(entries=()), say.PageMade(), say.Ready()):
        observer.say(answer)
    observer.client.wait_until_ready()
    assert counted.wait(10)
    assert heard == [BROKEN, "full", say.Counted(entries=())]
    assert observer.client.page_made.is_set()


def test_an_observer_that_is_not_ready_in_time_could_not_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observer_client, "START_LIMIT_S", 0.01)
    observer = Observer()
    with pytest.raises(ObserverLost, match=r"could not be started: it was not ready within 0\.01 s\."):
        observer.client.wait_until_ready()
    assert observer.killed


def test_closing_tells_it_to_quit_when_its_page_is_made() -> None:
    """That its process ends then is no loss."""
    observer = Observer()
    observer.client.page_made.clear()
    closing = gevent.spawn(observer.client.close)
    gevent.sleep(0)
    observer.say(say.PageMade())
    closing.join()
    assert (observer.heard, observer.ended) == ([say.Quit()], True)
    assert not observer.client.lost.is_set()
