"""What one process gives many give, exactly: real masters, real workers, the simulated runtime's own record."""

from __future__ import annotations

import json
import os
import re
import signal
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from aether_load.rundata.records.record_reader import RecordReader
from processes import EVAL, REPOSITORY, UNSEEN, Finished, LocustProcess, Simulator, call_command, wait_for
from recorded import samples_of, samples_table

if TYPE_CHECKING:
    from locust_forks import LocustFork

TWO = ("--processes", "2")


def has_left_nothing(process: LocustProcess) -> bool:
    return process.left_behind() == []


def report_of(finished: Finished) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads((finished.run_folder / "report.json").read_bytes())
    return answer


def window_is_open(process: LocustProcess) -> re.Match[str] | None:
    return re.search(r'"window_began_ns": \d', process.manifest_text())


def recording(master: LocustProcess) -> list[Path]:
    """Return the record files that have a request."""
    files = master.folder.glob("results/runs/*/records-*.bin")
    return [path for path in files if any(len(batch.requests) for batch in RecordReader(path, follow=True))]


def sentences(finished: Finished) -> list[str]:
    """Return what it said, but that it waits, which depends on how busy the machine is."""
    said = [line for line in finished.err.splitlines() if line.startswith("aether-load: ")]
    return [line for line in said if "waiting for a master" not in line]


@pytest.fixture
def worker_port(free_port: int) -> tuple[tuple[str, ...], tuple[str, str, str]]:
    """A port for a master to listen on; Locust's own is one for the whole machine."""
    here = ("--master-port", str(free_port))
    return (*here, "--master-bind-port", str(free_port)), ("--worker", *here)


def test_each_prompt_is_sent_once_and_all_is_one_run(
    run_locust: Callable[..., Finished],
    simulator: Callable[..., Simulator],
    worker_port: tuple[tuple[str, ...], tuple[str, str, str]],
) -> None:
    """320 requests by 8 users in 3 processes: one folder, one reconciliation, every figure from all samples."""
    runtime = simulator("--latency", "constant:20ms")
    finished = run_locust(
        "--host", runtime.url, "--processes", "3", *worker_port[0], "--json",
        "--set", "workload.datasets=['piqa','hellaswag']", "--set", "phases.0.passes=2",
        "--set", "phases.0.unique_prompts=true",
    )  # fmt: skip
    assert finished.code == 0, finished.err
    rows = samples_of(finished)
    sent = Counter(row["prompt_id"] for row in rows)
    assert (len(sent), set(sent.values())) == (160, {2})
    assert Counter(row["worker"] for row in rows) == {0: 107, 1: 107, 2: 106}
    assert len({row["execution_id"] for row in rows}) == 320
    record = runtime.record()
    assert record["nodes"]["succeeded"] == 320, record
    report = report_of(finished)
    (phase,) = report["phases"]
    assert (phase["all"]["requests_total"], phase["users"], phase["ended_by"]) == (320, 8, "passes")
    assert phase["reconciliation"]["trust"] == "trusted"
    assert phase["reconciliation"]["unexplained_nodes_total"] == 0
    assert [line["name"] for line in phase["reconciliation"]["lines"] if line["agrees"] is False] == []
    assert phase["sender"]["processes_total"] == 3
    # Marks that make a prompt unique are each worker's own: the second pass of a prompt is another one's, and no hit.
    assert (phase["cached_nodes_total"], phase["uncached_nodes_total"]) == (0, 320)
    assert [(worker["worker"], worker["ended"], worker["requests_total"]) for worker in report["workers"]] == [
        (0, "finished", 107), (1, "finished", 107), (2, "finished", 106),
    ]  # fmt: skip
    assert {worker["clock_offset_ms"] for worker in report["workers"]} == {0.0}
    # Locust's own table has them all too, each worker's last ones included.
    assert sum(entry["num_requests"] for entry in json.loads(finished.out)) == 320
    assert {path.name for path in finished.run_folder.glob("samples*")} == {"samples.arrow"}


