"""What workers say of a run, over fakes of the run and the registry: replies, records, losses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

import pytest

from aether_load.dag.sent_dag import WorkloadDag
from aether_load.load.distributed import messages as say
from aether_load.load.distributed.master.message_handler import MessageHandler
from aether_load.load.distributed.master.run_workers import RunWorkers
from aether_load.load.distributed.master.sample_receiver import SampleReceiver
from aether_load.load.distributed.master.worker_session import WorkerSession
from aether_load.load.sending.sender_context import Tally
from aether_load.observer.messages import Usage
from aether_load.protocol import Generation, NodeShape
from aether_load.rundata.folder import RunFolder
from aether_load.rundata.manifest import ClockPair, Manifest, PhaseRecord, TargetRecord
from aether_load.rundata.process_usage import SenderReading

if TYPE_CHECKING:
    from aether_load.load.distributed.master.run_worker import RunWorker

RUN = "the-run"
AHEAD_NS = 1_000_000_000_000


class FakeRun:
    """A run whose manifest stays in memory, and that notes what its observer is sent."""

    def __init__(self) -> None:
        target = TargetRecord(url="http://here", kind="runtime", generation=Generation.V2, server=None)
        self.manifest = Manifest(
            id=RUN, scenario={}, command=[], seed=1, target=target, datasets=(), node_ids=("a",),
            began=ClockPair(0, ""),
        )  # fmt: skip
        self.observer = self
        self.follow_user_count = False
        self.sent: list[Any] = []
        self.flushes = 0

    def send(self, message: Usage) -> None:
        self.sent.append(message)

    def save_manifest(self) -> None:
        """Write nothing."""

    def list_dag(self, dag: WorkloadDag) -> None:
        self.manifest.list_dag(dag)

    def flush(self) -> None:
        self.flushes += 1


class Fleet:
    """Two workers of one run, the second with a clock that is ahead."""

    def __init__(self, folder: Path, *, follow: bool = False) -> None:
        self.run = FakeRun()
        self.run.follow_user_count = follow
        self.sent: list[tuple[str, say.Message]] = []
        self.folder = RunFolder(folder)
        run: Any = self.run
        self.receiver = SampleReceiver(self.folder)
        self.workers = RunWorkers(run, self.receiver)
        self.handler = MessageHandler(run, self.receiver, self.workers)
        self.sessions = [self.session(0, 0), self.session(1, AHEAD_NS)]
        for session in self.sessions:
            self.handler.on_ready(session)
        self.workers.activate(None)

    def session(self, number: int, ahead_ns: int) -> WorkerSession:
        session = WorkerSession(
            f"client-{number}", number, say.Join(say.PROTOCOL, "", None, "there", 7 + number), self._send
        )
        now = monotonic_ns()
        session.take_pong(say.Pong(now, now + ahead_ns, 0.0))
        return session

    def _send(self, client: str, message: say.Message) -> None:
        self.sent.append((client, message))

    def confirmed(self) -> list[tuple[str, say.Message]]:
        return [(client, message) for client, message in self.sent if isinstance(message, say.Received)]

    def begin_phase(self) -> int:
        """Begin a stage in which both workers have a share."""
        self.workers.record = PhaseRecord(
            name="one", users=4, load="closed", sequential=False, cache="keep", unique_prompts=False,
            began=ClockPair(0, ""),
        )  # fmt: skip
        self.workers.drained.clear()
        for worker in self.workers.active:
            worker.begin_stage()
        return self.handler.ask()

    def says(self, number: int, message: Any) -> None:
        self.handler.on_message(self.sessions[number], message)

    def worker(self, number: int) -> RunWorker:
        return self.workers.by_number[number]


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet(tmp_path)
    yield made
    made.receiver.close()


def test_a_reply_counts_for_the_question_that_was_asked_last(fleet: Fleet) -> None:
    """One to an earlier question comes too late."""
    first = fleet.begin_phase()
    second = fleet.handler.ask()
    for reply in (say.UsersReady, say.Warmed, say.Idle, say.RecordsSent):
        fleet.says(0, reply(first))
        fleet.says(1, reply(second))
    kinds = (say.UsersReady, say.Warmed, say.Idle, say.RecordsSent)
    states = [[worker.has_answered(kind) for kind in kinds] for worker in fleet.workers.by_number.values()]
    assert states == [[False] * 4, [True] * 4]
    fleet.worker(1).forget(say.UsersReady, say.Warmed)
    assert [fleet.worker(1).has_answered(kind) for kind in kinds] == [False, False, True, True]


def test_a_window_is_open_from_the_first_worker_to_the_last(fleet: Fleet) -> None:
    """By the run's clock, whatever the worker's own says."""
    question = fleet.begin_phase()
    fleet.says(1, say.WindowOpened(question, AHEAD_NS + 5_000_000_000))
    fleet.says(0, say.WindowOpened(question, 6_000_000_000))
    ahead = fleet.sessions[1].clock().offset_ns
    assert fleet.workers.record is not None
    assert fleet.workers.record.window_began_ns == AHEAD_NS + 5_000_000_000 - ahead
    fleet.says(0, say.StageEnded(question, "duration", 6_000_000_000, 9_000_000_000))
    fleet.says(0, say.Drained(question, None, None))
    assert (fleet.worker(0).ended_by, fleet.workers.drained.is_set()) == ("duration", False)
    fleet.says(1, say.Drained(question, None, AHEAD_NS + 7_000_000_000))
    assert fleet.workers.drained.is_set()
    assert fleet.workers.record.window_ended_ns == 9_000_000_000


def test_records_are_written_as_they_come_and_confirmed(fleet: Fleet) -> None:
    """A parcel of another run is left out, and one that comes twice is written once."""
    fleet.says(0, say.Parcel(RUN, 0, 3, b"abc"))
    fleet.says(0, say.Parcel(RUN, 0, 3, b"abc"))
    fleet.says(0, say.Parcel("another", 1, 9, b"xyz"))
    fleet.says(0, say.Parcel(RUN, 1, 2, b"de"))
    assert fleet.folder.records_of(0).read_bytes().endswith(b"abcde")
    assert (fleet.receiver.rows_of(0), fleet.receiver.rows_of(1)) == (5, 0)
    assert fleet.confirmed() == [("client-0", say.Received(RUN, number)) for number in (0, 0, 1)]


def test_records_that_the_disk_refuses_are_not_confirmed(fleet: Fleet) -> None:
    """They wait in memory, and the run is asked to flush, which meets the full disk."""
    fleet.folder.path.rmdir()
    fleet.says(0, say.Parcel(RUN, 0, 3, b"abc"))
    assert (fleet.run.flushes, fleet.confirmed()) == (1, [])
    assert fleet.receiver.rows_total() == {"records-0.bin": 3}


def test_figures_and_notes_go_where_they_belong(fleet: Fleet) -> None:
    """CPU to the observer by the run's clock, sentences to the manifest, announcements to the worker's part."""
    fleet.says(1, say.ProcessUsage(AHEAD_NS + 7, 2.5, 99))
    fleet.says(1, say.Noted("odd"))
    fleet.says(1, say.Announced(200))
    fleet.says(1, say.Announced(100))
    tally = Tally(done=1, ready=2, cpu_s=2.5)
    fleet.says(1, say.WorkerStats(tally))
    at_ns = fleet.sessions[1].to_run(AHEAD_NS + 7)
    assert fleet.run.sent == [Usage(reading=SenderReading(1, at_ns, 2.5, 99))]
    assert fleet.run.manifest.notes == ["Worker 1: odd"]
    assert (fleet.worker(1).announced, fleet.worker(1).tally) == (200, tally)


def test_a_worker_that_leaves_in_a_phase_owes_nothing(fleet: Fleet) -> None:
    """The phase had fewer users from then on; what it has yet to hand in, it hands in."""
    fleet.begin_phase()
    fleet.says(0, say.Parcel(RUN, 0, 3, b"abc"))
    fleet.says(0, say.Leaving())
    (record, _) = fleet.run.manifest.workers
    assert record.loss is not None
    assert (record.loss.how, record.loss.phase, record.loss.unaccounted_at_most) == ("left", "one", 0)
    assert fleet.workers.record is not None
    assert fleet.workers.record.users is None


def test_a_worker_that_is_lost_owes_what_it_had_announced(fleet: Fleet) -> None:
    """As many requests as it may have sent without a record here; the others are waited for no longer than that."""
    question = fleet.begin_phase()
    fleet.says(0, say.Announced(50))
    fleet.says(0, say.Parcel(RUN, 0, 20, b"abc"))
    fleet.says(1, say.Drained(question, None, None))
    assert not fleet.workers.drained.is_set()
    fleet.sessions[0].gone = "lost"
    fleet.handler.on_gone(fleet.sessions[0])
    (record, _) = fleet.run.manifest.workers
    assert record.loss is not None
    assert (record.loss.how, record.loss.phase, record.loss.unaccounted_at_most) == ("lost", "one", 30)
    assert fleet.workers.drained.is_set()
    assert [worker.session.number for worker in fleet.workers.there] == [1]


def test_a_worker_that_is_lost_after_it_closed_owes_nothing(fleet: Fleet) -> None:
    """The run was over, and everything had come."""
    fleet.workers.is_closing = True
    closed = say.Closed(RUN, 3, 1, 0)
    fleet.says(0, say.Closed("another", 9, 9, 9))
    fleet.says(0, closed)
    fleet.says(1, say.Leaving())
    fleet.sessions[0].gone = "lost"
    fleet.handler.on_gone(fleet.sessions[0])
    assert fleet.worker(0).closed == closed
    assert [worker.record().loss for worker in fleet.workers.by_number.values()] == [None, None]
    assert fleet.worker(0).record().requests_total == 3


def test_a_worker_that_has_no_part_in_the_run_counts_for_nothing(fleet: Fleet) -> None:
    """One that has a part is told of the run once."""
    fleet.handler.on_message(fleet.session(9, 0), say.Noted("unknown"))
    fleet.handler.on_gone(fleet.session(9, 0))
    fleet.handler.on_ready(fleet.sessions[0])
    assert fleet.run.manifest.notes == []
    assert fleet.sent == [(f"client-{number}", say.Begin(RUN, False)) for number in (0, 1)]


def test_a_worker_is_told_that_locust_decides_how_many_users_send(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, follow=True)
    assert fleet.sent == [(f"client-{number}", say.Begin(RUN, True)) for number in (0, 1)]
    fleet.receiver.close()


def test_a_dag_that_a_worker_takes_on_is_in_the_manifest(fleet: Fleet) -> None:
    """Once, whichever workers send it, so that a reader finds its nodes."""
    dag = WorkloadDag(nodes=(NodeShape("a"), NodeShape("b", ("a",))), answer_node="b", part="own")
    for session in fleet.sessions:
        fleet.handler.on_message(session, say.decode(say.encode(say.NewDag(dag))))
    assert fleet.run.manifest.node_ids == ("a", "b")
    assert [(listed.part, listed.node_ids, listed.answer_node) for listed in fleet.run.manifest.dags] == [
        ("own", ("a", "b"), "b")
    ]  # fmt: skip
