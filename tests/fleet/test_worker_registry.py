"""A master's workers over a fake of Locust's runner: who is accepted, refused, ready, lost, and what they are sent."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from time import monotonic_ns, time
from types import SimpleNamespace
from typing import Any

import gevent
import pytest

from aether_load._version import __version__
from aether_load.errors import ExitCode
from aether_load.load.distributed import messages as say
from aether_load.load.distributed.handover import CHUNK_BYTES
from aether_load.load.distributed.master import heartbeat
from aether_load.load.distributed.master.worker_registry import WorkerRegistry
from aether_load.load.distributed.master.worker_session import WorkerSession
from aether_load.load.distributed.signature import DROPPED
from aether_load.load.sending.sender_context import Tally

SCENARIO = "abc"


class FakeRunner:
    """Locust's runner: its clients, and what was sent to each."""

    def __init__(self) -> None:
        self.clients: dict[Any, Any] = {}
        self.sent: list[Any] = []

    def register_message(self, _kind: str, listener: Callable[..., Any]) -> None:
        self._listener = listener

    def send(self, client: str, message: Any) -> None:
        self.sent.append((client, message))

    def says(self, client: str, message: Any) -> None:
        """Have a worker say something: one of our messages, or bytes that are none."""
        data = message if isinstance(message, bytes) else say.encode(message)
        self._listener(SimpleNamespace(node_id=client, data=data))

    def sent_to(self, client: str, kind: type[Any]) -> list[Any]:
        return [message for to, message in self.sent if to == client and isinstance(message, kind)]


class Master:
    """A registry over a fake runner, with what it reports."""

    def __init__(self, *, own_children_only: bool = False) -> None:
        self.runner = FakeRunner()
        self.refusals: list[Any] = []
        self.gone: list[Any] = []
        self.ready: list[Any] = []
        self.heard: list[Any] = []
        self.registry = WorkerRegistry(
            self.runner,
            self.runner.send,
            lambda *refusal: self.refusals.append(refusal),
            own_children_only=own_children_only,
        )
        self.registry.listen(self)

    def on_ready(self, session: WorkerSession) -> None:
        self.ready.append(session)

    def on_message(self, session: WorkerSession, message: say.Message) -> None:
        self.heard.append((session.number, message))

    def on_gone(self, session: WorkerSession) -> None:
        self.gone.append(session)

    def session_of(self, client: str) -> WorkerSession | None:
        return next((session for session in self.registry.expected if session.client == client), None)

    def joins(self, client: str, **more: int | str) -> None:
        joined: dict[str, Any] = {
            "protocol": say.PROTOCOL,
            "version": __version__,
            "scenario": None,
            "host": "there",
            "pid": 7,
        } | more
        self.runner.clients[client] = SimpleNamespace(state="ready")
        self.runner.says(client, say.Join(**joined))

    def has_everything(self, client: str, *, ahead_ns: int = 0) -> None:
        """Answer pings until the clock is known, and say that the handover has come."""
        while (session := self.session_of(client)) is None or not session.has_clock:
            *_, ping = self.runner.sent_to(client, say.Ping)
            self.runner.says(client, say.Pong(ping.sent_ns, monotonic_ns() + ahead_ns, time() + ahead_ns / 1e9))
        self.runner.says(client, say.Ready("run-1"))


@pytest.fixture
def master() -> Iterator[Master]:
    made = Master()
    yield made
    made.registry.close()


