"""What is made of the folder of a run that many workers carried."""

import io
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aether_load.analysis.phase.sender_usage import Sender, sender_over
from aether_load.analysis.report import build_report
from aether_load.outputs.markdown import write_markdown
from aether_load.outputs.page.html import page_html
from aether_load.outputs.terminal import write_summary
from aether_load.rundata.clock import ClockReading
from aether_load.rundata.folder import RunFolder
from aether_load.rundata.manifest import LossRecord, WorkerRecord
from aether_load.rundata.process_usage import MASTER, SenderReading
from aether_load.rundata.records.record_set import record_parts
from aether_load.rundata.samples.samples_arrow import read_samples
from aether_load.rundata.worker_clock import WorkerClock
from folders import BEGAN_NS, MS, answered, clock, fill, make_run, new_buffer, times_of, write_buffer

AHEAD_NS = 7_000 * MS
FIRST = [answered(10.0 * place, 60) for place in range(40)]
SECOND = [answered(10.0 * place + 5, 60) for place in range(30)]


def two_workers(results: Path, *, ran_unseen: int = 0, announced: int = 30, how: Any = None) -> RunFolder:
    """A run of two workers, the second with a clock of its own, and its file without an end if it was lost."""
    counted = times_of([*FIRST, *SECOND]) + [60] * ran_unseen
    folder = make_run(results, [], counted_ms=counted, users=2)
    folder.records.unlink()
    for worker, requests, ahead_ns in ((0, FIRST, 0), (1, SECOND, AHEAD_NS)):
        buffer = new_buffer(worker)
        fill(buffer, requests, "closed", began_ns=BEGAN_NS + ahead_ns)
        write_buffer(folder.records_of(worker), buffer, ended=not (how == "lost" and worker))
    loss = None
    if how is not None:
        loss = LossRecord(at=clock(900), phase="closed", how=how, received_total=30, announced_total=announced)
    manifest = folder.read_manifest()
    manifest.rows_total = {folder.records_of(0).name: len(FIRST), folder.records_of(1).name: len(SECOND)}
    readings = (ClockReading(BEGAN_NS + AHEAD_NS, AHEAD_NS, 50_000),)
    manifest.workers = [
        WorkerRecord(worker=0, pid=11, host="here", began=clock(0), ended=clock(2000), connections_opened=1),
        WorkerRecord(
            worker=1, pid=12, host="there", began=clock(0), ended=None if loss else clock(2000), clock=readings,
            utc_ahead_s=2.5 if loss else 0.0, loss=loss,
        ),
    ]  # fmt: skip
    folder.write_manifest(manifest)
    return folder


def test_parts_are_one_run_by_one_clock(tmp_path: Path) -> None:
    folder = two_workers(tmp_path)
    report = build_report(folder)
    (phase,) = report.phases
    assert (phase.all.requests_total, phase.requests_outside_window_total) == (70, 0)
    assert phase.all.response_latency_ms is not None
    assert phase.all.response_latency_ms.max == 60.0
    assert (phase.reconciliation.trust, phase.reconciliation.unexplained_nodes_total) == ("trusted", 0)
    assert [(line.ours, line.theirs) for line in phase.reconciliation.lines if line.name == "requests_due_total"] == [
        (70, 70)
    ]
    assert [(worker.requests_total, worker.ended, worker.clock_offset_ms) for worker in report.workers] == [
        (40, "finished", None), (30, "finished", 7000.0),
    ]  # fmt: skip
    assert report.verdict.status == "passed"


def test_the_one_table_of_all_parts_is_by_one_clock(tmp_path: Path) -> None:
    folder = two_workers(tmp_path)
    table = read_samples(record_parts(folder, folder.read_manifest())).table
    assert table["worker"].to_pylist() == [0] * 40 + [1] * 30
    starts = sorted(table["sent_ns"].to_pylist())
    assert starts == sorted(BEGAN_NS + int(each["at"] * MS) for each in [*FIRST, *SECOND])