@pytest.mark.slow
def test_an_open_load_is_the_one_schedule_of_one_process(
    run_locust: Callable[..., Finished],
    simulator: Callable[..., Simulator],
    worker_port: tuple[tuple[str, ...], tuple[str, str, str]],
) -> None:
    """The due times of 2 workers, together and in order, are those that one process has, to the nanosecond."""
    runtime = simulator("--latency", "constant:2ms")
    load = ("--host", runtime.url, "--set", "phases=[{rate=150.0,duration='2s',warmup='300ms'}]")
    due = []
    for more in ((), (*TWO, *worker_port[0])):
        finished = run_locust(*load, "--results-dir", f"results{len(more)}", *more)
        (folder,) = (finished.results.parent / f"results{len(more)}" / "runs").iterdir()
        table = samples_table(folder)
        manifest = json.loads((folder / "run.json").read_bytes())
        (window,) = manifest["phases"]
        offsets = sorted(at - window["window_began_ns"] for at in table["intended_start_ns"].to_pylist())
        due.append([offset for offset in offsets if offset >= 0])
        assert finished.code == 0, finished.err
    assert due[0] == due[1]
    assert len(due[0]) > 200


@pytest.mark.slow
def test_a_worker_that_is_killed_is_missed_and_the_run_goes_on(
    start_locust: Callable[..., LocustProcess],
    simulator: Callable[..., Simulator],
    worker_port: tuple[tuple[str, ...], tuple[str, str, str]],
) -> None:
    """Killed in the first of two phases: its part is named and bounded, the second phase has all its users again.

    It is given up after the first window's end, and meanwhile the other one rests.
    """
    runtime = simulator("--latency", "constant:30ms")
    process = start_locust(
        "--headless", "--host", runtime.url, *TWO, *worker_port[0],
        "--set", "phases=[{name='one',users=6,duration='3s'},{name='two',users=6,duration='1500ms'}]",
        *UNSEEN,
    )  # fmt: skip
    wait_for(lambda: window_is_open(process), "the first window")
    victim = json.loads(process.manifest_text())["workers"][1]["pid"]
    wait_for(lambda: len(recording(process)) == 2, "samples of both workers")
    os.kill(victim, signal.SIGKILL)
    finished = process.finish()
    assert finished.code == 5, finished.err
    assert "Traceback" not in finished.err
    report = report_of(finished)
    one, two = report["phases"]
    lost = report["workers"][1]
    assert (lost["ended"], lost["lost_in_phase"]) == ("lost", "one")
    assert [warning["code"] for warning in report["warnings"] if warning["code"] == "worker_lost"] == ["worker_lost"]
    assert (one["users"], one["ended_by"]) == (None, "duration")
    # Three users with answers of 30 ms would have sent 200 more in the two seconds or more until then.
    assert one["requests_outside_window_total"] < 60
    assert "worker 1" in one["reasons"]["users"]
    reconciliation = one["reconciliation"]
    # What the runtime ran for it in its last second is all that is missing, and no more than it had announced.
    assert 0 <= reconciliation["unexplained_nodes_total"] <= lost["unaccounted_at_most_total"] < 500
    assert reconciliation["trust"] == "trusted"
    assert two["users"] == 6
    assert two["reconciliation"]["unexplained_nodes_total"] == 0
    assert two["all"]["requests_total"] > 100
    assert {row["worker"] for row in samples_of(finished) if row["phase"] == "two"} == {0}
    assert process.left_behind() == []


