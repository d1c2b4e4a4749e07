"""Read a scenario from TOML, change it by the command line, and write it as JSON."""

from __future__ import annotations

import hashlib
import os
import re
import tomllib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from aether_load.bounded import read_bounded
from aether_load.errors import UsageError, explained
from aether_load.redaction import hidden_url
from aether_load.scenario.check import check_scenario
from aether_load.scenario.command_line.headers import hidden
from aether_load.scenario.command_line.secrets import MOST_DEPTH
from aether_load.scenario.duration import LONGEST_S, Seconds, parse_duration
from aether_load.scenario.parts import datasets_of
from aether_load.scenario.phase import (
    LEAST_SPAWN_RATE,
    MOST_RATE_RPS,
    MOST_USERS,
    PHASE_ENDS,
    Phase,
    default_name,
    phase_mistake,
)
from aether_load.scenario.scenario import Scenario
from aether_load.scenario.threshold import RequestLimit, Threshold, parse_request_limit, parse_threshold
from aether_load.scenario.validation import describe_mistake, did_you_mean
from aether_load.text import decode_text, encodable_text, shorten

_MOST_BYTES = 16 << 20
_SHIPPED = Path(__file__).parents[1] / "_shipped", Path(__file__).parents[2]
"""Where what ships beside the package lies: inside it when it was installed from a wheel, else in its repository."""

_NO_NAME = re.compile(r"[^A-Za-z0-9_-]+")

SENDER = "aether_load.load.process"
"""The module that sends: Locust, as `python -m` runs it."""

S = TypeVar("S", bound=msgspec.Struct)

_CONDITIONS: dict[type, Callable[[str], Threshold]] = {Threshold: parse_threshold, RequestLimit: parse_request_limit}
SHIPPED_FOLDERS = tuple(folder / "scenarios" for folder in _SHIPPED)


def _decode(kind: type, value: object) -> object:
    """Return a value of a type that TOML does not have; raises ValueError with a sentence."""
    if kind is Seconds:
        return parse_duration(value)
    if not isinstance(value, str):
        kind_of = type(value).__name__
        got = {"list": "array", "dict": "object"}.get(kind_of, kind_of)
        raise ValueError(f"expected `str`, got `{got}`")  # noqa: TRY004 -- msgspec adds the key
    return _CONDITIONS[kind](value)


def _encode(value: object) -> object:
    """Return a value of such a type as JSON's own: a duration in seconds, a condition as its text."""
    return value.text if isinstance(value, Threshold) else float(value)  # type: ignore[arg-type]


def find_scenario(name_or_path: str) -> Path:
    """Return the file of a scenario given by path, or by its name among those that ship."""
    path = Path(name_or_path)
    if path.suffix == ".toml":
        # Unlike the method of Path, it raises nothing for a name that is too long.
        if not os.path.isfile(path):  # noqa: PTH113
            raise UsageError(f"--scenario {shorten(name_or_path, 300)}: there is no such file.")
        return path
    shipped = shipped_scenarios()
    if name_or_path not in shipped:
        raise UsageError(
            f"--scenario {name_or_path}: no scenario of that name ships; {did_you_mean(name_or_path, shipped)} "
            "A file of your own is given by its path, ending in .toml."
        )
    return shipped[name_or_path]


def shipped_scenarios() -> dict[str, Path]:
    """Return the files of the scenarios that ship, by name."""
    for folder in SHIPPED_FOLDERS:
        if folder.is_dir():
            return {path.stem: path for path in sorted(folder.glob("*.toml"))}
    return {}


def shipped_file(folder: str, name: str) -> Path:
    """Return a file that ships beside the package; raises UsageError for an installation without it."""
    for shipped in _SHIPPED:
        if (path := shipped / folder / name).is_file():
            return path
    raise UsageError(f"{folder}/{name} is not there: aether-load is not wholly installed; install it again.")


def load_scenario(path: Path, overrides: Mapping[str, object] | None = None) -> Scenario:
    """Read a scenario; `overrides` maps dotted keys ("phases.0.users") to values that win over the file's.

    Raises UsageError that names file, key and value.
    """
    try:
        return _load(path, overrides or {})
    except RecursionError:
        raise UsageError(f"Scenario {path}, or what --set adds to it, is nested too deeply.") from None


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """Return what a TOML file says; raises UsageError that names `what` the file is, and the file."""
    with explained(f"{what} {path} cannot be read: "):
        content = read_bounded(path, _MOST_BYTES)
    with explained(f"{what} {path}, ", ValueError):
        text = decode_text(content)
    with explained(f"{what} {path} is not valid TOML: ", tomllib.TOMLDecodeError):
        return tomllib.loads(text)