def test_a_worker_that_comes_before_the_handover_waits_for_it(master: Master) -> None:
    """It is accepted when the master knows what to hand over, and ready when it has that and its clock is known."""
    master.joins("a")
    master.joins("a")
    assert (master.runner.sent, master.registry.has_strangers) == ([], True)
    master.registry.hand_over(SCENARIO, "run-1", b"x" * (CHUNK_BYTES + 1))
    chunks = master.runner.sent_to("a", say.Chunk)
    assert [(chunk.worker, chunk.index, chunk.of, len(chunk.data)) for chunk in chunks] == [
        (0, 0, 2, CHUNK_BYTES), (0, 1, 2, 1),
    ]  # fmt: skip
    assert (master.registry.ready, master.registry.may_work("a")) == ([], False)
    master.has_everything("a")
    assert [session.client for session in master.registry.ready] == ["a"]
    assert [session.number for session in master.ready] == [0]
    assert (master.registry.may_work("a"), master.registry.has_strangers) == (True, False)


def test_a_new_handover_makes_workers_ready_anew(master: Master) -> None:
    """What they had before is of another run."""
    master.registry.hand_over(SCENARIO, "run-1", b"1")
    master.joins("a")
    master.has_everything("a")
    master.registry.hand_over(SCENARIO, "run-2", b"2")
    assert (master.registry.ready, len(master.registry.expected)) == ([], 1)
    master.runner.says("a", say.Ready("run-2"))
    assert [session.client for session in master.registry.ready] == ["a"]


@pytest.mark.parametrize(
    ("joined", "why"),
    [
        ({"version": "0.0.1"}, "it has aether-load 0.0.1 and the master"),
        ({"protocol": say.PROTOCOL + 1}, "install the same release on both"),
        ({"scenario": "other"}, "its command line names another scenario (hash other) than the master's (abc)"),
    ],
)
def test_a_worker_of_another_release_or_scenario_is_refused(master: Master, joined: dict[str, Any], why: str) -> None:
    """Both sides say why, and it is none of the master's workers."""
    master.registry.hand_over(SCENARIO, "run-1", b"1")
    master.joins("a", **joined)
    (refused,) = master.runner.sent_to("a", say.Refused)
    assert (why in refused.sentence, refused.exit_code) == (True, 2)
    assert master.refusals == [(refused.sentence, ExitCode.USAGE)]
    assert (master.registry.expected, master.registry.is_gone) == ([], False)


def test_the_same_scenario_is_no_reason_against_a_worker(master: Master) -> None:
    master.registry.hand_over(SCENARIO, "run-1", b"1")
    master.joins("a", scenario=SCENARIO)
    assert len(master.registry.expected) == 1


def test_a_master_of_processes_takes_its_own_children_only() -> None:
    """Another's child is told to end, which is no failure of this run."""
    master = Master(own_children_only=True)
    master.registry.hand_over(SCENARIO, "run-1", b"1")
    master.joins("mine", forked_from=os.getpid())
    master.joins("other", forked_from=os.getpid() + 1)
    master.joins("none")
    assert [session.client for session in master.registry.expected] == ["mine"]
    assert len(master.runner.sent_to("other", say.Refused)) == len(master.runner.sent_to("none", say.Refused)) == 1
    assert master.refusals == []
    master.registry.close()


def test_a_worker_that_cannot_work_is_reported_and_gone(master: Master) -> None:
    """Its own sentence and exit code are the run's."""
    master.registry.hand_over(SCENARIO, "run-1", b"1")
    master.joins("a")
    master.runner.says("a", say.Unable("no such file", 3))
    assert master.refusals == [("worker 0 (process 7 on there) cannot work: no such file", ExitCode.TARGET)]
    assert master.session_of("a") is None


def test_bytes_that_are_no_message_are_refused_or_dropped(master: Master) -> None:
    """A worker of Locust's list is of another release; anybody else is not answered."""
    master.registry.hand_over(SCENARIO, "run-1", b"1")
    dropped = DROPPED.total
    master.runner.says("stranger", b"\xff")
    assert (DROPPED.total - dropped, master.runner.sent, master.refusals) == (1, [], [])
    master.runner.clients["a"] = SimpleNamespace(state="ready")
    master.runner.says("a", b"\xff")
    assert len(master.runner.sent_to("a", say.Refused)) == 1
    assert master.refusals[0][1] == ExitCode.USAGE


