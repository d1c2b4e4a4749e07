"""What `aether-load claims` is asked for, read from its command line and checked before anything is sent."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from aether_load.claims.claim import PUBLISHED, ClaimsFile, PlannedRun, read_claims
from aether_load.errors import UsageError
from aether_load.outputs.output_path import checked_outputs
from aether_load.rundata.folder import RunFolder
from aether_load.scenario.command_line.option_values import as_words
from aether_load.scenario.command_line.run_options import TLS_OPTIONS, add_target_options
from aether_load.scenario.command_line.scenario_options import labels_from
from aether_load.scenario.command_line.secrets import learn_secrets, toml_value
from aether_load.scenario.load import find_scenario, load_scenario

_PASSED_ON = ("host", *TLS_OPTIONS, "server_metrics_url", "header", "label")


class ClaimsOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be measured, where, and what goes where; without `folder` nothing is sent and it is read again."""

    file: ClaimsFile
    scenarios: tuple[str, ...]
    words: tuple[tuple[str, ...], ...] = ()
    results: Path
    folder: Path | None = None
    page: bool = True
    files: dict[str, Path] = {}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    what = parser.add_argument_group("what is measured")
    what.add_argument(
        "--claims", type=Path, default=PUBLISHED, metavar="FILE", help="your own file of claims (default: Aether's)"
    )
    what.add_argument(
        "--only", action="append", metavar="SCENARIO", help="run this scenario of the file only; repeatable"
    )
    what.add_argument(
        "--runtime-checkout",
        type=Path,
        metavar="DIR",
        help="a checkout of the runtime's repository, whose bench/datasets are sent in place of the bundled rows",
    )
    what.add_argument(
        "--report", type=Path, metavar="FOLDER", help="send nothing, and make the results of that folder again"
    )
    target = parser.add_argument_group("target")
    target.add_argument("--host", "-H", metavar="URL", help="the runtime (default: a simulated one is started)")
    add_target_options(target)
    target.add_argument("--server-metrics-url", metavar="URL", help="read the server's metrics here")
    output = parser.add_argument_group("results")
    output.add_argument("--results-dir", type=Path, default=Path("results"), metavar="DIR", help="default: results")
    output.add_argument(
        "--label", action="append", metavar="KEY=VALUE", help="label the runs, e.g. log=warn; repeatable"
    )
    output.add_argument("--output", type=Path, metavar="PATH", help="write the claims as JSON to this file too")
    output.add_argument("--markdown", type=Path, metavar="PATH", help="and as Markdown to this one")
    output.add_argument("--latex", type=Path, metavar="PATH", help="and the tables as LaTeX to this one")
    output.add_argument("--no-page", action="store_true", help="do not draw claims.html")


def read_options(parsed: argparse.Namespace) -> ClaimsOptions:
    """Return what a command line asks for; raises UsageError for what does not go together."""
    learn_secrets(parsed)
    file = read_claims(parsed.claims)
    runs = _chosen(file, parsed.only)
    files = checked_outputs({"json": parsed.output, "markdown": parsed.markdown, "latex": parsed.latex})
    labels_from(parsed.label)
    if parsed.report is not None:
        if parsed.host is not None:
            raise UsageError("--report sends nothing: leave --host away.")
        if not parsed.report.is_dir():
            raise UsageError(f"--report {parsed.report}: there is no such folder.")
    else:
        RunFolder.check_room(parsed.results_dir)
    return ClaimsOptions(
        file=file,
        scenarios=tuple(map(_name, runs)),
        words=tuple(_words(run, parsed) for run in runs),
        results=parsed.results_dir,
        folder=parsed.report,
        page=not parsed.no_page,
        files=files,
    )


def _chosen(file: ClaimsFile, only: Sequence[str] | None) -> tuple[PlannedRun, ...]:
    if not only:
        return file.runs
    names = {_name(run): run for run in file.runs}
    if unknown := [name for name in only if name not in names]:
        raise UsageError(f"--only {unknown[0]}: the claims' scenarios are {', '.join(names)}.")
    return tuple(names[name] for name in dict.fromkeys(only))


def _name(run: PlannedRun) -> str:
    return load_scenario(find_scenario(run.scenario)).name


def _words(run: PlannedRun, parsed: argparse.Namespace) -> tuple[str, ...]:
    """Return a run's options as Locust's command line takes them; raises UsageError for a scenario that is none."""
    settings: list[str] = []
    if parsed.runtime_checkout is not None:
        folder = _quoted(parsed.runtime_checkout.resolve())
        settings += [text.replace("{checkout}", folder) for text in run.checkout]
    if parsed.host is None:
        settings += run.simulated
    overrides: Mapping[str, object] = {
        key.strip(): toml_value(value.strip()) for key, _, value in (text.partition("=") for text in settings)
    }
    scenario = load_scenario(find_scenario(run.scenario), overrides)
    for name, dataset in scenario.workload.files.items():
        if not Path(dataset.path).is_file():
            option = "--runtime-checkout" if parsed.runtime_checkout is not None else f"workload.files.{name}.path"
            raise UsageError(f"{option}: there is no file {dataset.path}, which scenario {scenario.name} sends.")
    words = ["--scenario", run.scenario, "--no-page"]
    for text in settings:
        words += ["--set", text]
    return (*words, *as_words(parsed, _PASSED_ON))


def _quoted(path: Path) -> str:
    """Return a path as it stands between the quotes of a TOML text."""
    return msgspec.json.encode(str(path)).decode()[1:-1]
