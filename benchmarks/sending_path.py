"""Measure what a request costs the sender in CPU time: our users beside other HTTP clients, in turn, medians.

Every sender is a process of its own on the last core and posts the same body on keep-alive connections to a null
server on the first core: nginx where it is installed, else the simulated runtime at latency 0. `execute()` is a task of
a user class that sends each prompt. Clients that are not installed are left out. The observer is a process of its own,
and has a column of its own. 127.0.0.1 only; the default run takes about five minutes.

    python benchmarks/sending_path.py [--only NAME,NAME] [--rounds 5] [--seconds 4] [--users 32] [--json FILE]
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from support.null_server import null_server
from support.programs import hey, k6, oha, vegeta, wrk
from support.setting import (
    HERE,
    SLACK_S,
    BenchmarkFailed,
    Setting,
    cores,
    end_children_on_sigterm,
    environment,
    write_json,
    write_one_row,
)

OURS, EXECUTE, HEY, FAST = "aether-load", "execute()", "hey", "FastHttpUser"
BARS = {HEY: 0.8, FAST: 1 / 9}
"""Our CPU time a request is at most this share of the other's, in the same round."""
EXECUTE_BAR = 1.5
"""The most CPU time of a request by `execute`, to that of the built-in path in the same round."""
BAR_MB, BAR_USERS = 80, 32
"""The most memory of our sender, with so many users."""
_SHORT = 0.4
"""The share of the time that httpx gets: after a second it is clear that it is two orders of magnitude slower."""
Figures = dict[str, Any]


class Sender(NamedTuple):
    """A client: how one round of it is run, and what must be installed for it."""

    name: str
    run: Callable[[Setting], Figures]
    modules: tuple[str, ...] = ()
    program: str | None = None

    @property
    def missing(self) -> str | None:
        """Return what is not installed, if anything."""
        absent = [module for module in self.modules if importlib.util.find_spec(module) is None]
        if self.program is not None and shutil.which(self.program) is None:
            absent.append(self.program)
        return ", ".join(absent) or None


def _ours(setting: Setting) -> Figures:
    phase = f'users = {setting.users}\nduration = "{setting.seconds:g}s"'
    return setting.measure(setting.ours(phase), setting.seconds + SLACK_S)


def _execute(setting: Setting) -> Figures:
    """Run users whose own task sends each prompt by `execute`."""
    phase = f'users = {setting.users}\nduration = "{setting.seconds:g}s"'
    command = setting.ours(phase, locustfile=HERE / "locustfiles" / "cost_of_execute.py")
    return setting.measure(command, setting.seconds + SLACK_S)


def _stock(locustfile: str) -> Callable[[Setting], Figures]:
    return lambda setting: setting.measure(setting.stock(locustfile), setting.seconds + SLACK_S)


def _loop(program: str, share: float = 1.0) -> Callable[[Setting], Figures]:
    def run(setting: Setting) -> Figures:
        shorter = replace(setting, seconds=setting.seconds * share)
        return shorter.measure([sys.executable, str(HERE / "senders" / program)], shorter.seconds + SLACK_S)

    return run


SENDERS = (
    Sender(OURS, _ours),
    Sender(EXECUTE, _execute),
    Sender("HttpUser", _stock("cost_of_http_user.py")),
    Sender(FAST, _stock("cost_of_fast_http.py")),
    Sender("bare gevent", _loop("gevent_loop.py")),
    Sender("aiohttp", _loop("aiohttp_loop.py"), modules=("aiohttp", "orjson")),
    Sender("httpx", _loop("httpx_loop.py", _SHORT), modules=("httpx",)),
    Sender(HEY, hey, program="hey"),
    Sender("oha", oha, program="oha"),
    Sender("vegeta", vegeta, program="vegeta"),
    Sender("k6", k6, program="k6"),
    Sender("wrk", wrk, program="wrk"),
)


def main() -> None:
    """Measure and print a table; with --json write the rounds too."""
    arguments = _arguments()
    end_children_on_sigterm()
    wanted = [sender for sender in SENDERS if arguments.only is None or sender.name in arguments.only]
    present = [sender for sender in wanted if sender.missing is None]
    absent: dict[str, str | None] = {sender.name: sender.missing for sender in wanted if sender.missing is not None}
    rounds: dict[str, list[Figures]] = {sender.name: [] for sender in present}
    server_core, core = cores()
    with tempfile.TemporaryDirectory(prefix="aether-load-") as name:
        folder = Path(name)
        body = write_one_row(folder)
        with null_server(folder, server_core) as server:
            setting = Setting(server.url, server.counts, body, folder, core, arguments.users, arguments.seconds)
            about = environment(server.name)
            for _ in range(arguments.rounds):
                for sender in present:
                    rounds[sender.name].append(_with_shares(sender.name, sender.run(setting)))
        about |= {"load_average_after": [round(load, 2) for load in os.getloadavg()]}
        about |= {"body_bytes": body.stat().st_size, "users": arguments.users, "one_core": server_core == core}
    medians = {name: _medians(figures, rounds) for name, figures in rounds.items()}
    _print(medians, rounds, absent, about)
    write_json(arguments.json, about | {"medians": medians, "rounds": rounds, "not_installed": absent})


