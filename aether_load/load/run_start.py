"""Make a run when Locust starts its load: its folder, its senders, and who drives and ends it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aether_load.load.options import is_plain
from aether_load.load.phases.local_senders import LocalSenders
from aether_load.load.phases.phase_driver import PhaseDriver
from aether_load.load.run_controller import RunController
from aether_load.load.sending.locust_feed import LocustFeed
from aether_load.load.users.user_classes import our_users, user_class_records

if TYPE_CHECKING:
    from aether_load.load.distributed.master.master import Master
    from aether_load.load.phases.senders import Senders
    from aether_load.load.progress import ProgressLine
    from aether_load.load.run import Run
    from aether_load.load.session.session import Session
    from aether_load.load.web.live_view import LiveView
    from aether_load.scenario.scenario import Scenario


def new_run(
    environment: Any, session: Session, master: Master | None, live_view: LiveView | None, line: ProgressLine
) -> RunController:
    """Return a new run of what the session has prepared, which has not begun; raises AetherLoadError."""
    runner, feed = environment.runner, LocustFeed(environment)
    session.follow_user_count = follows_user_count(environment, session.load.scenario)
    run: Run
    senders: Senders
    if master is not None:
        run, senders = master.start_run(session, feed)
    else:
        run, environment.aether = session.start_run(feed)
        senders = LocalSenders(run, environment.aether, runner)
    if (plan := environment.parsed_options.gate) is not None:
        # Who started this process analyses the run, also one that ends by force.
        Path(f"{plan}.run").write_bytes(os.fsencode(run.folder.path))
    run.manifest.user_classes = user_class_records(environment)
    if live_view is not None:
        live_view.follow(run.folder, senders)
    driver = PhaseDriver(run, senders, lambda users: our_users(runner, users))
    return RunController(environment, run, driver, line, feed)


def follows_user_count(environment: Any, scenario: Scenario) -> bool:
    """Tell whether Locust says how many users send, by its page or a load shape: of one plain closed load only."""
    if environment.shape_class is not None:
        return True
    return is_plain(scenario) and not environment.parsed_options.headless
