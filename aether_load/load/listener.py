"""Join the harness to Locust: its events in, run folder, verdict and exit code out."""

from __future__ import annotations

import logging
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import gevent
from locust import events
from locust.stats import CSV_STATS_INTERVAL_SEC

from aether_load.errors import ExitCode, explain
from aether_load.load.distributed.connecting import explain_connecting
from aether_load.load.distributed.master.master import Master
from aether_load.load.distributed.worker.worker import own_scenario_hash, prepare_worker
from aether_load.load.interruption import Interruption
from aether_load.load.options import add_options
from aether_load.load.process.guard import guarded, run_or_end
from aether_load.load.process.signals import end_early_on_signals, hold_signals
from aether_load.load.progress import ProgressLine
from aether_load.load.run_controller import RunController
from aether_load.load.run_start import new_run
from aether_load.load.sending.locust_feed import keep_entries
from aether_load.load.session.preparation import checked_scenario, fill_in_options, prepare_session
from aether_load.load.session.session import Session
from aether_load.load.session.targets import described
from aether_load.load.web.monitoring import Monitoring
from aether_load.load.web.start_form import Busy, show_in_form
from aether_load.scenario.command_line.scenario_options import scenario_from
from aether_load.scenario.load import scenario_hash
from aether_load.scenario.scenario import Scenario
from aether_load.scenario.stage import most_users
from aether_load.streams import mend_streams

_END_LIMIT_S = 60.0
_CSV_SLACK_S = 0.1


class _Installed:
    """What this process's locustfile has asked for, once it has."""

    scenario: str | None = None


def install(scenario: str | None = None) -> None:
    """Make a locustfile an aether-load run; `scenario` is what runs when the command line names none (`eval`).

    To import `aether_load.AetherUser` does this, too; a later call changes the scenario.
    """
    if _Installed.scenario is not None:
        _Installed.scenario = scenario or _Installed.scenario
        return
    _Installed.scenario = scenario or "eval"
    mend_streams()
    end_early_on_signals()
    explain_connecting(own_scenario_hash)

    def on_parser(parser: ArgumentParser, **_kwargs: Any) -> None:
        assert _Installed.scenario is not None
        add_options(parser, _Installed.scenario)
        show_in_form(parser)

    def on_init(environment: Any, **_kwargs: Any) -> None:
        if environment.parsed_options.worker:
            run_or_end(lambda: prepare_worker(environment))
        else:
            run_or_end(Listener(environment).prepare)

    hooks: Any = events
    hooks.init_command_line_parser.add_listener(on_parser)
    hooks.init.add_listener(on_init)