@pytest.mark.slow
def test_a_run_whose_last_worker_is_killed_ends(
    start_locust: Callable[..., LocustProcess],
    simulator: Callable[..., Simulator],
    worker_port: tuple[tuple[str, ...], tuple[str, str, str]],
) -> None:
    """Nobody is left to send: the run ends with what came in, and so does the process, with no word from a terminal."""
    runtime = simulator("--latency", "constant:30ms")
    process = start_locust(
        "--headless", "--host", runtime.url, *TWO, *worker_port[0],
        "--set", "phases=[{name='one',users=4,duration='60s'},{name='two',users=4,duration='60s'}]", *UNSEEN,
    )  # fmt: skip
    wait_for(lambda: len(recording(process)) == 2, "samples of both workers")
    for worker in json.loads(process.manifest_text())["workers"]:
        os.kill(worker["pid"], signal.SIGKILL)
    finished = process.finish()
    assert finished.code == 5, finished.err
    assert "aether-load: the last worker is gone, and the run ends with it." in finished.err
    report = report_of(finished)
    assert [phase["ended_by"] for phase in report["phases"]] == ["no worker was left"]
    assert [(worker["ended"], worker["lost_in_phase"]) for worker in report["workers"]] == [("lost", "one")] * 2
    assert process.left_behind() == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_whose_worker_is_gone_before_it_sent_does_not_pass(
    start_locust: Callable[..., LocustProcess],
    simulator: Callable[..., Simulator],
    worker_port: tuple[tuple[str, ...], tuple[str, str, str]],
    number: signal.Signals,
) -> None:
    """The only worker ends while Locust spawns users: the master ends, too, and says what is the matter."""
    runtime = simulator("--latency", "constant:30ms")
    master = start_locust(
        "--headless", "--master", *worker_port[0], "--host", runtime.url,
        under=("sh", "-c", 'exec "$@" 2> said.txt', "sh"),
    )  # fmt: skip
    said = master.folder / "said.txt"
    worker = start_locust(*worker_port[1])
    wait_for(lambda: said.is_file() and "Sending spawn jobs" in said.read_text(), "the master's start")
    worker.send(number)
    worker.finish()
    finished = master.finish()
    text = said.read_text() + finished.out
    assert finished.code == 5, text
    assert "Traceback" not in text
    # Whether it had begun by then is chance; what became of the worker is said in either case.
    assert re.search(r"workers .*have gone|workers .* are gone|was lost|left before the run's end", text), text


@pytest.mark.slow
def test_what_was_shipped_before_the_master_was_killed_is_reported(
    start_locust: Callable[..., LocustProcess],
    simulator: Callable[..., Simulator],
    worker_port: tuple[tuple[str, ...], tuple[str, str, str]],
    tmp_path: Path,
) -> None:
    """kill -9 of the master: its workers end by themselves, and the folder reports what had come in."""
    runtime = simulator("--latency", "constant:10ms")
    process = start_locust(
        "--headless", "--host", runtime.url, *TWO, *worker_port[0],
        "--set", "phases=[{users=4,duration='60s'}]", *UNSEEN,
    )  # fmt: skip
    files = ("records-0.bin", "records-1.bin")
    runs = process.folder / "results" / "runs"
    wait_for(
        lambda: (
            all(path.stat().st_size > 40_000 for path in [*runs.glob("*/records-*")] or [tmp_path / "none"])
            if len([*runs.glob("*/records-*")]) == len(files)
            else False
        ),
        "samples of both workers",
    )
    process.send(signal.SIGKILL)
    process.process.wait()
    wait_for(lambda: process.left_behind() == [], "the workers' end")
    (folder,) = runs.iterdir()
    done = call_command("report", str(folder), "--no-page", cwd=tmp_path)
    assert done.returncode == 5, done.stderr
    report = json.loads((folder / "report.json").read_bytes())
    (phase,) = report["phases"]
    assert report["run"]["ended_as"] == "running"
    assert phase["all"]["requests_total"] + phase["requests_outside_window_total"] > 200
    assert all(worker["requests_total"] > 50 for worker in report["workers"])
    # Nobody counted what they sent after their last batch.
    assert [worker["unaccounted_at_most_total"] for worker in report["workers"]] == [None, None]
    assert all("nothing says how far" in worker["unaccounted_reason"] for worker in report["workers"])
    assert phase["all"]["ok_total"] == phase["all"]["requests_total"]


