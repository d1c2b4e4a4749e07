"""Take one run from its first phase to its results, or end it early when asked to."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import gevent
from gevent.event import Event

from aether_load.errors import AetherLoadError, ExitCode, ResultsError, TargetError, explain
from aether_load.load.observer_client import PAGE_LIMIT_S, ObserverLost
from aether_load.load.process.guard import guarded
from aether_load.load.process.watchdog import Watchdog
from aether_load.load.progress import ProgressLine
from aether_load.load.run_ending import EndReason
from aether_load.load.run_results import RunResults
from aether_load.load.users.user_classes import note_on_others
from aether_load.observer import messages as say

if TYPE_CHECKING:
    from aether_load.load.phases.phase_driver import PhaseDriver
    from aether_load.load.run import Run
    from aether_load.load.sending.locust_feed import LocustFeed


_END_LIMIT_S = 60.0


class RunController:
    """Drives a run and has its results written; nothing that goes wrong here vanishes."""

    def __init__(self, environment: Any, run: Run, driver: PhaseDriver, line: ProgressLine, feed: LocustFeed) -> None:
        self._environment = environment
        self._run = run
        self._driver = driver
        self._line = line
        self._taking: gevent.Greenlet | None = None
        self._feed = feed
        self._load_over = Event()
        self._finished = Event()
        self.results = RunResults(run, environment.parsed_options)
        run.observer.on_broken = self._abort

    @property
    def is_load_over(self) -> bool:
        """Tell whether the last answer is in."""
        return bool(self._load_over.is_set())

    @property
    def is_finished(self) -> bool:
        """Tell whether the results are written."""
        return bool(self._finished.is_set())

    def begin(self) -> None:
        """Begin, in a greenlet of its own."""
        self._taking = gevent.spawn(self._take)

    # Who ends the run

    def end(self) -> None:
        """End the load in order and wait for the results: answers in flight, last reading of /metrics, files."""
        if not self._load_over.is_set():
            limit_s = self._environment.stop_timeout
            self._line.say(f"ending the run; answers in flight have {limit_s:g} s (Ctrl-C again: none).")
            self._run.ending.end(EndReason.INTERRUPTED, limit_s)
        self._finished.wait()

    def fail(self, sentence: str) -> None:
        """End the load in order because something of ours went wrong; the results say so."""
        if not self._load_over.is_set():
            self._run.fail(sentence)

    def hurry(self) -> None:
        """Wait for no answers any longer: the run was interrupted again."""
        if not self._load_over.is_set():
            self._run.ending.end(EndReason.INTERRUPTED, 0)

    def end_without_workers(self) -> None:
        """End the load because no worker is left, and this process when the results are written."""
        if self._load_over.is_set():
            # They went when their work was done.
            self._finished.wait()
            return
        self._line.say("the last worker is gone, and the run ends with it.")
        self._run.ending.end(EndReason.WORKERS_GONE, 0)
        self._finished.wait()
        # Locust ends by itself only where the last worker took its leave.
        gevent.spawn(self._environment.runner.quit)

    def end_from_page(self) -> None:
        """End the load because Stop was pressed; the results are made while the page goes on.

        That is the end that a load has whose scenario gives it none.
        """
        reason = EndReason.STOPPED if self._driver.progress.is_endless else EndReason.INTERRUPTED
        self._run.ending.end(reason, self._environment.stop_timeout)
        self._load_over.wait()

    def end_as_planned(self) -> None:
        """End the load because Locust's load shape is over, and wait for the results."""
        self._run.ending.end(EndReason.STOPPED, self._environment.stop_timeout)
        self._finished.wait()

    def _abort(self, broken: say.Broken) -> None:
        """End the run in order because a threshold is broken, and say so at once."""
        if self._run.ending.is_set():
            return
        record = broken.record
        self._run.manifest.aborted = record
        self._run.ending.end(EndReason.THRESHOLD)
        where = record.phase if record.dataset is None else f"{record.phase}, {record.dataset}"
        self._line.say(
            f"threshold {record.condition} is broken in phase {where}: {record.shown}; the run ends when "
            "the answers in flight are in."
        )

    # From the first phase to the results

    def _take(self) -> None:
        environment, run = self._environment, self._run
        try:
            self._load()
            environment.process_exit_code = self.results.write()
        except Exception as error:  # noqa: BLE001 -- Locust would log it and exit 0
            self._say_failure(error)
        finally:
            self._load_over.set()
            self._finished.set()
        # The results are on the screen by then; the page goes on being drawn when the next run begins.
        gevent.wait([run.observer.page_made, run.observer.lost], timeout=PAGE_LIMIT_S, count=1)
        if not run.ending.by_hand:
            runner = environment.runner
            gevent.spawn(runner.quit if environment.parsed_options.headless else runner.stop)

    def _say_failure(self, error: Exception) -> None:
        """Say why there are no results, and what there is of the run."""
        run = self._run
        sentence, code = explain(error)
        is_defect = not isinstance(error, AetherLoadError)
        if isinstance(error, ObserverLost):
            self._line.say(self.results.write_alone(error))
        else:
            # A target that is gone before the first phase leaves nothing.
            is_measured = bool(run.manifest.phases) if isinstance(error, TargetError) else is_defect
            left = [run.folder.what_is_left()] if is_measured else []
            sentence = " ".join([sentence, *run.rescued, *left])
            self._line.say(sentence)
        self._environment.process_exit_code = int(code)
        run.observer.send(say.Abandon(sentence=sentence))

    def _load(self) -> None:
        """Drive the phases, and close the run however they end."""
        run = self._run
        watchdog = Watchdog(self._driver.progress.state, self._on_stalled)
        watching = gevent.spawn(guarded(watchdog.watch_for_ever, lambda sentence, _: self.fail(sentence)))
        try:
            self._driver.run_phases()
        except ObserverLost:
            run.ending.end(EndReason.OBSERVER_LOST)
        except BaseException:
            run.ending.end(EndReason.FAILED)
            raise
        finally:
            watching.kill()
            self._line.clear()
            if (note := note_on_others(self._environment, self._feed.names)) is not None:
                run.manifest.notes.append(note)
            try:
                run.close()
            finally:
                self._load_over.set()

    def _on_stalled(self, sentence: str) -> None:
        """End a run in which nothing happens: in order, then by force, then this process."""
        self._line.say(f"{sentence} The run ends.")
        self._run.fail(sentence, EndReason.STALLED)
        gevent.spawn(self._driver.senders.cancel)
        gevent.sleep(_END_LIMIT_S)
        gevent.kill(self._taking, ResultsError(f"The run did not end by itself: {sentence}"), block=False)
        gevent.sleep(_END_LIMIT_S)
        self._line.say(f"the run cannot be ended in order. {self._run.folder.what_is_left()}")
        os._exit(int(ExitCode.INVALID))
