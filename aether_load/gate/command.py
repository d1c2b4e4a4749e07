"""Run `aether-load gate`, from its options to its exit code."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TextIO

import msgspec

from aether_load.dag.dag import asked_columns
from aether_load.errors import ExitCode, UsageError
from aether_load.gate.driver import NoRun, drive_gate
from aether_load.gate.folder import gate_folder
from aether_load.gate.options import GateOptions, read_options
from aether_load.gate.output import write_gate
from aether_load.gate.report import GateReport, build_gate_report
from aether_load.gate.servers import copy_log, split_cores, started
from aether_load.gate.signals import interrupt_on_signals
from aether_load.gate.text import write_gate_text
from aether_load.outputs.output_path import is_standard_output, write_output
from aether_load.redaction import sentence_of
from aether_load.rundata.folder import RunFolder
from aether_load.scenario.command_line.headers import filled_in, parse_header
from aether_load.scenario.command_line.scenario_options import scenario_from
from aether_load.scenario.command_line.secrets import hidden_command
from aether_load.scenario.gate_plan import SIDES, GatePlan, gate_scenario
from aether_load.scenario.parts import parts_of
from aether_load.scenario.scenario import Scenario
from aether_load.text import json_document

_OWN_FAULTS = {int(ExitCode.USAGE), int(ExitCode.TARGET), int(ExitCode.INVALID)}


def run(parsed: argparse.Namespace) -> int:
    """Gate a candidate and return the exit code."""
    options = read_options(parsed, hidden_command(sys.argv))
    scenario = scenario_from(parsed)
    # So that their values are known, and hidden in what the servers say.
    filled_in(scenario.target.headers | dict(parse_header(text) for text in parsed.header or ()))
    interrupt_on_signals()
    try:
        # What is wrong with the load is said before any server is started.
        _check_programs(gate_scenario(scenario, options.plan), options.plan)
        return _side_by_side(options)
    except NoRun as ended:
        return ended.code


def _check_programs(scenario: Scenario, plan: GatePlan) -> None:
    for part in parts_of(scenario):
        asked_columns(part.plan)
        if plan.candidate_program is not None:
            asked_columns(msgspec.structs.replace(part.plan, program=plan.candidate_program))


def _side_by_side(options: GateOptions) -> int:
    with ExitStack() as stack:
        own = stack.enter_context(gate_folder())
        plan, cores = stack.enter_context(_both_sides(options, own))
        reports: list[GateReport] = []
        for number in range(options.gates):
            folder, code = drive_gate(options.job(plan), options.words, options.results, cores, own)
            for side in SIDES:
                if (log := own / f"{side}.log").is_file():
                    copy_log(log, folder.path / log.name)
            if code in _OWN_FAULTS:
                return code
            reports.append(_finish(folder, options, shown=options.gates == 1))
            if options.gates > 1:
                said = sentence_of(reports[-1].verdict.sentence)
                sys.stderr.write(f"aether-load: gate {number + 1} of {options.gates}: {said}\n")
            if reports[-1].verdict.status == "interrupted":
                break
    if not options.plan.self_test:
        return reports[0].verdict.exit_code
    return _say_self_test(reports, options)


@contextmanager
def _both_sides(options: GateOptions, logs: Path) -> Iterator[tuple[GatePlan, frozenset[int] | None]]:
    """Yield the plan with both URLs in it, and the cores that are the sender's."""
    plan = options.plan
    commands = {"base": options.base_command, "candidate": options.candidate_command}
    core, cores = split_cores() if any(commands.values()) else (None, None)
    with ExitStack() as stack:
        for side, command in commands.items():
            if command is not None:
                log = logs / f"{side}.log"
                url = stack.enter_context(started(side, command, core, options.start_limit_s, log))
                plan = msgspec.structs.replace(plan, **{side: url})
        if plan.candidate_program is not None:
            plan = msgspec.structs.replace(plan, candidate=plan.base)
        yield plan, cores


def _finish(folder: RunFolder, options: GateOptions, *, shown: bool) -> GateReport:
    report = build_gate_report(folder)
    files = write_gate(report, folder, {} if options.plan.self_test else options.files)
    if shown:
        write_gate_text(report, files, _terminal(options))
    return report


def _terminal(options: GateOptions) -> TextIO:
    """Return where the gate is shown: beside standard output where that is for a report."""
    return sys.stderr if any(map(is_standard_output, options.files.values())) else sys.stdout


def _say_self_test(reports: Sequence[GateReport], options: GateOptions) -> int:
    from aether_load.gate.self_test import self_test, write_self_test  # noqa: PLC0415 -- of a self-test only

    test = self_test(reports)
    write_self_test(test, _terminal(options))
    try:
        if (path := options.files.get("json")) is not None:
            write_output(path, json_document(test).encode())
    except OSError as error:
        raise UsageError(f"--output {path}: cannot be written: {error.strerror}.") from None
    return test.exit_code
