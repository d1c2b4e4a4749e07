"""The harness's own options on Locust's command line, and the scenario that comes of them and of Locust's own."""

from __future__ import annotations

import argparse
from pathlib import Path

import msgspec

from aether_load.errors import UsageError
from aether_load.load.locust_options import mend_options
from aether_load.scenario.command_line.headers import parse_header
from aether_load.scenario.command_line.run_options import add_run_options
from aether_load.scenario.command_line.scenario_options import (
    assigned_ends,
    labels_from,
    scenario_from,
    with_asked_thresholds,
)
from aether_load.scenario.command_line.secrets import learn_secrets
from aether_load.scenario.gate_plan import GateJob, gate_scenario
from aether_load.scenario.load import (
    find_scenario,
    load_scenario,
    replaced_ends,
    with_command_line_load,
    with_every_phase,
)
from aether_load.scenario.scenario import Scenario
from aether_load.scenario.stage import plan_stages
from aether_load.schedule.plan_text import plan_text

DEFAULT_STOP_TIMEOUT_S = 10.0


def add_options(parser: argparse.ArgumentParser, default_scenario: str) -> None:
    """Add the harness's options to Locust's."""
    mend_options(parser)
    add_run_options(parser, default_scenario)


def planned_scenario(options: argparse.Namespace) -> Scenario:
    """Return the scenario as the whole command line wants it; raises UsageError for what does not fit together."""
    if options.gate is not None:
        job = read_gate_job(options.gate)
        options.header, options.set = list(job.header), list(job.set)
    learn_secrets(options)
    more: dict[str, object] = {}
    if options.server_metrics_url is not None:
        more["target.server_metrics_url"] = options.server_metrics_url
    if options.fail_on_warning is not None:
        more["fail_on_warning"] = [code.strip() for code in options.fail_on_warning.split(",") if code.strip()]
    if options.insecure:
        more["target.verify_tls"] = False
    for key in ("ca_file", "client_cert", "client_key"):
        if (path := getattr(options, key)) is not None:
            more[f"target.{key}"] = str(Path(path).resolve())
    for key, value in labels_from(options.label).items():
        more[f"labels.{key}"] = value
    scenario = with_asked_thresholds(scenario_from(options, more), options.threshold)
    changes: dict[str, object] = {}
    if options.cache is not None:
        changes["cache"] = options.cache
    if options.sequential:
        changes["sequential"] = True
    scenario = with_every_phase(scenario, changes)
    headers = scenario.target.headers | dict(parse_header(text) for text in options.header or [])
    target = msgspec.structs.replace(scenario.target, headers=headers)
    if options.gate is not None:
        return gate_scenario(msgspec.structs.replace(scenario, target=target), job.plan)
    scenario = with_command_line_load(
        msgspec.structs.replace(scenario, target=target),
        users=options.num_users,
        spawn_rate=options.spawn_rate,
        run_time_s=options.run_time,
        kept_ends=[end for phase, end in assigned_ends(options) if phase == "0"],
    )
    return with_true_purpose(scenario, options)


def with_true_purpose(scenario: Scenario, options: argparse.Namespace) -> Scenario:
    """Return the scenario without its purpose where another load or other requests are asked for than it speaks of."""
    try:
        own = load_scenario(find_scenario(options.scenario))
    except UsageError:
        return scenario  # The file is whole only with what the command line adds to it.
    is_own = all(getattr(scenario, key) == getattr(own, key) for key in ("workload", "phases", "repeat", "order"))
    if is_own or scenario.purpose != own.purpose:
        return scenario
    return msgspec.structs.replace(scenario, purpose="")


def plan_of(scenario: Scenario, options: argparse.Namespace) -> str:
    """Return the plan in words, with what the command line replaced in it."""
    try:
        notes = replaced_ends(load_scenario(find_scenario(options.scenario)), scenario)
    except UsageError:
        notes = []  # The file is whole only with what the command line adds to it.
    return plan_text(scenario) + "".join(f"  {note}\n" for note in notes)


def ends_by_itself(options: argparse.Namespace) -> bool:
    """Tell whether the command line says when the load ends, so that Locust's page is not asked."""
    return options.run_time is not None or bool(assigned_ends(options))


def read_gate_job(path: str) -> GateJob:
    """Return what `aether-load gate` wrote for the Locust that it starts."""
    return msgspec.json.decode(Path(path).read_bytes(), type=GateJob)


def is_plain(scenario: Scenario) -> bool:
    """Tell whether a scenario is one closed phase of a fixed number of users."""
    return len(scenario.phases) == scenario.repeat == 1 and scenario.phases[0].is_plain_closed


def shaped(scenario: Scenario) -> Scenario:
    """Return a scenario whose number of users and whose end a LoadTestShape decides; raises UsageError."""
    if not is_plain(scenario):
        raise UsageError(
            f"Scenario {scenario.name} has loads of its own, and the locustfile has a LoadTestShape, which decides how "
            "many users there are. Give a scenario of one closed phase without steps, such as eval, or take the shape "
            "out of the locustfile."
        )
    return without_end(scenario)


def without_end(scenario: Scenario) -> Scenario:
    """Return a scenario of one plain phase as one that goes on until it is stopped; any other needs its ends."""
    if not is_plain(scenario):
        return scenario
    endless = msgspec.structs.replace(scenario.phases[0], duration=None, requests=None, passes=None)
    return msgspec.structs.replace(scenario, purpose="", phases=(endless,))


def refuse_endless(scenario: Scenario) -> None:
    """Raise UsageError for a phase that only a page could end."""
    for stage in plan_stages(scenario):
        if stage.is_endless:
            raise UsageError(
                f"Phase {stage.name!r} would never end: give phases.{stage.phase} a duration, requests or passes, or "
                "say how long with -t."
            )
