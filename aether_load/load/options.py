"""The harness's own options on Locust's command line, and the scenario that comes of them and of Locust's own."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import msgspec

from aether_load.load.locust_options import mend_options, port
from aether_load.protocol import Generation
from aether_load.scenario.command_line import learn_secrets
from aether_load.scenario.gate_plan import GatePlan, gate_scenario
from aether_load.scenario.headers import parse_header
from aether_load.scenario.load import with_command_line_load, with_every_phase
from aether_load.scenario.options import add_scenario_options, scenario_from, with_asked_thresholds
from aether_load.scenario.scenario import Scenario

DEFAULT_STOP_TIMEOUT_S = 10.0
CACHE_STATES = ("keep", "cold", "warm")


def add_options(parser: argparse.ArgumentParser, default_scenario: str) -> None:
    """Add the harness's options to Locust's."""
    mend_options(parser)
    group: Any = parser.add_argument_group("aether-load")
    add_scenario_options(group, default_scenario)
    group.add_argument(
        "--header",
        action="append",
        default=None,
        metavar="'NAME: VALUE'",
        help="send this header with every request; ${NAME} in it is taken from the environment and never written down",
    )
    group.add_argument("--insecure", action="store_true", help="take any TLS certificate; the report says so")
    group.add_argument(
        "--cache",
        choices=CACHE_STATES,
        default=None,
        help="the state of the runtime's cache in each phase, in place of the scenario's",
    )
    group.add_argument(
        "--sequential", action="store_true", help="have the runtime run a DAG's nodes one after the other in each phase"
    )
    group.add_argument(
        "--prometheus-port",
        type=port,
        metavar="PORT",
        default=None,
        help="serve the client's own live figures for Prometheus there, at /metrics, on 127.0.0.1 or --web-host",
    )
    group.add_argument(
        "--dry-run", action="store_true", help="print what would be driven, in which order and for how long, and end"
    )
    group.add_argument(
        "--no-self-check",
        action="store_true",
        help="leave out the second in which the client measures its own cost before the load",
    )
    group.add_argument(
        "--server-metrics-url",
        metavar="URL",
        default=None,
        help="read the server's metrics there and not at the target's own /metrics",
    )
    group.add_argument(
        "--threshold",
        action="append",
        default=None,
        metavar="CONDITION",
        help="a condition that decides the exit code beside the scenario's thresholds, e.g. 'p(95)<500' or "
        "'hellaswag:request_latency_ms:p(95)<500'; may be given several times",
    )
    group.add_argument(
        "--fail-on-warning",
        metavar="CODE,CODE",
        default=None,
        help="a run with one of these warnings is invalid (exit code 5), e.g. client_saturated,users_not_busy",
    )
    group.add_argument(
        "--results-dir",
        default="results",
        metavar="DIR",
        help="where run folders and results go (default: results)",
    )
    group.add_argument(
        "--output",
        metavar="PATH",
        default=None,
        help="write the report as JSON to exactly this file too, in place of what is there",
    )
    group.add_argument(
        "--no-page", action="store_true", help="leave out report.html and charts/, which take some seconds to draw"
    )
    group.add_argument(
        "--simulate",
        choices=[generation.value for generation in Generation],
        default=None,
        help="which generation the simulated runtime speaks when there is no --host (default: v2)",
    )
    # Between `aether-load gate` and the Locust that it starts; nobody types it.
    group.add_argument("--gate", metavar="FILE", default=None, help=argparse.SUPPRESS)


def planned_scenario(options: argparse.Namespace) -> Scenario:
    """Return the scenario as the whole command line wants it; raises UsageError for what does not fit together."""
    learn_secrets(options)
    more: dict[str, object] = {}
    if options.server_metrics_url is not None:
        more["target.server_metrics_url"] = options.server_metrics_url
    if options.fail_on_warning is not None:
        more["fail_on_warning"] = [code.strip() for code in options.fail_on_warning.split(",") if code.strip()]
    scenario = with_asked_thresholds(scenario_from(options, more), options.threshold)
    changes: dict[str, object] = {}
    if options.cache is not None:
        changes["cache"] = options.cache
    if options.sequential:
        changes["sequential"] = True
    scenario = with_every_phase(scenario, changes)
    headers = scenario.target.headers | dict(parse_header(text) for text in options.header or [])
    target = msgspec.structs.replace(
        scenario.target, headers=headers, verify_tls=scenario.target.verify_tls and not options.insecure
    )
    if options.gate is not None:
        return gate_scenario(msgspec.structs.replace(scenario, target=target), read_gate_plan(options.gate))
    return with_command_line_load(
        msgspec.structs.replace(scenario, target=target),
        users=options.num_users,
        spawn_rate=options.spawn_rate,
        run_time_s=options.run_time,
    )


def read_gate_plan(path: str) -> GatePlan:
    """Return the plan that `aether-load gate` wrote down."""
    return msgspec.json.decode(Path(path).read_bytes(), type=GatePlan)


def without_end(scenario: Scenario) -> Scenario:
    """Return a scenario of one plain phase as one that goes on until it is stopped; any other needs its ends."""
    if len(scenario.phases) > 1 or scenario.repeat > 1 or not scenario.phases[0].is_plain_closed:
        return scenario
    endless = msgspec.structs.replace(scenario.phases[0], duration=None, requests=None, passes=None)
    return msgspec.structs.replace(scenario, phases=(endless,))
