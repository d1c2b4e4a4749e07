"""Define the options of a load, in groups, for Locust's command line and for `aether-load run`."""

from __future__ import annotations

import argparse
from typing import Any

from aether_load.protocol import Generation
from aether_load.scenario.command_line.option_values import host_name, port
from aether_load.scenario.command_line.scenario_options import add_scenario_options

CACHE_STATES = ("keep", "cold", "warm")
TLS_OPTIONS = ("ca_file", "client_cert", "client_key", "insecure")


def add_run_options(parser: argparse.ArgumentParser, default_scenario: str) -> None:
    """Add every option of a load to a parser, a group for each purpose."""
    add_scenario_options(parser.add_argument_group("Scenario and prompts"), default_scenario)
    target = parser.add_argument_group("Target")
    target.add_argument(
        "--simulate",
        choices=[generation.value for generation in Generation],
        help="generation of the simulated runtime, without --host (default: v2)",
    )
    add_target_options(target)
    target.add_argument(
        "--server-metrics-url", metavar="URL", help="read the server's metrics here, not at the target's /metrics"
    )
    _add_load(parser.add_argument_group("Load"))
    _add_verdict(parser.add_argument_group("Verdict"))
    results = parser.add_argument_group("Results")
    _add_results(results)
    # `aether-load gate` passes its plan to the Locust that it starts; users do not type this. In a group, because
    # Locust's form asks for each option that its parser has directly.
    results.add_argument("--gate", metavar="FILE", help=argparse.SUPPRESS)


def add_target_options(group: Any) -> None:
    """Add the options that say how to talk to a target; `TLS_OPTIONS` are those that hold no secret."""
    group.add_argument(
        "--header",
        action="append",
        metavar="'NAME: VALUE'",
        help="send this header; ${VAR} is read from the environment; repeatable",
    )
    group.add_argument("--insecure", action="store_true", help="accept any TLS certificate; the report says so")
    group.add_argument("--ca-file", metavar="FILE", help="trust these certificates' authorities (PEM)")
    group.add_argument("--client-cert", metavar="FILE", help="show this client certificate (PEM)")
    group.add_argument("--client-key", metavar="FILE", help="the certificate's key (PEM)")


def _add_load(group: Any) -> None:
    group.add_argument("--cache", choices=CACHE_STATES, help="the runtime's cache before each phase")
    group.add_argument("--sequential", action="store_true", help="run a DAG's nodes one after the other in each phase")
    group.add_argument(
        "--dry-run", action="store_true", help="check the target, print the plan, and exit without sending"
    )
    group.add_argument(
        "--no-self-check", action="store_true", help="skip the second that measures the client's own cost"
    )


def _add_verdict(group: Any) -> None:
    group.add_argument(
        "--threshold",
        action="append",
        metavar="CONDITION",
        help="exit with 4 if this is broken, e.g. 'p(95)<500'; repeatable",
    )
    group.add_argument(
        "--fail-on-warning", metavar="CODE,…", help="exit with 5 on one of these warnings, e.g. client_saturated"
    )


def _add_results(group: Any) -> None:
    group.add_argument(
        "--results-dir", default="results", metavar="DIR", help="folder of the results (default: results)"
    )
    group.add_argument("--output", metavar="PATH", help="write the report as JSON to this file too")
    group.add_argument(
        "--label", action="append", metavar="KEY=VALUE", help="label the run, e.g. build=1.4.2; repeatable"
    )
    group.add_argument("--no-page", action="store_true", help="do not write report.html")
    group.add_argument("--charts", action="store_true", help="draw the page's charts as SVG and PNG too, in charts/")
    group.add_argument("--verbose", action="store_true", help="print the whole report and not the short summary")
    group.add_argument("--locust-summary", action="store_true", help="print Locust's own tables too")
    group.add_argument(
        "--prometheus-port",
        type=port,
        metavar="PORT",
        help="serve live figures for Prometheus on 127.0.0.1 (or --web-host)",
    )
    group.add_argument(
        "--web-allowed-host",
        action="append",
        type=host_name,
        metavar="NAME",
        help="the page answers to this name beside localhost and --web-host; repeatable",
    )