@pytest.mark.parametrize(
    ("ran_unseen", "announced", "trust"), [(0, 30, "trusted"), (5, 40, "trusted"), (5, 34, "contaminated")]
)
def test_what_a_lost_worker_may_have_sent_bounds_the_difference(
    tmp_path: Path, ran_unseen: int, announced: int, trust: str
) -> None:
    """The runtime counted what the client lost: within what had been announced it is explained, beyond it is not."""
    report = build_report(two_workers(tmp_path, ran_unseen=ran_unseen, announced=announced, how="lost"))
    (phase,) = report.phases
    assert phase.reconciliation.trust == trust
    assert phase.reconciliation.unexplained_nodes_total == ran_unseen
    assert report.workers[1].unaccounted_at_most_total == announced - 30
    assert (report.verdict.status, report.verdict.exit_code) == ("invalid", 5)
    assert any("Worker 1 (process 12 on there) was lost" in reason for reason in report.verdict.reasons)
    codes = [warning.code for warning in report.warnings]
    assert "worker_lost" in codes
    assert "worker_clock_off" in codes
    assert "damaged" not in codes
    # The bound is said once, by the worker's own warning.
    assert "unread_answers" not in codes
    if ran_unseen and trust == "trusted":
        taken = "requests whose samples were lost with a worker"
        assert phase.reconciliation.reason == f"5 nodes more than were answered, which {taken} may have run"
        off = [line for line in phase.reconciliation.lines if line.difference]
        assert {line.causes for line in off} == {(taken, "other clients of the runtime")}


def test_a_worker_that_left_by_itself_owes_nothing(tmp_path: Path) -> None:
    report = build_report(two_workers(tmp_path, how="left"))
    assert report.workers[1].ended == "left"
    assert report.workers[1].unaccounted_at_most_total == 0
    assert report.verdict.exit_code == 5
    assert "left before the run's end" in " ".join(report.verdict.reasons)


def test_only_the_file_of_a_lost_worker_may_be_cut_off(tmp_path: Path) -> None:
    """The lost worker's has no end, and may end inside a block, since its loss is said; another one's is damage."""
    folder = two_workers(tmp_path, how="lost")
    lost, other = folder.records_of(1), folder.records_of(0)
    lost.write_bytes(lost.read_bytes() + other.read_bytes()[-8:])
    assert "damaged" not in [warning.code for warning in build_report(folder).warnings]
    other.write_bytes(other.read_bytes()[:-8])
    report = build_report(folder)
    assert report.verdict.reasons[0] == "records-0.bin lacks its end, behind row 39"
    assert report.verdict.exit_code == 5


def test_the_missing_file_of_a_worker_is_damage(tmp_path: Path) -> None:
    folder = two_workers(tmp_path)
    folder.records_of(1).unlink()
    report = build_report(folder)
    assert (report.verdict.status, report.verdict.reasons[0]) == (
        "invalid",
        "records-1.bin lacks rows 0 to 29, at its end",
    )


def test_every_output_names_the_workers(tmp_path: Path) -> None:
    report = build_report(two_workers(tmp_path, announced=44, how="lost"))
    terminal, markdown = io.StringIO(), io.StringIO()
    write_summary(report, [], terminal, verbose=True)
    write_markdown(report, markdown)
    page = page_html(report, [], {}, "")
    for text in (terminal.getvalue(), markdown.getvalue(), page):
        for word in ("12 on there", "7000.0 ± 0.1", "lost in phase closed", "up to 14"):
            assert word in text, (word, text)


def test_the_busiest_of_several_senders_counts_and_the_master_is_told_apart() -> None:
    def readings(worker: int, cpu_s: float, resident: int) -> list[SenderReading]:
        return [SenderReading(worker, second * 1000 * MS, cpu_s * second, resident) for second in range(4)]

    together = [*readings(MASTER, 0.3, 9), *readings(0, 0.5, 100), *readings(1, 0.9, 80)]
    together.sort(key=lambda reading: reading.at_ns)
    assert sender_over(together, 0, 3000 * MS) == Sender(
        cpu_share_mean=0.9, cpu_share_max=0.9, resident_max_bytes=80, processes_total=2, master_cpu_share_max=0.3
    )
    assert sender_over(readings(MASTER, 0.3, 9), 0, 3000 * MS) is None


def test_a_part_without_a_known_clock_is_by_the_runs(tmp_path: Path) -> None:
    folder = two_workers(tmp_path)
    manifest = folder.read_manifest()
    manifest.workers = [msgspec.structs.replace(worker, clock=()) for worker in manifest.workers]
    assert [part.clock for part in record_parts(folder, manifest)] == [None, None]
    assert WorkerClock(()).is_the_runs_own
