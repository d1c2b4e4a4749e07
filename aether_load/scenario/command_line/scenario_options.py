"""Read the options that choose a scenario and change its keys."""

from __future__ import annotations

import argparse
import copy
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import msgspec

from aether_load.errors import UsageError, explained
from aether_load.scenario.check import check_threshold, label_mistake
from aether_load.scenario.command_line.secrets import learn_secrets, toml_value
from aether_load.scenario.load import find_scenario, load_scenario
from aether_load.scenario.parts import MODEL_DEFAULTS, OF_DAG, OF_PROGRAM, owners_of_changes
from aether_load.scenario.phase import PHASE_ENDS
from aether_load.scenario.scenario import Scenario
from aether_load.scenario.stage import names_of
from aether_load.scenario.threshold import Names, quoted, with_conditions
from aether_load.scenario.workload_plan import DagName

_SCENARIO_OPTIONS = {
    "--scenario", "--dataset-source", "--dataset-dir", "--dataset", "--limit", "--dag", "--dag-nodes", "--dag-file",
    "--program", "--bind", "--seed", "--set",
}  # fmt: skip
_END = re.compile(rf"phases\.(\d+)\.({'|'.join(PHASE_ENDS)})")


def add_scenario_options(group: Any, default_scenario: str) -> None:
    """Add the options that choose and change a scenario; what is left out leaves its own value as it is."""
    group.add_argument(
        "--scenario",
        default=default_scenario,
        metavar="NAME|PATH",
        help=f"a shipped scenario or a TOML file (default: {default_scenario})",
    )
    group.add_argument(
        "--set",
        action="append",
        metavar="KEY=VALUE",
        help="override a key of the scenario, e.g. phases.0.users=16; repeatable",
    )
    group.add_argument("--dataset", metavar="NAME,NAME", help="send these datasets' rows and not the scenario's")
    group.add_argument(
        "--dataset-source",
        choices=["sample", "hub", "folder"],
        metavar="SOURCE",
        help="sample (bundled), hub, or folder (--dataset-dir)",
    )
    group.add_argument("--dataset-dir", metavar="DIR", help="a folder laid out like the hub, e.g. DIR/Rowan/hellaswag/")
    group.add_argument("--limit", type=int, metavar="N", help="take N rows of each dataset")
    group.add_argument("--seed", type=int, metavar="N", help="order of the prompts, and which rows --limit takes")
    group.add_argument(
        "--dag", choices=get_args(DagName), metavar="SHAPE", help=f"each request: {', '.join(get_args(DagName))}"
    )
    group.add_argument("--dag-nodes", type=int, metavar="N", help="length of a chain, or width of a fan_out")
    group.add_argument("--dag-file", metavar="PATH", help="your own DAG as JSON, with {{prompt}} and {{row.column}}")
    group.add_argument("--program", metavar="PATH", help="your Aether program: .aether, or what aetherc compile writes")
    group.add_argument(
        "--bind",
        action="append",
        metavar="INPUT=TEXT",
        help="a program's input: {{prompt}}, {{row.column}} or a constant; repeatable",
    )


def scenario_from(options: argparse.Namespace, more: Mapping[str, object] | None = None) -> Scenario:
    """Return the scenario that the options ask for; raises UsageError for what does not fit together.

    `more` has further keys to override, dotted, from options that a single command has.
    """
    learn_secrets(options)
    scenario = load_scenario(find_scenario(options.scenario), _overrides(options) | dict(more or {}))
    _refuse_what_phases_say(options, scenario)
    return scenario


def _refuse_what_phases_say(options: argparse.Namespace, scenario: Scenario) -> None:
    """Raise UsageError for an option of the workload where a phase, or a part of its mix, says something else."""
    for option, keys in (
        ("dataset", ("datasets",)),
        ("dag", ("dag", "dag_file")),
        ("dag_file", ("dag", "dag_file")),
        ("dag_nodes", ("dag", "dag_file", "dag_nodes")),
        ("program", ("dag", "dag_file")),
    ):
        if getattr(options, option) is None:
            continue
        for place, own in owners_of_changes(scenario):
            if (key := next((key for key in keys if key in own), None)) is not None:
                raise UsageError(
                    f"--{option.replace('_', '-')} {getattr(options, option)}: {place} of scenario {scenario.name} "
                    f"says {key} itself, so it is unclear what is meant; use --set, as in --set {place}.{key}=…"
                )


def names_scenario(arguments: Sequence[str]) -> bool:
    """Tell whether a command line says anything of a scenario."""
    return any(argument.split("=")[0] in _SCENARIO_OPTIONS for argument in arguments)