def test_what_a_worker_says_of_its_run_goes_to_the_run(master: Master) -> None:
    """What a worker says that was never accepted, or has left, counts for nothing."""
    master.registry.hand_over(SCENARIO, "run-1", b"1")
    master.joins("a")
    stats = say.WorkerStats(Tally(done=5, failed=1, ready=2, active=3))
    master.runner.says("a", stats)
    master.runner.says("a", say.ProcessUsage(0, 1.5, 100))
    master.runner.says("b", stats)
    session = master.session_of("a")
    assert session is not None
    master.runner.says("a", say.Left())
    master.runner.says("a", say.WorkerStats(Tally(done=9)))
    assert master.heard == [(0, stats), (0, say.ProcessUsage(0, 1.5, 100))]
    assert (session.gone, master.gone) == ("left", [session])
    assert master.registry.is_gone


def test_a_clock_of_its_own_is_translated(master: Master) -> None:
    """The quickest echo says by how much it is ahead; one clock for both is ahead by nothing."""
    master.registry.hand_over(SCENARIO, "run-1", b"1")
    ahead_ns = 3_600_000_000_000
    master.joins("a")
    master.has_everything("a", ahead_ns=ahead_ns)
    master.joins("b")
    master.has_everything("b")
    far, near = master.session_of("a"), master.session_of("b")
    assert far is not None
    assert abs(far.to_run(ahead_ns)) < 1_000_000_000
    assert far.from_run(far.to_run(5)) == 5
    assert far.utc_ahead_s == pytest.approx(3600, abs=1)
    assert near is not None
    assert near.to_run(5) == 5


@pytest.fixture
def quick_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A watch that looks at workers so often that a test need not wait a second."""
    monkeypatch.setattr(heartbeat, "PING_INTERVAL_S", 0.001)


def test_a_worker_that_is_silent_too_long_is_lost(quick_watch: None) -> None:
    """It is told to end, should it come back; one that answers is not."""
    master = Master()
    master.registry.hand_over(SCENARIO, "run-1", b"1")
    master.joins("a")
    master.joins("b")
    silent, heard = master.session_of("a"), master.session_of("b")
    assert silent is not None
    silent.heard_ns -= 3_600_000_000_000
    assert master.registry.wait_for(lambda: bool(master.gone), 20)
    assert heard is not None
    assert (master.gone, silent.gone, heard.gone) == ([silent], "lost", None)
    (dismissed,) = master.runner.sent_to("a", say.Refused)
    assert (dismissed.exit_code, "did not answer for 5 s" in dismissed.sentence) == (int(ExitCode.INVALID), True)
    master.registry.close()


def test_a_worker_that_locust_misses_is_lost(quick_watch: None) -> None:
    """Locust's own heartbeat may know before ours does."""
    master = Master()
    master.registry.hand_over(SCENARIO, "run-1", b"1")
    master.joins("a")
    master.runner.clients["a"].state = "missing"
    assert master.registry.wait_for(lambda: bool(master.gone), 20)
    assert master.registry.is_gone
    master.registry.close()


def test_waiting_ends_at_its_limit(master: Master) -> None:
    """A condition that does not come true is False, and no error."""
    with gevent.Timeout(20):
        assert master.registry.wait_for(lambda: False, 0.01) is False


def test_a_run_is_told_of_the_workers_that_can_work_already(master: Master) -> None:
    """And of none any more when it has ended, whatever they say."""
    master.registry.hand_over(SCENARIO, "run-1", b"1")
    master.joins("a")
    master.has_everything("a")
    master.joins("b")
    master.ready.clear()
    master.registry.listen(master)
    assert [session.client for session in master.ready] == ["a"]
    master.registry.listen(None)
    master.runner.says("a", say.Noted("late"))
    master.runner.says("a", say.Left())
    assert (master.heard, master.gone) == ([], [])
