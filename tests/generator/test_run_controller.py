"""A run from its first phase to its exit code, over fakes of the run, the driver and Locust's environment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from gevent.event import Event

from aether_load.errors import ResultsError, TargetError
from aether_load.load.observer_client import ObserverLost
from aether_load.load.progress import ProgressLine
from aether_load.load.run_controller import RunController
from aether_load.load.run_ending import EndReason, RunEnding
from aether_load.observer import messages as say
from aether_load.observer.messages import Abandon, Finish, Finished
from aether_load.protocol import Generation
from aether_load.rundata.folder import RunFolder
from aether_load.rundata.manifest import AbortRecord, ClockPair, Manifest, PhaseRecord, TargetRecord
from aether_load.scenario.gate_plan import GatePlan

PHASE = PhaseRecord(
    name="one", users=1, load="closed", sequential=False, cache="keep", unique_prompts=False, began=ClockPair(0, "")
)
GATE = GatePlan(base="http://here", candidate="http://there")
RESULTS = say.Finished(id=0, exit_code=4, summary="the summary\n", files=())


class FakeRun:
    """A run whose observer answers `Finish` with what it is given: results, or an error."""

    def __init__(
        self,
        folder: Path,
        answer: ObserverLost | Finished | ResultsError = RESULTS,
        *,
        phases: tuple[PhaseRecord, ...] = (),
        gate: GatePlan | None = None,
    ) -> None:
        target = TargetRecord(url="http://here", kind="runtime", generation=Generation.V2, server=None)
        self.manifest = Manifest(
            id="r", scenario={}, command=[], seed=1, target=target, datasets=(), node_ids=("answer",),
            began=ClockPair(0, ""), phases=list(phases), gate=gate,
        )  # fmt: skip
        self.folder = RunFolder(folder)
        self.folder.manifest.write_bytes(b"{}")
        self.rescued: list[Any] = []
        self.ending = RunEnding()
        self.observer = self
        self.page_made, self.lost = Event(), Event()
        self.page_made.set()
        self.sent: list[Any] = []
        self.closed = self.wrote_alone = False
        self._answer = answer

    def send(self, command: Abandon) -> None:
        self.sent.append(command)

    def call(self, command: Finish, _limit_s: None) -> Finished:
        self.sent.append(command)
        self.page_made.set()
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    def close(self) -> None:
        self.closed = True

    def write_manifest_alone(self) -> None:
        self.wrote_alone = True


class Driver:
    """Drives nothing, or does what `step` does; `go` lets it end."""

    def __init__(
        self, step: Callable[..., Any] | None = None, *, waits: bool = False, is_endless: bool = False
    ) -> None:
        self._step = step
        self.progress = SimpleNamespace(is_endless=is_endless, state=lambda: (None, None))
        self.go = Event()
        if not waits:
            self.go.set()

    def run_phases(self) -> None:
        self.go.wait()
        if self._step is not None:
            self._step()


class Controlled:
    """A controller with what it was made of, and what it had Locust do."""

    def __init__(self, run: Any, driver: Any, *, headless: bool = True, output: str | None = None) -> None:
        self.calls: list[str] = []
        runner = SimpleNamespace(
            quit=lambda: self.calls.append("quit"),
            stop=lambda: self.calls.append("stop"),
        )
        options = SimpleNamespace(
            headless=headless, output=output, no_page=True, charts=False, verbose=False, locust_summary=False,
            print_stats=False, json=False,
        )  # fmt: skip
        self.environment = SimpleNamespace(
            runner=runner, parsed_options=options, stop_timeout=7, process_exit_code=None, user_classes=[]
        )
        self.run, self.driver = run, driver
        feed: Any = SimpleNamespace(names=set())
        self.controller = RunController(self.environment, run, driver, ProgressLine(), feed)

    def to_the_end(self) -> Controlled:
        with gevent.Timeout(20):
            self.controller.begin()
            while not self.controller.is_finished:
                gevent.sleep(0.001)
            gevent.sleep(0.01)
        return self


def raising(error: TargetError | ObserverLost | ZeroDivisionError) -> Callable[..., Any]:
    def step() -> None:
        raise error

    return step


def test_a_run_ends_with_the_exit_code_of_its_results(tmp_path: Path) -> None:
    """The observer writes them when the run is closed, and Locust ends then."""
    ended = Controlled(FakeRun(tmp_path), Driver()).to_the_end()
    assert [type(command) for command in ended.run.sent] == [say.Finish]
    assert (ended.run.closed, ended.environment.process_exit_code, ended.calls) == (True, 4, ["quit"])
    assert (ended.controller.results.written, ended.controller.is_load_over) == (RESULTS, True)


def test_on_the_page_locust_stops_and_goes_on(tmp_path: Path) -> None:
    ended = Controlled(FakeRun(tmp_path), Driver(), headless=False).to_the_end()
    assert ended.calls == ["stop"]


def test_a_gate_has_no_report_of_its_own(tmp_path: Path) -> None:
    """Its own command writes one, so that the load's exit code says only that it was driven."""
    ended = Controlled(FakeRun(tmp_path, gate=GATE), Driver()).to_the_end()
    assert (ended.run.sent[0].report, ended.environment.process_exit_code) == (False, 0)