def with_asked_thresholds(scenario: Scenario, conditions: Sequence[str] | None, names: Names | None = None) -> Scenario:
    """Return the scenario with the thresholds of a command line too; raises UsageError for one that cannot be decided.

    `names` may stand in conditions, instead of those that the scenario gives.
    """
    with explained("--threshold ", ValueError, end=""):
        thresholds = with_conditions(scenario.thresholds, conditions or ())
    for plan in thresholds[len(scenario.thresholds) :]:
        with explained(f"--threshold {quoted(plan.condition)}: ", ValueError, end=""):
            check_threshold(plan, names or names_of(scenario))
    return msgspec.structs.replace(scenario, thresholds=thresholds)


def assigned(options: argparse.Namespace) -> dict[str, object]:
    """Return what --set assigns, by dotted key; raises UsageError for what is no assignment."""
    overrides: dict[str, object] = {}
    for assignment in options.set or []:
        key, equals, value = assignment.partition("=")
        if not equals or not key.strip():
            # What it holds may be a secret in the wrong place.
            raise UsageError("--set: expected KEY=VALUE, as in --set phases.0.users=16.")
        overrides[key.strip()] = toml_value(value.strip())
    return overrides


def assigned_ends(options: argparse.Namespace) -> set[tuple[str, str]]:
    """Return which ends of which phases --set assigns, as ("0", "duration")."""
    return {(found[1], found[2]) for key in assigned(options) if (found := _END.fullmatch(key))}


def labels_from(texts: Sequence[str] | None) -> dict[str, str]:
    """Return what --label says, by key; raises UsageError for what is no label."""
    labels = {}
    for text in texts or ():
        key, equals, value = text.partition("=")
        if not equals or (mistake := label_mistake(key, value)) is not None:
            raise UsageError(f"--label {text}: {mistake if equals else 'expected KEY=VALUE, as in build=1.4.2.'}")
        labels[key] = value
    return labels


def _overrides(options: argparse.Namespace) -> dict[str, object]:
    overrides = assigned(options)
    # An end that is given on the command line takes the place of the ends that the scenario gives its phase.
    for phase, _ in assigned_ends(options):
        for end in PHASE_ENDS:
            overrides.setdefault(f"phases.{phase}.{end}", None)
    if options.dataset_dir is not None and options.dataset_source not in {None, "folder"}:
        raise UsageError(f"--dataset-dir and --dataset-source {options.dataset_source} contradict each other.")
    if options.dataset_dir is not None:
        overrides["workload.source"] = "folder"
        overrides["workload.dataset_dir"] = str(Path(options.dataset_dir).resolve())
    elif options.dataset_source is not None:
        overrides["workload.source"] = options.dataset_source
        if options.dataset_source != "folder":
            overrides.setdefault("workload.dataset_dir", None)
    if options.dataset is not None:
        overrides["workload.datasets"] = [name.strip() for name in options.dataset.split(",")]
    _override_dag(options, overrides)
    if options.limit is not None:
        if options.limit < 1:
            raise UsageError(f"--limit {options.limit}: at least one row of each dataset is needed.")
        overrides["workload.limit"] = options.limit
    if options.seed is not None:
        overrides["seed"] = options.seed
    return overrides


def _override_dag(options: argparse.Namespace, overrides: dict[str, object]) -> None:
    """Let the command line's DAG take the place of the scenario's, with what belongs to that one."""
    dag = options.dag
    gone: dict[str, object] = {}
    if options.program is not None:
        for option in ("dag", "dag_file", "dag_nodes"):
            if getattr(options, option) not in {None, "program"}:
                name = option.replace("_", "-")
                raise UsageError(f"--{name} and --program {options.program} contradict each other: leave one away.")
        overrides["workload.dag"] = "program"
        gone |= {"dag_nodes": None, "dag_file": None}
    elif dag not in {None, "program"} or options.dag_file is not None:
        gone |= OF_PROGRAM
    if options.dag_file is not None:
        if dag not in {None, "file"}:
            raise UsageError(f"--dag {dag} and --dag-file {options.dag_file} contradict each other.")
        dag = "file"
    if dag is not None:
        overrides["workload.dag"] = dag
        gone |= OF_DAG if dag != "file" or options.dag_file is not None else {"dag_nodes": None}
    for key in ("dag_file", "program"):
        if (path := getattr(options, key)) is not None:
            overrides[f"workload.{key}"] = str(Path(path).resolve())
    if options.dag_nodes is not None:
        overrides["workload.dag_nodes"] = options.dag_nodes
    if overrides.get("workload.dag") in {"file", "program"}:
        gone |= MODEL_DEFAULTS
    for key, default in gone.items():
        overrides.setdefault(f"workload.{key}", copy.copy(default))
    for binding in options.bind or ():
        name, equals, text = binding.partition("=")
        if not equals or not name.strip() or "." in name:
            raise UsageError(f"--bind {binding}: expected INPUT=TEXT, as in --bind question={{{{prompt}}}}.")
        overrides[f"workload.inputs.{name.strip()}"] = text