@pytest.mark.slow
def test_a_worker_that_joins_late_has_its_part_of_the_next_phase(
    start_locust: Callable[..., LocustProcess],
    simulator: Callable[..., Simulator],
    worker_port: tuple[tuple[str, ...], tuple[str, str, str]],
    tmp_path: Path,
) -> None:
    """The rows lie beside the master alone, which reads them once and hands them on."""
    runtime = simulator("--latency", "constant:30ms")
    rows = tmp_path / "mine.jsonl"
    rows.write_text("".join(f'{{"ask": "question {number}"}}\n' for number in range(400)))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    master = start_locust(
        "--headless", "--master", *worker_port[0], "--host", runtime.url,
        "--set", "workload.datasets=['mine']", "--set", f"workload.files={{mine={{path='{rows}',text='ask'}}}}",
        "--set", "phases=[{name='one',users=4,duration='7s'},{name='two',users=4,passes=1}]",
        *UNSEEN,
    )  # fmt: skip
    start_locust(*worker_port[1], folder=elsewhere)
    wait_for(lambda: window_is_open(master), "the first window")
    start_locust(*worker_port[1], folder=elsewhere)
    finished = master.finish()
    assert finished.code == 0, finished.err
    sample_rows = samples_of(finished)
    by_phase = {name: Counter(row["worker"] for row in sample_rows if row["phase"] == name) for name in ("one", "two")}
    assert set(by_phase["one"]) == {0}
    assert by_phase["two"] == {0: 200, 1: 200}
    sent = Counter(row["prompt_id"] for row in sample_rows if row["phase"] == "two")
    assert set(sent.values()) == {1}
    assert [phase["reconciliation"]["unexplained_nodes_total"] for phase in report_of(finished)["phases"]] == [0, 0]


@pytest.mark.slow
def test_workers_that_leave_are_missed_and_owe_nothing(
    start_locust: Callable[..., LocustProcess],
    simulator: Callable[..., Simulator],
    worker_port: tuple[tuple[str, ...], tuple[str, str, str]],
) -> None:
    """Two of three end in order in the middle of an open load, by either signal: that is said, and no run passes."""
    runtime = simulator("--latency", "constant:20ms")
    master = start_locust(
        "--headless", "--master", *worker_port[0], "--expect-workers", "3", "--host", runtime.url,
        "--set", "phases=[{rate=100.0,arrivals='constant',duration='4s'}]",
    )  # fmt: skip
    workers = [start_locust(*worker_port[1]) for _ in range(3)]
    wait_for(lambda: len(recording(master)) == 3, "samples of every worker")
    for worker, number in zip(workers, (signal.SIGTERM, signal.SIGINT), strict=False):
        worker.send(number)
    left = [worker.finish().err for worker in workers[:2]]
    finished = master.finish()
    assert ["leaving; answers in flight are waited for" in err for err in left] == [True, True], left
    assert "Traceback" not in "".join(left) + finished.err
    assert finished.code == 5, finished.err
    report = report_of(finished)
    (phase,) = report["phases"]
    assert sorted(worker["ended"] for worker in report["workers"]) == ["finished", "left", "left"]
    assert [worker["unaccounted_at_most_total"] for worker in report["workers"]] == [0, 0, 0]
    assert [worker["lost_in_phase"] for worker in report["workers"]].count(phase["name"]) == 2
    lost = [warning["phase"] for warning in report["warnings"] if warning["code"] == "worker_lost"]
    assert lost == [phase["name"]] * 2
    assert phase["reconciliation"]["unexplained_nodes_total"] == 0
    assert runtime.record()["nodes"]["succeeded"] == len(samples_of(finished)) < 400
    # What was due of the schedule that left with it is not known, and so no share of it was reached.
    not_known = ("due_rps", "achieved_share", "waiting_at_middle_total", "waiting_at_end_total")
    assert {phase["open_load"][name] for name in not_known} == {None}
    assert {f"open_load.{name}" for name in not_known} <= set(phase["reasons"])


