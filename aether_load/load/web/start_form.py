"""Read our fields of Locust's start form, and check them before Locust starts."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Container, Iterable, Mapping
from typing import Any, Literal

from locust.util.timespan import parse_timespan

from aether_load.datasets.dataset import HUB_DATASETS
from aether_load.errors import UsageError
from aether_load.load.options import ends_by_itself, planned_scenario, without_end
from aether_load.load.session.session import Session
from aether_load.runtime_client import check_url
from aether_load.scenario.command_line.run_options import CACHE_STATES
from aether_load.scenario.load import shipped_scenarios
from aether_load.scenario.scenario import Scenario

AS_IN_SCENARIO = "as in the scenario"
_FIELDS = ("scenario", "dataset", "limit", "dag", "dag_nodes", "cache", "sequential")
_FIELDS_OF_LOCUST = ("user_count", "spawn_rate", "host", "user_classes", "shape_class", "profile")
Busy = Literal["starting", "running", "writing"] | None
"""What of the last start still goes on, if anything does."""
_WHOLE_NUMBERS = ("limit", "dag_nodes")


class _Choices(list[str]):
    """What the form offers; on the command line a path or several names do as well, and are checked later."""

    def __contains__(self, value: object) -> bool:
        return True


def show_in_form(parser: argparse.ArgumentParser) -> None:
    """Have Locust's start form ask for some of our options; a menu's first entry leaves the scenario its own."""
    for action in parser._actions:  # noqa: SLF001 -- argparse has no other way to an option that is there
        if action.dest not in _FIELDS:
            continue
        said: Any = action
        said.include_in_web_ui, said.is_secret, said.is_required, said.is_multiple = True, False, False, False
        if action.dest == "scenario":
            _offer(action, [*shipped_scenarios()])
        elif action.dest == "dataset":
            _offer(action, [AS_IN_SCENARIO, *HUB_DATASETS])
        elif action.dest in {"dag", "cache"}:
            allowed = tuple(action.choices or ())
            action.metavar = "{" + ",".join(allowed) + "}"
            action.type = _one_of(allowed)
            action.choices = _Choices([AS_IN_SCENARIO, *allowed])


def _offer(action: argparse.Action, values: list[str]) -> None:
    """Make a menu of values, with that of the command line among them: it is parsed again for each look at the page."""
    offered = _Choices(values)

    def take(text: str) -> str:
        if text not in list(offered):
            offered.append(text)
        return text

    action.type, action.choices = take, offered


def _one_of(allowed: tuple[str, ...]) -> Callable[[str], str]:
    def check(text: str) -> str:
        if text not in allowed:
            raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(allowed)}")
        return text

    return check


class StartForm:
    """Stands before Locust's own start: a run that could not begin is refused in the page, with a sentence."""

    def __init__(
        self,
        session: Session,
        options: argparse.Namespace,
        *,
        busy: Callable[[], Busy],
        has_senders: Callable[[], bool],
    ) -> None:
        """Take the options of the command line, who tells what is still under way, and whether anybody can send."""
        self._session = session
        # How many users there are, and how fast they come, is what the form itself asks.
        self._given = argparse.Namespace(**{**vars(options), "num_users": None, "spawn_rate": None})
        self._busy = busy
        self._has_senders = has_senders
        self._last: Mapping[str, object] = {field: getattr(options, field) for field in _FIELDS}

    def check(self, form: Mapping[str, str]) -> None:
        """Make ready what the form asks for; raises AetherLoadError for what is wrong, and changes nothing then."""
        wanted = dict(self._last) | _wanted(form)
        if str(wanted["scenario"]).endswith(".toml") and wanted["scenario"] != self._given.scenario:
            raise UsageError("Scenario: choose one of the menu; name a file of your own with --scenario.")
        host = form.get("host") or self._session.load.target.url
        busy = self._busy()
        if busy == "writing":
            raise UsageError("The results of the last run are still being written; press Start again in a moment.")
        if busy == "starting":
            raise UsageError("The load is about to begin; press again in a moment.")
        if busy == "running":
            self._refuse_changes(wanted, host)
            return
        if (form.get("user_count") or "1").strip() == "0":
            raise UsageError("Number of users: 0 send nothing; at least 1 is needed.")
        if not self._has_senders():
            raise UsageError("There is no worker yet to carry the load: start one, or wait for it.")
        options = argparse.Namespace(**{**vars(self._given), **wanted})
        if form.get("run_time"):
            options.run_time = _run_time_s(form["run_time"])
        self._session.change(self._plan(options), host)
        self._last = wanted

    @property
    def busy(self) -> Busy:
        """Return what of the last start still goes on."""
        return self._busy()

    def _plan(self, options: argparse.Namespace) -> Scenario:
        scenario = planned_scenario(options)
        return scenario if ends_by_itself(options) else without_end(scenario)

    def _refuse_changes(self, wanted: Mapping[str, object], host: str) -> None:
        changed = [field.replace("_", " ") for field in _FIELDS if wanted[field] != self._last[field]]
        if check_url(host) != self._session.load.target.url:
            changed.append("host")
        if changed:
            raise UsageError(
                f"While the load runs only the number of users can change; press Stop first to change {changed[0]}."
            )


def for_locust(form: Iterable[tuple[str, str]], shown: Container[str]) -> list[tuple[str, str]]:
    """Return the fields that Locust may take: its own, and those of a locustfile's options that the form has `shown`.

    Locust itself would take each of the command line's options from a form, files to write among them. A run time is
    ours, so that the window lasts just as long.
    """
    return [
        (name, value) for name, value in form if name in _FIELDS_OF_LOCUST or (name in shown and name not in _FIELDS)
    ]


def _wanted(form: Mapping[str, str]) -> dict[str, object]:
    """Return the form's fields as the command line would have them."""
    wanted: dict[str, object] = {}
    for field in _FIELDS:
        if field not in form:
            continue
        text = form[field].strip()
        if field == "sequential":
            wanted[field] = text.lower() in {"true", "on"}
        elif text in {"", AS_IN_SCENARIO}:
            wanted[field] = None
        elif field in _WHOLE_NUMBERS:
            wanted[field] = _whole_number(field, text)
        elif field == "cache" and text not in CACHE_STATES:
            raise UsageError(f"Cache: {text!r} is none of {', '.join(CACHE_STATES)}.")
        else:
            wanted[field] = text
    return {field: value for field, value in wanted.items() if field != "scenario" or value is not None}


def _whole_number(field: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        what = field.replace("_", " ").capitalize()
        raise UsageError(f"{what}: {text!r} is no whole number; leave it empty for the scenario's own.") from None


def _run_time_s(text: str) -> float:
    try:
        return float(parse_timespan(text))
    except ValueError:
        raise UsageError(f"Run time: {text!r} is no time; write it as 20, 20s, 3m, 2h or 1h20m.") from None
