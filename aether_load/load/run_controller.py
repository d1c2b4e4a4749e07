"""One run from its first phase to its results, and the end that somebody puts to it."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gevent
from gevent.event import Event

from aether_load.errors import AetherLoadError, ExitCode, TargetError
from aether_load.load.phases import NO_WORKER_LEFT
from aether_load.load.progress import ProgressLine, watch
from aether_load.load.results import write_all
from aether_load.load.threshold_watch import ThresholdWatch
from aether_load.redaction import sentence_of
from aether_load.rundata.manifest import AbortRecord, Ended

if TYPE_CHECKING:
    from aether_load.analysis.report import Report
    from aether_load.load.phases import PhaseDriver
    from aether_load.load.run import Run
    from aether_load.load.web.monitoring import Monitoring


class RunController:
    """Takes one run through its phases and has its results written; nothing that happens here vanishes."""

    def __init__(
        self, environment: Any, run: Run, driver: PhaseDriver, line: ProgressLine, shown: Monitoring | None
    ) -> None:
        """Take in who shows the run on Locust's page, if anybody does."""
        self._environment = environment
        self._run = run
        self._driver = driver
        self._line = line
        self._shown = shown
        self._load_over = Event()
        self._finished = Event()
        self.report: Report | None = None
        self.files: list[Path] = []

    @property
    def is_finished(self) -> bool:
        """Tell whether the results are written."""
        return bool(self._finished.is_set())

    def begin(self) -> None:
        """Begin, in a greenlet of its own."""
        if self._shown is not None:
            self._shown.live_state.follow(self._run, self._driver)
        gevent.spawn(self._take)

    def end(self) -> None:
        """End the load in order and wait for the results: answers in flight, last reading of /metrics, files."""
        if not self._load_over.is_set():
            limit_s = self._environment.stop_timeout
            self._line.clear()
            sys.stderr.write(
                f"aether-load: ending the run; answers in flight have {limit_s:g} s (Ctrl-C again: none).\n"
            )
            self._driver.stop(limit_s)
        try:
            self._finished.wait()
        except KeyboardInterrupt:
            # Whoever presses Ctrl-C again does not want to wait for answers.
            self._driver.stop(0)
            self._finished.wait()

    def end_without_workers(self) -> None:
        """End the load because nobody is left to carry it, and this process when the results are written."""
        if self._load_over.is_set():
            # They went when their work was done.
            self._finished.wait()
            return
        self._line.clear()
        sys.stderr.write("aether-load: the last worker is gone, and the run ends with it.\n")
        self._run.stopped_because = NO_WORKER_LEFT
        self._driver.stop(0)
        self._finished.wait()
        # Locust ends by itself only where the last worker took its leave.
        gevent.spawn(self._environment.runner.quit)

    def end_from_page(self) -> None:
        """End the load because somebody at Locust's page says so; the results are made while the page goes on.

        That is the end that a load has whose scenario gives it none.
        """
        self._driver.stop(self._environment.stop_timeout, is_its_end=self._driver.is_endless)
        self._load_over.wait()

    def _take(self) -> None:
        environment, run = self._environment, self._run
        sentence: str | None = None
        try:
            self._load()
            if run.manifest.gate is None:
                self._write_results()
            else:
                environment.process_exit_code = int(ExitCode.PASSED)
        except AetherLoadError as error:
            measured = run.manifest.phases and isinstance(error, TargetError)
            rest = f" What was measured before: aether-load report {run.folder.path}" if measured else ""
            sentence = f"{error}{rest}"
            sys.stderr.write(f"aether-load: {sentence_of(sentence)}\n")
            environment.process_exit_code = int(error.exit_code)
        except Exception:  # noqa: BLE001 -- Locust would log it and exit 0
            traceback.print_exc()
            sentence = f"a defect of its own ended the run; what was measured lies in {run.folder.path}."
            sys.stderr.write(f"aether-load: {sentence_of(sentence)}\n")
            environment.process_exit_code = int(ExitCode.INVALID)
        finally:
            if self._shown is not None:
                self._shown.live_state.end(self.report, sentence)
            self._finished.set()
        if not self._driver.was_stopped:
            runner = environment.runner
            gevent.spawn(runner.quit if environment.parsed_options.headless else runner.stop)

    def _load(self) -> None:
        """Drive the phases, and close the run however they end."""
        run, driver = self._run, self._driver
        progress = gevent.spawn(watch, driver, self._line)
        ended_as: Ended = "interrupted"
        try:
            with ThresholdWatch(run, self._abort):
                driver.run_phases()
            if not (driver.was_interrupted or run.disk_is_full.is_set()):
                ended_as = "completed" if run.manifest.aborted is None else "aborted"
        finally:
            progress.kill()
            self._line.clear()
            try:
                run.close(ended_as)
            finally:
                self._load_over.set()
            if self._shown is not None:
                self._shown.live_state.stop_following()

    def _abort(self, broken: AbortRecord) -> None:
        """End the run in order because a threshold is broken, and say so at once."""
        self._driver.abort(broken)
        where = broken.phase if broken.dataset is None else f"{broken.phase}, {broken.dataset}"
        self._line.clear()
        sys.stderr.write(
            sentence_of(
                f"aether-load: threshold {broken.condition} is broken in phase {where}: {broken.shown}; the run ends "
                "when the answers in flight are in."
            )
            + "\n"
        )

    def _write_results(self) -> None:
        options = self._environment.parsed_options
        output = Path(options.output) if options.output is not None else None
        self.report, self.files = write_all(self._run.folder, output, page=not options.no_page)
        self._environment.process_exit_code = int(self.report.verdict.exit_code)