@pytest.mark.slow
def test_a_port_that_is_taken_is_one_sentence_and_leaves_nobody_behind(
    start_locust: Callable[..., LocustProcess],
    simulator: Callable[..., Simulator],
    worker_port: tuple[tuple[str, ...], tuple[str, str, str]],
) -> None:
    """And who comes with it does no harm to the run that has the port: it takes its own children only."""
    runtime = simulator("--latency", "constant:20ms")
    load = ("--headless", "--host", runtime.url, *worker_port[0])
    first = start_locust(*load, *TWO, "--set", "phases=[{users=4,duration='6s'}]", *UNSEEN)
    wait_for(lambda: window_is_open(first), "the first window")
    for second in [start_locust(*load, *more) for more in (TWO, ("--master",))]:
        refused = second.finish()
        said = [line for line in refused.err.splitlines() if line.startswith("aether-load: The master cannot listen")]
        assert (refused.code, len(said)) == (2, 1), refused.err
        assert "Traceback" not in refused.err
        wait_for(partial(has_left_nothing, second), "the end of its workers")
    finished = first.finish()
    assert finished.code == 0, finished.err
    assert len(report_of(finished)["workers"]) == 2


@pytest.mark.slow
def test_another_machines_clock_is_noted_and_corrected_for(
    start_locust: Callable[..., LocustProcess],
    simulator: Callable[..., Simulator],
    worker_port: tuple[tuple[str, ...], tuple[str, str, str]],
) -> None:
    """A worker in a time namespace of its own, whose monotonic clock is 5,000 s ahead: no figure shows it."""
    namespace = ("unshare", "--time", "--monotonic", "5000")
    try:
        allowed = psutil.Popen([*namespace, "true"]).wait() == 0
    except (OSError, psutil.Error):
        allowed = False
    if not allowed:
        pytest.skip("time namespaces cannot be made here (unshare --time)")
    runtime = simulator("--latency", "constant:20ms")
    master = start_locust("--headless", "--master", *worker_port[0], "--expect-workers", "2", "--host", runtime.url)
    start_locust(*worker_port[1])
    start_locust(*worker_port[1], under=namespace)
    finished = master.finish()
    assert finished.code == 0, finished.err
    report = report_of(finished)
    (phase,) = report["phases"]
    offsets = sorted(worker["clock_offset_ms"] for worker in report["workers"])
    assert offsets[0] == 0.0
    assert offsets[1] == pytest.approx(5_000_000, abs=60_000)
    assert phase["all"]["requests_total"] == 400
    assert phase["requests_outside_window_total"] == 0
    assert phase["window_s"] < 10
    assert phase["reconciliation"]["trust"] == "trusted"
    assert phase["checks"]
    assert [check["code"] for check in phase["checks"] if check["violated_total"]] == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--scenario", "nightly"), ["another scenario", "leave --scenario"]),
        pytest.param(None, ["aether-load 0.0.1", "install the same release"], marks=pytest.mark.slow),
    ],
)
def test_a_worker_of_another_kind_is_refused(
    start_fork: Callable[..., LocustFork],
    simulator: Callable[..., Simulator],
    worker_port: tuple[tuple[str, ...], tuple[str, str, str]],
    options: tuple[str, ...] | None,
    words: list[str],
    tmp_path: Path,
) -> None:
    """Both sides say why, in one sentence, and neither passes."""
    runtime = simulator()
    master = start_fork("--headless", "--master", *worker_port[0], "--host", runtime.url)
    locustfile = REPOSITORY / "tests" / "locustfiles" / "older_release.py" if options is None else EVAL
    worker = start_fork(*worker_port[1], *(options or ()), locustfile=locustfile)
    for finished in (worker.finish(), master.finish()):
        said = sentences(finished)
        assert finished.code == 2, finished.err
        assert len(said) == 1, finished.err
        assert all(word in said[0] for word in words), said
        assert "Traceback" not in finished.err
    assert not any((tmp_path / "results").glob("runs/*"))


