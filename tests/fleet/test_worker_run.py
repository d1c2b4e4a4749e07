"""What a worker does in a run at its master's word, over fakes of the load and of the master."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from gevent.event import Event

import unpatched_locust  # noqa: F401
from aether_load.errors import ExitCode
from aether_load.load.distributed import messages as say
from aether_load.load.distributed.worker import worker_run
from aether_load.load.distributed.worker.worker_run import WorkerRun
from aether_load.protocol import Outcome
from aether_load.rundata.records.record_format import RequestRecord
from aether_load.schedule.shard import WHOLE
from fake_worker import STATS, FakeLink, fake_context

RUN = "the-run"
STAGE: Any = SimpleNamespace(name="one")


class FakeLoad:
    """A load that ends when it is told to, and opens its window at once."""

    def __init__(self, sender_context: Any, reports: Any) -> None:
        self._sender_context = sender_context
        self.reports = reports
        self.over = Event()
        self.done: list[str] = []
        self.handed_out = 9

    def warm(self, _stage: object, _share: object) -> None:
        self.done.append("warm")

    def drive(self, _stage: object, _share: object, began_ns: int | None) -> str:
        window = self._sender_context.window
        window.began_ns = self.reports.open_window(began_ns)
        gevent.wait([self.over, self.reports.stopping], count=1)
        window.ended_ns = window.began_ns + 10
        return self.reports.why_stopped() if self.reports.stopping.is_set() else "duration"

    def rest(self) -> None:
        self.done.append("rest")

    def end(self) -> None:
        self.done.append("end")

    def close(self) -> None:
        self.done.append("close")


class Worked:
    """A run of a worker, with what is behind it."""

    def __init__(self, *, follow: bool = False) -> None:
        self.link = FakeLink()
        self.context = fake_context()
        self.kills = 0
        self.runner = SimpleNamespace(user_greenlets=SimpleNamespace(kill=self._kill), user_classes_count={})
        link: Any = self.link
        self.run = WorkerRun(say.Begin(RUN, follow_user_count=follow), self.context, link, self.runner)
        load: Any = self.run._load
        self.load: FakeLoad = load

    def _kill(self) -> None:
        self.kills += 1

    def drives(self) -> None:
        """Have it begin a stage."""
        self.run.take(say.RunStage(2, STAGE, WHOLE, None))
        self.link.wait_for(say.WindowOpened)

    def records(self, rows: int) -> None:
        for number in range(rows):
            self.context.buffer.add(RequestRecord(0, number, outcome=Outcome.DROPPED))

    def confirm(self) -> None:
        """Confirm every parcel that is sent, as a master does."""
        while True:
            gevent.sleep(0)
            for parcel in self.link.said(say.Parcel):
                self.run.take(say.Received(RUN, parcel.number))


@pytest.fixture
def worked(monkeypatch: pytest.MonkeyPatch) -> Iterator[Worked]:
    monkeypatch.setattr(worker_run, "Load", FakeLoad)
    monkeypatch.setattr(worker_run, "our_users", lambda _runner, users: users)
    monkeypatch.setattr(worker_run, "_NEXT_LIMIT_S", 0.01)
    monkeypatch.setattr(worker_run, "_SEND_LIMIT_S", 0.2)
    made = Worked()
    yield made
    made.run.forget()


def waited(condition: Callable[[], bool]) -> bool:
    with gevent.Timeout(20):
        while not condition():
            gevent.sleep(0.001)
    return True


@pytest.mark.parametrize("follow", [False, True])
def test_the_master_says_whether_locust_decides_how_many_users_send(
    follow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The load asks its context, as it does in a run of one process."""
    monkeypatch.setattr(worker_run, "Load", FakeLoad)
    made = Worked(follow=follow)
    made.run.forget()
    assert made.context.follow_user_count is follow


def test_users_are_ready_when_enough_of_them_wait(worked: Worked) -> None:
    """The master knows how many there are before it hears that they are ready."""
    worked.run.take(say.AwaitUsers(1, 4))
    gevent.sleep(0.02)
    assert worked.link.said(say.UsersReady) == []
    worked.context.user_pool.waiting = 4
    assert worked.link.wait_for(say.UsersReady) == say.UsersReady(1)
    assert isinstance(worked.link.sent[-2], say.WorkerStats)


def test_a_warm_stage_is_answered_when_it_was_sent(worked: Worked) -> None:
    worked.run.take(say.Warm(3, STAGE, WHOLE))
    assert worked.link.wait_for(say.Warmed) == say.Warmed(3)
    assert worked.load.done == ["warm"]


def test_a_stage_says_what_ended_it_and_when_its_window_was_open(worked: Worked) -> None:
    """A worker that hears nothing of a next stage asks its users for no more."""
    worked.drives()
    worked.load.over.set()
    window = worked.context.window
    driven = worked.link.wait_for(say.StageEnded)
    assert driven == say.StageEnded(2, "duration", window.began_ns, window.ended_ns)
    assert waited(lambda: worked.load.done == ["rest"])