def _arguments() -> argparse.Namespace:
    names = [sender.name for sender in SENDERS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="NAME,NAME", type=lambda text: text.split(","), help=", ".join(names))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--users", type=int, default=32)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    if unknown := set(arguments.only or ()) - set(names):
        parser.error(f"--only: no sender {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    if arguments.rounds < 1 or arguments.users < 1 or arguments.seconds <= 0:
        parser.error("--rounds, --users and --seconds must be above zero")
    return arguments


def _with_shares(name: str, figures: Figures) -> Figures:
    requests = figures["requests"]
    if not requests:
        raise BenchmarkFailed(f"{name} had no request answered")
    observer_s = figures["observer_cpu_s"]
    return figures | {
        "cpu_us_per_request": figures["cpu_s"] / requests * 1e6,
        "observer_us_per_request": None if observer_s is None else observer_s / requests * 1e6,
        "requests_per_s": requests / figures["elapsed_s"],
        "core_share": figures["cpu_s"] / figures["elapsed_s"],
    }


def _medians(figures: list[Figures], rounds: dict[str, list[Figures]]) -> dict[str, float | None]:
    costs = [figure["cpu_us_per_request"] for figure in figures]
    found: dict[str, float | None] = {"cpu_us_lowest": min(costs), "cpu_us_highest": max(costs)}
    for key in (
        "cpu_us_per_request", "observer_us_per_request", "requests_per_s", "core_share", "resident_max_mb",
    ):  # fmt: skip
        known = [figure[key] for figure in figures if figure[key] is not None]
        found[key] = median(known) if known else None
    for yardstick in (*BARS, OURS):
        # Within a round, because a shared machine's speed changes from one minute to the next.
        beside = [figure["cpu_us_per_request"] for figure in rounds.get(yardstick, [])]
        ratios = [mine / other for mine, other in zip(costs, beside, strict=False)]
        found[f"ratio_to_{yardstick}"] = median(ratios) if ratios else None
    return found


def _print(
    medians: dict[str, dict[str, float | None]],
    rounds: dict[str, list[Figures]],
    absent: dict[str, str | None],
    about: dict[str, Any],
) -> None:
    print(f"server: {about['server']}; body {about['body_bytes']} bytes; {about['users']} connections")
    if about["one_core"]:
        print("server and senders share the machine's only core: the rates are of both together")
    print(f"load average before and after: {about['load_average']}, {about['load_average_after']}")
    print(
        f"{'sender':12} {'CPU us/request':>14} {'lowest-highest':>15} {'to hey':>7} {'to Fast':>7} {'observer us':>11} "
        f"{'MB':>6} {'requests/s':>11} {'of a core':>9} {'rounds':>6} {'failed':>6}"
    )
    for name, found in medians.items():
        spread = f"{found['cpu_us_lowest']:.1f}-{found['cpu_us_highest']:.1f}"
        failed = sum(figure["failures"] for figure in rounds[name])
        print(
            f"{name:12} {found['cpu_us_per_request']:14.1f} {spread:>15} {_cell(found[f'ratio_to_{HEY}'], 7, 2)} "
            f"{_cell(found[f'ratio_to_{FAST}'], 7, 2)} {_cell(found['observer_us_per_request'], 11, 1)} "
            f"{_cell(found['resident_max_mb'], 6, 0)} {found['requests_per_s']:11.0f} {found['core_share']:9.0%} "
            f"{len(rounds[name]):6d} {failed:6d}"
        )
    for name, missing in absent.items():
        print(f"{name:12} left out: {missing} not installed")
    for name, figures in rounds.items():
        if codes := sorted({figure["exit_code"] for figure in figures} - {0}):
            print(f"{name} ended with exit code {', '.join(map(str, codes))}")
    print(
        "to hey, to Fast: CPU time to that of hey and FastHttpUser in the same round, median\n"
        "compiled programs: CPU time of the whole process, start and end included; MB: the most resident memory"
    )
    if OURS in medians:
        _print_bars(medians[OURS], about["users"])
    if EXECUTE in medians:
        ratio = medians[EXECUTE][f"ratio_to_{OURS}"]
        _print_bar(f"CPU time a request by {EXECUTE}, to the built-in path's", ratio, EXECUTE_BAR)


def _print_bars(ours: dict[str, float | None], users: int) -> None:
    for yardstick, bar in BARS.items():
        _print_bar(f"CPU time a request, to {yardstick}'s", ours[f"ratio_to_{yardstick}"], bar)
    if users == BAR_USERS:
        _print_bar(f"resident MB at {users} users", ours["resident_max_mb"], BAR_MB)


def _print_bar(what: str, value: float | None, bar: float) -> None:
    verdict = "not known" if value is None else f"{value:.3g}, {'met' if value <= bar else 'NOT met'}"
    print(f"bar: {what} at most {bar:.3g}: {verdict}")


def _cell(value: float | None, width: int, digits: int) -> str:
    return f"{'-' if value is None else f'{value:.{digits}f}':>{width}}"


if __name__ == "__main__":
    try:
        main()
    except BenchmarkFailed as error:
        sys.exit(f"{Path(__file__).name}: {error}")