def test_a_secret_is_each_workers_own(
    start_fork: Callable[..., LocustFork],
    simulator: Callable[..., Simulator],
    worker_port: tuple[tuple[str, ...], tuple[str, str, str]],
) -> None:
    """A worker whose environment lacks what a header is made of says so; the master's own value does not go there."""
    runtime = simulator()
    key = {"AETHER_TEST_KEY": "open sesame"}
    master = start_fork(
        "--headless", "--master", *worker_port[0], "--host", runtime.url, "--header", "X-Key: ${AETHER_TEST_KEY}", **key
    )  # fmt: skip
    worker = start_fork(*worker_port[1])
    for finished in (worker.finish(), master.finish()):
        said = sentences(finished)
        assert finished.code == 2, finished.err
        assert len(said) == 1, finished.err
        assert "Header X-Key: the environment has no variable AETHER_TEST_KEY" in said[0]
        assert "open sesame" not in finished.err


@pytest.mark.slow
def test_a_master_that_stalls_is_in_no_latency(
    start_fork: Callable[..., LocustFork],
    simulator: Callable[..., Simulator],
    worker_port: tuple[tuple[str, ...], tuple[str, str, str]],
) -> None:
    """Stopped for longer than it bears with others: the workers go on as before, and every sample comes in later."""
    runtime = simulator("--latency", "constant:5ms")
    process = start_fork(
        "--headless", "--host", runtime.url, *TWO, *worker_port[0],
        "--set", "phases=[{rate=200.0,arrivals='constant',duration='8s'}]",
    )  # fmt: skip
    wait_for(lambda: len(recording(process)) == 2, "samples of both workers")
    process.send(signal.SIGSTOP)
    before = runtime.record()["nodes"]["succeeded"]
    wait_for(lambda: runtime.record()["nodes"]["succeeded"] > before + 1200, "six seconds of load without it")
    process.send(signal.SIGCONT)
    finished = process.finish()
    assert finished.code == 0, finished.err
    (phase,) = report_of(finished)["phases"]
    assert phase["all"]["requests_total"] == 1600
    assert phase["reconciliation"]["unexplained_nodes_total"] == 0
    assert phase["all"]["outcomes"]["dropped"] == 0


@pytest.mark.slow
def test_an_interrupt_of_all_processes_ends_the_run_in_order(
    start_locust: Callable[..., LocustProcess],
    simulator: Callable[..., Simulator],
    worker_port: tuple[tuple[str, ...], tuple[str, str, str]],
) -> None:
    """Ctrl-C at a terminal reaches master and workers alike: nothing in flight is lost."""
    runtime = simulator("--latency", "constant:50ms")
    process = start_locust(
        "--headless", "--host", runtime.url, *TWO, *worker_port[0], "--set", "phases=[{users=6,duration='60s'}]"
    )
    wait_for(lambda: len(recording(process)) == 2, "samples of both workers")
    os.killpg(process.process.pid, signal.SIGINT)
    finished = process.finish()
    assert finished.code == 130, finished.err
    assert "Traceback" not in finished.err
    (phase,) = report_of(finished)["phases"]
    assert phase["reconciliation"]["unexplained_nodes_total"] == 0
    assert phase["all"]["outcomes"]["cancelled"] == 0
    assert runtime.record()["nodes"]["succeeded"] == len(samples_of(finished))
    assert process.left_behind() == []


@pytest.mark.slow
def test_a_full_disk_of_the_master_ends_the_run_and_loses_nothing(
    small_disk: Path,
    start_locust: Callable[..., LocustProcess],
    worker_port: tuple[tuple[str, ...], tuple[str, str, str]],
) -> None:
    """The master's disk refuses: the load ends on all workers, and every request is in the samples."""
    options = ("--limit", "20", "-t", "60s", "-u", "64", *TWO, *worker_port[0])
    finished = start_locust("--headless", *options, folder=small_disk).finish()
    (phase,) = report_of(finished)["phases"]
    assert phase["ended_by"] == "refused by the disk"
    assert "The disk refused to take more (No space left on device)" in finished.out
    assert phase["reconciliation"]["unexplained_nodes_total"] == 0
    booked = phase["all"]["requests_total"] + phase["requests_outside_window_total"]
    assert booked == phase["reconciliation"]["counted_nodes_total"]
    assert booked > 1000
    assert finished.code == 130