def _load(path: Path, overrides: Mapping[str, object]) -> Scenario:
    raw = read_toml(path, "Scenario")
    raw.setdefault("name", _NO_NAME.sub("-", path.stem).strip("-_")[:64] or "scenario")
    for key, value in overrides.items():
        _override(raw, key, value)
    _expand_conditions(raw)
    if isinstance(workload := raw.get("workload"), dict) and workload.get("program") is not None:
        workload.setdefault("dag", "program")
    scenario = _convert(raw, str(path))
    named = (msgspec.structs.replace(phase, name=phase.name or default_name(phase)) for phase in scenario.phases)
    scenario = msgspec.structs.replace(scenario, phases=tuple(named))
    check_scenario(scenario, str(path))
    used = datasets_of(scenario)
    unused = [name for name in scenario.workload.files if name not in used]
    if unused and "workload.datasets" not in overrides:
        raise UsageError(
            f"Scenario {path}: workload.files.{unused[0]}: workload.datasets does not name it, so its rows would not "
            "be sent."
        )
    return _with_absolute_paths(scenario, path.parent)


def _expand_conditions(raw: dict[str, Any]) -> None:
    """Write a threshold that is a text as a table, and an `slo` that is a text as a list."""
    if isinstance(thresholds := raw.get("thresholds"), list):
        raw["thresholds"] = [{"condition": plan} if isinstance(plan, str) else plan for plan in thresholds]
    phases = raw.get("phases")
    for phase in phases if isinstance(phases, list) else []:
        if isinstance(phase, dict) and isinstance(condition := phase.get("slo"), str):
            phase["slo"] = [condition]


def _convert(raw: dict[str, Any], where: str) -> Scenario:
    try:
        return msgspec.convert(raw, Scenario, dec_hook=_decode)
    except msgspec.ValidationError as error:
        # TOML has no null to write: a key is left away.
        message = str(error).replace(" | null", "")
        raise UsageError(f"Scenario {where}: {describe_mistake(message, raw, Scenario)}") from None
    except UnicodeEncodeError as error:
        raise UsageError(f"Scenario {where}: {encodable_text(error.object)!r} holds bytes that are no text.") from None


def _override(raw: dict[str, Any], key: str, value: object) -> None:
    *parents, last = key.split(".")
    if len(parents) > MOST_DEPTH:
        raise UsageError(f"--set {shorten(key, 40)}: a key of {len(parents) + 1} parts; no scenario has such a key.")
    node: Any = raw
    try:
        for part in parents:
            node = node[_place(part)] if isinstance(node, list) else node.setdefault(part, {})
        if isinstance(node, list):
            node[_place(last)] = value
        else:
            node[last] = value
    except (ValueError, IndexError, TypeError, AttributeError):
        raise UsageError(
            f"--set {key}: the scenario has no such key; phases are numbered from 0, as in phases.0.users."
        ) from None


def _place(text: str) -> int:
    if not text.isdigit():
        raise ValueError(text)
    return int(text)


def _with_absolute_paths(scenario: Scenario, folder: Path) -> Scenario:
    """Read paths inside a scenario as relative to its file, wherever the command was started."""
    files = {name: _absolute(dataset, folder, "path") for name, dataset in scenario.workload.files.items()}
    workload = _absolute(scenario.workload, folder, "dataset_dir", "dag_file", "program")
    phases = tuple(
        msgspec.structs.replace(
            _absolute(phase, folder, "dag_file"),
            trace=phase.trace and _absolute(phase.trace, folder, "path"),
            mix=phase.mix and tuple(_absolute(part, folder, "dag_file") for part in phase.mix),
        )
        for phase in scenario.phases
    )
    return msgspec.structs.replace(
        scenario,
        workload=msgspec.structs.replace(workload, files=files),
        phases=phases,
        target=_absolute(scenario.target, folder, "ca_file", "client_cert", "client_key"),
    )


def _absolute(table: S, folder: Path, *keys: str) -> S:
    paths = {key: str((folder / path).resolve()) for key in keys if (path := getattr(table, key)) is not None}
    return msgspec.structs.replace(table, **paths)