def test_a_stage_that_is_to_end_says_the_masters_reason(worked: Worked) -> None:
    worked.drives()
    worked.run.take(say.Stop("interrupted"))
    assert worked.link.wait_for(say.StageEnded).ended_by == "interrupted"


def test_a_stage_begins_at_the_instant_that_the_master_set(worked: Worked) -> None:
    """One that is over is no reason to wait, and a stop ends the wait."""
    worked.run.take(say.RunStage(2, STAGE, WHOLE, 5))
    assert worked.link.wait_for(say.WindowOpened) == say.WindowOpened(2, 5)
    worked.run.take(say.Stop("stopped"))
    worked.link.wait_for(say.StageEnded)
    worked.link.sent.clear()
    worked.run.take(say.RunStage(3, STAGE, WHOLE, 1 << 62))
    assert worked.link.wait_for(say.StageEnded).number == 3


def test_an_end_hands_in_every_record_before_it_says_so(worked: Worked) -> None:
    """Drained, then the records, Locust's numbers, and the word when the master has confirmed all."""
    worked.drives()
    worked.records(3)
    worked.load.over.set()
    worked.run.take(say.End(4))
    assert waited(lambda: worked.link.statistics == 1)
    (parcel,) = worked.link.said(say.Parcel)
    assert (parcel.run, parcel.rows, worked.link.said(say.RecordsSent)) == (RUN, 3, [])
    worked.run.take(say.Received("another", parcel.number))
    worked.run.take(say.Received(RUN, parcel.number))
    assert worked.link.wait_for(say.RecordsSent) == say.RecordsSent(4)
    order = [type(message) for message in worked.link.said(say.StageEnded, say.Drained, say.Parcel, say.RecordsSent)]
    assert order == [say.StageEnded, say.Drained, say.Parcel, say.RecordsSent]


def test_a_run_is_closed_once_and_states_its_totals(worked: Worked) -> None:
    """What was recorded last is on its way before; another run's word changes nothing."""
    worked.records(1)
    worked.run.take(say.Close("another"))
    worked.run.take(say.Close(RUN))
    assert worked.link.wait_for(say.Closed) == say.Closed(RUN, 9, 7, 2)
    worked.run.take(say.Close(RUN))
    gevent.sleep(0.01)
    assert [type(message) for message in worked.link.sent] == [say.Parcel, say.WorkerStats, say.Closed]
    assert (worked.run.is_closed, worked.load.done) == (True, ["close"])


def test_a_worker_that_leaves_hands_in_what_it_has(worked: Worked) -> None:
    """It says that it leaves, ends its load, and waits for the confirmation of its records."""
    worked.drives()
    worked.records(2)
    confirming = gevent.spawn(worked.confirm)
    with gevent.Timeout(20):
        worked.run.leave(5.0)
    confirming.kill()
    order = [type(message) for message in worked.link.said(say.Leaving, say.StageEnded, say.Parcel, say.Closed)]
    assert order == [say.Leaving, say.StageEnded, say.Parcel, say.Closed]
    assert (worked.run.is_closed, worked.kills) == (True, 0)


def test_answers_that_do_not_come_in_time_are_given_up(worked: Worked) -> None:
    """By the master's word, or when a worker leaves."""
    worked.context.user_pool.drained.clear()
    worked.run.leave(0.0)
    worked.run.take(say.Cancel())
    assert waited(lambda: worked.kills == 2)


def test_a_disk_that_refuses_ends_the_load_with_a_note(worked: Worked) -> None:
    """Said once."""
    for _ in range(2):
        worked.run._on_disk_refused(OSError(28, "No space left on device"))
    (noted,) = worked.link.said(say.Noted)
    assert "No space left on device" in noted.sentence
    assert worked.load.reports.why_stopped() == "refused by the disk"


def test_a_defect_ends_the_worker(worked: Worked, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its master would wait for it for ever."""

    def fail(*_arguments: object) -> None:
        raise ZeroDivisionError("made")

    monkeypatch.setattr(worked.load, "warm", fail)
    worked.run.take(say.Warm(3, STAGE, WHOLE))
    assert waited(lambda: bool(worked.link.ended))
    assert worked.link.ended[0][1] == ExitCode.INVALID


def test_records_are_sent_while_the_load_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """With how things stand, a few times a second."""
    monkeypatch.setattr(worker_run, "Load", FakeLoad)
    monkeypatch.setattr(worker_run, "FLUSH_INTERVAL_S", 0.001)
    worked = Worked()
    worked.records(1)
    assert worked.link.wait_for(say.Parcel).rows == 1
    assert worked.link.wait_for(say.WorkerStats) == STATS
    worked.run.forget()
