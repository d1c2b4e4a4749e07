"""Check what a command line asks for, and make the session of a run ready, before Locust spawns a user."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

from aether_load.errors import ExitCode, UsageError
from aether_load.load.locust_options import check_web_port, silence_remarks
from aether_load.load.options import (
    DEFAULT_STOP_TIMEOUT_S,
    ends_by_itself,
    plan_of,
    planned_scenario,
    read_gate_job,
    refuse_endless,
    shaped,
    without_end,
)
from aether_load.load.process.descriptors import check_descriptors
from aether_load.load.progress import ProgressLine
from aether_load.load.session.credentials import Credentials
from aether_load.load.session.session import Session
from aether_load.load.session.targets import described, find_target
from aether_load.load.users.user_classes import check_user_classes
from aether_load.outputs.output_path import check_output
from aether_load.outputs.summary import check_summary
from aether_load.protocol import Generation
from aether_load.rundata.folder import RunFolder
from aether_load.runtime_client import check_url
from aether_load.scenario.gate_plan import SIDES
from aether_load.scenario.scenario import Scenario
from aether_load.scenario.stage import most_users


def checked_scenario(environment: Any, line: ProgressLine, *, is_master: bool) -> Scenario:
    """Return the scenario that the options ask for; with --dry-run print its plan and exit.

    Raises AetherLoadError for what this machine, the user classes or the options do not allow.
    """
    options = environment.parsed_options
    scenario = planned_scenario(options)
    if options.gate is not None and is_master:
        raise UsageError("A gate sends from one process: leave --processes and --master away.")
    if environment.host is not None and options.simulate is not None:
        raise UsageError(f"--host and --simulate {options.simulate} contradict each other: leave one away.")
    if options.dry_run:
        _show_plan(scenario, environment.host, options, line)
        sys.exit(int(ExitCode.PASSED))
    check_user_classes(environment)
    if environment.shape_class is not None:
        scenario = shaped(scenario)
    elif options.headless:
        refuse_endless(scenario)
    elif not ends_by_itself(options):
        # Whoever explores from the page ends the load there.
        scenario = without_end(scenario)
    check_web_port(options)
    if not is_master:
        check_descriptors(most_users(scenario), 1 if options.gate is None else len(SIDES))
    RunFolder.check_room(Path(options.results_dir))
    check_summary(Path(options.results_dir) / "summary.csv")
    if options.output is not None:
        check_output(Path(options.output))
    return scenario


def prepare_session(session: Session, scenario: Scenario, environment: Any) -> None:
    """Find the target and the prompts, and let the self-check send what it checks with."""
    options = environment.parsed_options
    gate = None if options.gate is None else read_gate_job(options.gate).plan
    session.prepare(scenario, environment.host, options.simulate, gate)
    if not options.no_self_check:
        session.check_self()


def fill_in_options(environment: Any, users: int, most: int) -> None:
    """Tell Locust to spawn `users`, of whom at most `most` send; when and how long is the phases' business."""
    options = environment.parsed_options
    options.num_users = users
    options.spawn_rate = users if options.headless else min(most, 100)
    options.run_time = None
    options.only_summary = not options.print_stats
    environment.stop_timeout = environment.stop_timeout or DEFAULT_STOP_TIMEOUT_S
    silence_remarks()
    if options.gate is not None or not (options.locust_summary or options.print_stats):
        # Its percentiles are rounded and its rates are of another time: beside our summary they only disagree.
        logging.getLogger("locust.stats_logger").setLevel(logging.WARNING)


def _show_plan(scenario: Scenario, host: str | None, options: Any, line: ProgressLine) -> None:
    """Print what would be sent, and check the target that it would be sent to."""
    sys.stdout.write(plan_of(scenario, options))
    if host is None:
        generation = options.simulate or Generation.V2.value
        sys.stdout.write(f"  target: a simulated runtime {generation}, started for the run\n")
        return
    target = find_target(scenario, host, Credentials(scenario.target, [check_url(host)]), line)
    line.clear()
    sys.stdout.write(f"  target: {described(target)} answers\n")