def with_command_line_load(
    scenario: Scenario,
    *,
    users: int | None,
    spawn_rate: float | None,
    run_time_s: float | None,
    kept_ends: Collection[str] = (),
) -> Scenario:
    """Return the scenario with Locust's own -u, -r and -t in place of what its one phase says.

    A run time replaces the phase's other ends, except the `kept_ends`, which the command line gives too; an open load
    has one, too. With several phases, or a load that changes, it is unclear what is meant, which is a UsageError.
    """
    options = (("-u", users), ("-r", spawn_rate), ("-t", run_time_s))
    given = ", ".join(option for option, value in options if value is not None)
    if not given:
        return scenario
    if len(scenario.phases) > 1 or scenario.repeat > 1:
        count = len(scenario.phases) * scenario.repeat
        raise UsageError(
            f"{given}: scenario {scenario.name} has {count} phases, so it is unclear which is meant; "
            "say it with --set, as in --set phases.0.users=16."
        )
    only_time = users is None and spawn_rate is None
    if not (scenario.phases[0].is_plain_closed or (only_time and scenario.phases[0].shape is None)):
        raise UsageError(
            f"{given}: scenario {scenario.name} is more than a number of users for a time; say with --set what is to "
            "change, as in --set phases.0.rate=50 or --set phases.0.duration=30s."
        )
    changes: dict[str, object] = {}
    if users is not None:
        if not 1 <= users <= MOST_USERS:
            raise UsageError(f"-u {users}: from 1 to {MOST_USERS} users are possible.")
        changes["users"] = users
    if spawn_rate is not None:
        if not LEAST_SPAWN_RATE <= spawn_rate <= MOST_RATE_RPS:
            raise UsageError(f"-r {spawn_rate:g}: from {LEAST_SPAWN_RATE:g} to {MOST_RATE_RPS:.0f} users a second.")
        changes["spawn_rate"] = float(spawn_rate)
    if run_time_s is not None:
        if run_time_s <= 0:
            raise UsageError(f"-t {run_time_s:g}: the run time must be above zero.")
        if run_time_s > LONGEST_S:
            raise UsageError(f"-t {run_time_s:g}: a run time of no more than a year is possible.")
        changes.update({end: None for end in PHASE_ENDS if end not in kept_ends}, duration=Seconds(run_time_s))
    phase = msgspec.structs.replace(scenario.phases[0], **changes)
    return msgspec.structs.replace(scenario, phases=(phase,))


def replaced_ends(scenario: Scenario, planned: Scenario) -> list[str]:
    """Return a sentence for each phase whose ends in the scenario's file gave way to those of the command line."""
    found = []
    for before, after in zip(scenario.phases, planned.phases, strict=False):
        gone = [end for end in PHASE_ENDS if getattr(before, end) is not None and getattr(after, end) is None]
        given = [end for end in PHASE_ENDS if getattr(after, end) is not None]
        if gone:
            found.append(
                f"phase {after.name}: {_ends_text(after, given)} from the command line instead of the scenario's "
                f"{_ends_text(before, gone)}"
            )
    return found


def _ends_text(phase: Phase, ends: list[str]) -> str:
    return " and ".join(f"{end} = {getattr(phase, end):g}{' s' if end == 'duration' else ''}" for end in ends)


def with_every_phase(scenario: Scenario, changes: Mapping[str, object]) -> Scenario:
    """Return the scenario with the same keys changed in each of its phases; raises UsageError for what contradicts."""
    phases = tuple(msgspec.structs.replace(phase, **changes) for phase in scenario.phases)
    for number, phase in enumerate(phases):
        if (mistake := phase_mistake(phase)) is not None:
            raise UsageError(f"Scenario {scenario.name}, with {', '.join(changes)} changed: phases.{number}.{mistake}")
    return msgspec.structs.replace(scenario, phases=phases)


def to_plain(scenario: Scenario) -> dict[str, Any]:
    """Return the scenario as JSON's own types: durations as numbers of seconds, secrets left out."""
    plain: dict[str, Any] = msgspec.to_builtins(scenario, enc_hook=_encode)
    plain["target"]["headers"] = hidden(scenario.target.headers)
    if scenario.target.server_metrics_url is not None:
        plain["target"]["server_metrics_url"] = hidden_url(scenario.target.server_metrics_url)
    return plain


def scenario_hash(scenario: Scenario) -> str:
    """Return a short hash of all that a scenario says."""
    return hashlib.sha256(msgspec.json.encode(to_plain(scenario), order="deterministic")).hexdigest()[:12]


def from_plain(plain: Mapping[str, Any], where: str = "of the run") -> Scenario:
    """Return the scenario that `to_plain` wrote; raises UsageError, which says `where`, for what cannot be read.

    A seed and a source that were not ours to choose are null there.
    """
    said = {key: value for key, value in plain.items() if key != "seed" or value is not None}
    if isinstance(plan := plain.get("workload"), dict):
        said["workload"] = {key: value for key, value in plan.items() if key != "source" or value is not None}
    return _convert(said, where)