def test_a_report_for_standard_output_is_written_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--output -` is the report's JSON, once its file is whole."""
    run = FakeRun(tmp_path)
    run.folder.report.write_text('{"whole": true}')
    Controlled(run, Driver(), output="-").to_the_end()
    said = capsys.readouterr()
    assert (said.out, said.err, run.sent[0].output) == ('{"whole": true}', "the summary\n", None)


@pytest.mark.parametrize(("phases", "hint"), [((), False), ((PHASE,), True)])
def test_a_target_that_is_gone_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], phases: tuple[PhaseRecord, ...], hint: bool
) -> None:
    """With the way to what was measured before, where there is something."""
    run = FakeRun(tmp_path, phases=phases)
    ended = Controlled(run, Driver(raising(TargetError("It is gone.")))).to_the_end()
    said = capsys.readouterr().err
    assert (ended.environment.process_exit_code, said.startswith("aether-load: It is gone.")) == (3, True)
    assert (f"aether-load report {tmp_path}" in said, "Traceback" in said) == (hint, False)
    assert [type(command) for command in run.sent] == [say.Abandon]
    assert (run.closed, ended.calls, run.ending.reason) == (True, ["quit"], EndReason.FAILED)


def test_results_that_cannot_be_written_are_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ended = Controlled(FakeRun(tmp_path, ResultsError("No room.")), Driver()).to_the_end()
    assert capsys.readouterr().err == "aether-load: No room.\n"
    assert ended.environment.process_exit_code == ResultsError.exit_code


@pytest.mark.parametrize("when", ["load", "finish"])
def test_a_lost_observer_ends_the_run_in_order(tmp_path: Path, capsys: pytest.CaptureFixture[str], when: str) -> None:
    """run.json is written without it, and the report is made afterwards; exit code 5."""
    lost = ObserverLost("The observer is gone: killed.")
    driver = Driver(raising(lost)) if when == "load" else Driver()
    ended = Controlled(FakeRun(tmp_path, lost), driver).to_the_end()
    assert (ended.environment.process_exit_code, ended.run.wrote_alone, ended.run.closed) == (5, True, True)
    said = capsys.readouterr().err
    assert said.startswith("aether-load: The observer is gone: killed. The run was ended. What was measured is there: ")
    assert ended.run.ending.reason is (EndReason.OBSERVER_LOST if when == "load" else None)


def test_a_defect_is_shown_and_makes_the_run_invalid(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In a sentence, with where it was and where the records lie."""
    ended = Controlled(FakeRun(tmp_path), Driver(raising(ZeroDivisionError("a defect")))).to_the_end()
    said = capsys.readouterr().err
    assert said.startswith("aether-load: a defect of aether-load ended it (ZeroDivisionError: a defect")
    assert said.endswith(f" What was measured is there: aether-load report {tmp_path}\n")
    assert (ended.environment.process_exit_code, ended.run.closed, ended.calls) == (5, True, ["quit"])


def test_a_broken_threshold_ends_the_load_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is said at once and kept in the manifest; a second one comes too late."""
    driver = Driver(waits=True)
    going = Controlled(FakeRun(tmp_path), driver)
    records = [
        AbortRecord(condition=name, phase="one", dataset="piqa", shown="p(50) is 9", confidence=0.99, after_s=1)
        for name in ("p(50)<1", "p(95)<1")
    ]
    for record in records:
        going.run.observer.on_broken(say.Broken(record=record))
    driver.go.set()
    going.to_the_end()
    assert going.run.manifest.aborted == records[0]
    assert (going.run.ending.reason, going.calls) == (EndReason.THRESHOLD, ["quit"])
    assert capsys.readouterr().err.startswith(
        "aether-load: threshold p(50)<1 is broken in phase one, piqa: p(50) is 9; the run ends when"
    )


def test_an_interruption_waits_for_answers_and_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It says how long answers have; one that comes when the load is over only waits for the results."""
    driver = Driver(waits=True)
    going = Controlled(FakeRun(tmp_path), driver)
    going.controller.begin()
    gevent.spawn_later(0.01, driver.go.set)
    with gevent.Timeout(20):
        going.controller.end()
        going.controller.end()
    assert (going.run.ending.reason, going.run.ending.stop_timeout_s) == (EndReason.INTERRUPTED, 7)
    assert capsys.readouterr().err == (
        "aether-load: ending the run; answers in flight have 7 s (Ctrl-C again: none).\n"
    )
    # Whoever interrupted ends Locust.
    assert going.calls == []


@pytest.mark.parametrize(("is_endless", "reason"), [(True, EndReason.STOPPED), (False, EndReason.INTERRUPTED)])
def test_a_stop_on_the_page_is_the_planned_end_of_a_load_without_another(
    tmp_path: Path, is_endless: bool, reason: EndReason
) -> None:
    driver = Driver(waits=True, is_endless=is_endless)
    going = Controlled(FakeRun(tmp_path), driver, headless=False)
    going.controller.begin()
    gevent.spawn_later(0.01, driver.go.set)
    with gevent.Timeout(20):
        going.controller.end_from_page()
    assert going.run.ending.reason is reason


def test_a_run_whose_workers_are_all_gone_ends_with_its_process(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before the load is over it says so; afterwards they went because their work was done."""
    driver = Driver(waits=True)
    going = Controlled(FakeRun(tmp_path), driver, headless=False)
    going.controller.begin()
    gevent.spawn_later(0.01, driver.go.set)
    with gevent.Timeout(20):
        going.controller.end_without_workers()
        gevent.sleep(0.01)
        going.controller.end_without_workers()
    assert going.run.ending.reason is EndReason.WORKERS_GONE
    assert capsys.readouterr().err == "aether-load: the last worker is gone, and the run ends with it.\n"
    assert "quit" in going.calls