class Listener:
    """One Locust process that is no worker, from `init` to `quit`."""

    def __init__(self, environment: Any) -> None:
        """Take Locust's environment, whose types are looser than what is read of it here."""
        self._environment = environment
        self._line = ProgressLine()
        self._controller: RunController | None = None
        self._interruption = Interruption(environment, self._line, lambda: self._controller)
        self._headless = bool(environment.parsed_options.headless)
        self._is_starting = False
        self._quits = 0
        self._shown: Monitoring | None = None
        self._master: Master | None = None

    def prepare(self) -> None:
        """Find target and prompts, fill in Locust's options, and listen from now on."""
        try:
            self._prepare()
        except BaseException:
            if self._environment.parsed_options.master:
                # Workers that have come already have nothing to wait for.
                self._environment.runner.send_message("quit")
            raise

    def _prepare(self) -> None:
        environment, options = self._environment, self._environment.parsed_options
        if options.master:
            self._master = Master(environment, self._on_refused)
        scenario = checked_scenario(environment, self._line, is_master=self._master is not None)
        self._make_session(scenario)
        environment.aether = None
        environment.host = options.host = self._session.load.target.url
        most = most_users(scenario)
        users = self._master.users_for(most) if self._master is not None and self._headless else most
        fill_in_options(environment, users, most)
        keep_entries(environment.stats)
        self._listen()
        if self._master is not None and self._headless:
            self._master.limit_wait()
        load = self._session.load
        logging.getLogger("aether_load").info(
            "scenario %s: %d prompts against the %s", scenario.name, len(load.workload.prompts), described(load.target)
        )

    def _make_session(self, scenario: Scenario) -> None:
        environment = self._environment
        self._session = Session(Path(environment.parsed_options.results_dir), self._line)
        try:
            prepare_session(self._session, scenario, environment)
            self._shown = Monitoring.of(environment, self._session, busy=self._busy, has_senders=self._has_senders)
            self._session.has_live_view = self._shown is not None
            if self._master is not None:
                self._hand_over()
        except BaseException:
            self._session.end()
            raise

    def _listen(self) -> None:
        """Take part in Locust's events and in the process's signals."""
        heard = self._environment.events
        heard.test_start.add_listener(self._on_test_start)
        heard.test_stopping.add_listener(guarded(self._on_test_stopping, self._on_failure))
        heard.quitting.add_listener(guarded(self._on_quitting, self._on_failure))
        heard.quit.add_listener(guarded(self._on_quit, self._on_failure))
        self._interruption.listen()

    def _hand_over(self) -> None:
        assert self._master is not None
        self._master.hand_over(self._session, scenario_hash(scenario_from(self._environment.parsed_options)))

    def _on_test_start(self, environment: Any, **_kwargs: Any) -> None:
        self._is_starting = True
        try:
            self._start(environment)
        except Exception as error:  # noqa: BLE001 -- Locust would log it, and its users would wait without end
            self._give_up(*explain(error, ExitCode.USAGE))
            # Locust would go on to spawn its users, or to give them to workers, of whom there may be none.
            raise gevent.GreenletExit from None
        finally:
            self._is_starting = False

    def _start(self, environment: Any) -> None:
        if environment.host:
            self._session.follow_host(environment.host)
        if self._master is not None:
            self._hand_over()
            self._master.wait_for_workers(self._line)
        live_view = None if self._shown is None else self._shown.live
        self._controller = new_run(environment, self._session, self._master, live_view, self._line)
        self._controller.begin()

    def _has_senders(self) -> bool:
        return self._master is None or self._master.has_workers

    def _busy(self) -> Busy:
        """Tell the page what of the last start is still going on."""
        if self._is_starting:
            return "starting"
        if self._controller is None or self._controller.is_finished:
            return None
        return "writing" if self._controller.is_load_over else "running"

    def _on_refused(self, sentence: str, code: ExitCode) -> None:
        """Say that a worker cannot be used; without a page to wait at, a load that is not begun is not begun then."""
        self._line.say(sentence)
        self._interruption.leave_before_load(code)

    def _give_up(self, sentence: str, code: ExitCode) -> None:
        if self._shown is not None:
            self._shown.live.refuse(sentence)
        self._line.say(sentence)
        self._environment.process_exit_code = int(code)
        gevent.spawn(self._environment.runner.quit if self._headless else self._environment.runner.stop)

    def _on_failure(self, sentence: str, code: ExitCode) -> None:
        """Say what went wrong in a handler, and end the run if there is one."""
        self._line.say(sentence)
        self._environment.process_exit_code = int(code)
        if self._controller is not None:
            self._controller.fail(sentence)

    def _on_test_stopping(self, environment: Any, **_kwargs: Any) -> None:
        controller = self._controller
        if controller is None or controller.is_finished:
            return
        if environment.shape_class is not None and gevent.getcurrent() is environment.runner.shape_greenlet:
            controller.end_as_planned()
        elif self._headless and self._master is not None:
            # Without a page Locust stops a load for this alone.
            controller.end_without_workers()
        elif self._headless:
            controller.end()
        else:
            controller.end_from_page()

    def _on_quitting(self, **_kwargs: Any) -> None:
        self._quits += 1
        if self._quits > 1:
            # Locust ends once for each signal and once for the run; the first of them goes on to the process's end.
            gevent.sleep(_END_LIMIT_S)
        if self._controller is not None and not self._controller.is_finished:
            self._controller.end()
        elif self._controller is None and self._headless and self._environment.process_exit_code is None:
            # Locust would exit 0, though nothing was measured.
            gone = self._master is not None and not self._master.has_workers
            why = "the workers have gone" if gone else "interrupted"
            self._line.say(f"{why} before the load began.")
            self._environment.process_exit_code = int(ExitCode.INVALID if gone else ExitCode.INTERRUPTED)

    def _on_quit(self, **_kwargs: Any) -> None:
        """Say the result below Locust's own tables, where they were asked for."""
        self._session.end()
        if self._master is not None:
            self._master.close()
        if self._shown is not None:
            self._shown.end()
        if self._controller is not None:
            self._controller.results.show_summary()
        if self._environment.parsed_options.csv_prefix and self._controller is not None:
            # Locust writes its CSV once a second, and not when it ends.
            gevent.sleep(CSV_STATS_INTERVAL_SEC + _CSV_SLACK_S)
        hold_signals()
