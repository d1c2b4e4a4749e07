"""What is reported of the passes of users' own tasks."""

from pathlib import Path
from typing import Any

from aether_load.analysis.phase.iterations import iteration_reports
from aether_load.rundata.records.record_buffer import RecordBuffer
from aether_load.rundata.records.record_format import ABSENT, IterationRecord
from aether_load.rundata.records.record_set import RecordPart, RecordSet
from aether_load.rundata.records.record_writer import RecordWriter
from aether_load.rundata.samples.iterations import Iterations

MS = 1_000_000
COMPLETED, FAILED, INTERRUPTED = range(3)


def recorded(path: Path, passes: list[Any], worker: int = 0) -> RecordPart:
    """Write passes of (task, state, begin, end, requests, time in requests, error), in ms, to a record file."""
    buffer = RecordBuffer([], [], worker)
    buffer.phases.place("other")
    phase = buffer.phases.place("closed")
    for task, state, began, ended, requests, inside, error in passes:
        buffer.add_iteration(
            IterationRecord(
                worker=worker, phase=phase, name=buffer.names.place(task),
                error=ABSENT if error is None else buffer.errors.place(error), state=state, began_ns=began * MS,
                ended_ns=ended * MS, requests=requests, request_ns=inside * MS,
            )
        )  # fmt: skip
    writer = RecordWriter(buffer, path)
    writer.finish()
    writer.close()
    return RecordPart(path)


def reports(parts: list[RecordPart], window_ms: tuple[int, int] = (0, 1000)) -> tuple[Any, ...]:
    collected = Iterations()
    for batch, tables in RecordSet(parts):
        places = [0 if name == "closed" else ABSENT for name in tables.phases]
        collected.add(batch.iterations, places, tables)
    return iteration_reports(collected.of_phase(0), *(at * MS for at in window_ms))


def test_each_task_has_its_counts_and_times(tmp_path: Path) -> None:
    """Of completed and failed passes; an interrupted one is counted and has no time."""
    part = recorded(
        tmp_path / "records.bin",
        [
            ("User.ask", COMPLETED, 0, 100, 1, 60, None),
            ("User.ask", COMPLETED, 100, 300, 2, 180, None),
            ("User.ask", FAILED, 300, 310, 0, 0, "KeyError: 'a'"),
            ("User.ask", INTERRUPTED, 900, 1200, 1, 50, None),
            ("User.ask", COMPLETED, 1001, 1100, 1, 10, None),
            ("User.talk", INTERRUPTED, 5, 2000, 1, 5, None),
        ],
    )
    ask, talk = reports([part])
    assert (ask.task, ask.iterations_total, ask.completed_total, ask.failed_total, ask.interrupted_total) == (
        "User.ask", 4, 2, 1, 1,
    )  # fmt: skip
    assert (ask.error_rate, ask.requests_mean, ask.request_time_ms, ask.own_time_ms) == (0.333333, 1.0, 80.0, 23.333333)
    assert (ask.duration_ms.count, ask.duration_ms.mean, ask.duration_ms.max) == (3, 103.333333, 200.0)
    assert [(error.text, error.iterations_total) for error in ask.errors] == [("KeyError: 'a'", 1)]
    assert (talk.interrupted_total, talk.error_rate, talk.duration_ms, talk.own_time_ms) == (1, None, None, None)
    assert set(talk.reasons) == {"error_rate", "duration_ms", "requests_mean", "request_time_ms", "own_time_ms"}


def test_passes_of_workers_are_put_together(tmp_path: Path) -> None:
    """Each file has texts of its own."""
    first = recorded(tmp_path / "records.1.bin", [("User.a", COMPLETED, 10, 20, 1, 5, None)], worker=1)
    second = recorded(
        tmp_path / "records.2.bin",
        [("User.b", COMPLETED, 10, 30, 1, 5, None), ("User.a", FAILED, 40, 50, 1, 5, "late")], worker=2,
    )  # fmt: skip
    found = {task.task: (task.completed_total, task.failed_total) for task in reports([first, second])}
    assert found == {"User.a": (1, 1), "User.b": (1, 0)}


def test_nothing_is_reported_of_a_phase_without_a_window(tmp_path: Path) -> None:
    part = recorded(tmp_path / "records.bin", [("User.ask", COMPLETED, 0, 100, 1, 60, None)])
    assert reports([part], (2000, 3000)) == ()
    assert iteration_reports(Iterations().of_phase(0), None, None) == ()
