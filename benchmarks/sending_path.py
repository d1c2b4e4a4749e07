"""What a request costs the sender in CPU time: our users beside other clients of HTTP, in turn, medians.

Every sender is a process of its own on the last core and posts the same body on keep-alive connections to a null
server on the first core: nginx when it is installed, else the simulated runtime at latency 0. Those that are not
installed are left out. 127.0.0.1 only; the default run takes under four minutes.

    python benchmarks/sending_path.py [--only NAME,NAME] [--rounds 5] [--seconds 4] [--users 32] [--json FILE]
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from support.null_server import null_server
from support.programs import hey, wrk
from support.setting import (
    HERE,
    SLACK_S,
    BenchmarkFailed,
    Setting,
    cores,
    end_children_on_sigterm,
    surroundings,
    write_json,
    write_one_row,
)

# Of httpx it is known after a second that it is two orders of magnitude slower.
_SHORT = 0.4
_YARDSTICK = "FastHttpUser"


class Sender(NamedTuple):
    """A client: how a round of it is run, and what must be installed for it."""

    name: str
    run: Callable[[Setting], dict[str, Any]]
    modules: tuple[str, ...] = ()
    program: str | None = None

    @property
    def missing(self) -> str | None:
        """Return what is not installed, if anything."""
        absent = [module for module in self.modules if importlib.util.find_spec(module) is None]
        if self.program is not None and shutil.which(self.program) is None:
            absent.append(self.program)
        return ", ".join(absent) or None


def _ours(setting: Setting) -> dict[str, Any]:
    return setting.run(setting.ours(f'duration = "{setting.seconds:g}s"'), setting.seconds + SLACK_S)


def _stock(locustfile: str) -> Callable[[Setting], dict[str, Any]]:
    def run(setting: Setting) -> dict[str, Any]:
        return setting.run(setting.locust(locustfile, "-r", str(setting.users)), setting.seconds + SLACK_S)

    return run


def _loop(program: str, share: float = 1.0) -> Callable[[Setting], dict[str, Any]]:
    def run(setting: Setting) -> dict[str, Any]:
        shorter = replace(setting, seconds=setting.seconds * share)
        return shorter.run([sys.executable, str(HERE / "senders" / program)], shorter.seconds + SLACK_S)

    return run


SENDERS = (
    Sender("aether-load", _ours),
    Sender("HttpUser", _stock("cost_of_http_user.py")),
    Sender(_YARDSTICK, _stock("cost_of_fast_http.py")),
    Sender("aiohttp", _loop("aiohttp_loop.py"), modules=("aiohttp", "orjson")),
    Sender("httpx", _loop("httpx_loop.py", _SHORT), modules=("httpx",)),
    Sender("hey", hey, program="hey"),
    Sender("wrk", wrk, program="wrk"),
)


def main() -> None:
    """Measure and print a table; with --json write the rounds too."""
    arguments = _arguments()
    end_children_on_sigterm()
    wanted = [sender for sender in SENDERS if arguments.only is None or sender.name in arguments.only]
    present = [sender for sender in wanted if sender.missing is None]
    absent: dict[str, str | None] = {sender.name: sender.missing for sender in wanted if sender.missing is not None}
    rounds: dict[str, list[dict[str, Any]]] = {sender.name: [] for sender in present}
    server_core, core = cores()
    with tempfile.TemporaryDirectory(prefix="aether-load-") as name:
        folder = Path(name)
        body = write_one_row(folder)
        with null_server(folder, server_core) as server:
            setting = Setting(server.url, server.counts, body, folder, core, arguments.users, arguments.seconds)
            around = surroundings(server.name)
            for _ in range(arguments.rounds):
                for sender in present:
                    rounds[sender.name].append(_with_ratios(sender.run(setting)))
        medians = _medians(rounds)
        around |= {"load_average_after": [round(load, 2) for load in os.getloadavg()]}
        around |= {"body_bytes": body.stat().st_size, "users": arguments.users, "one_core": server_core == core}
    _print(medians, rounds, absent, around)
    write_json(arguments.json, around | {"medians": medians, "rounds": rounds, "not_installed": absent})


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


def _with_ratios(figures: dict[str, Any]) -> dict[str, Any]:
    if not figures["requests"]:
        raise BenchmarkFailed("a sender had no request answered")
    return figures | {
        "cpu_us_per_request": figures["cpu_s"] / figures["requests"] * 1e6,
        "requests_per_s": figures["requests"] / figures["elapsed_s"],
        "core_share": figures["cpu_s"] / figures["elapsed_s"],
    }


def _medians(rounds: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, float]]:
    medians: dict[str, dict[str, float]] = {}
    for name, figures in rounds.items():
        costs = [figure["cpu_us_per_request"] for figure in figures]
        medians[name] = {
            "cpu_us_per_request": statistics.median(costs),
            "cpu_us_lowest": min(costs),
            "cpu_us_highest": max(costs),
            "requests_per_s": statistics.median(figure["requests_per_s"] for figure in figures),
            "core_share": statistics.median(figure["core_share"] for figure in figures),
        }
    if yardstick := rounds.get(_YARDSTICK):
        for name, figures in rounds.items():
            # Within a round, because a shared machine's speed changes from one minute to the next.
            ratios = [
                figure["cpu_us_per_request"] / beside["cpu_us_per_request"]
                for figure, beside in zip(figures, yardstick, strict=True)
            ]
            medians[name]["ratio_to_fast_http_user"] = statistics.median(ratios)
    return medians


def _print(
    medians: dict[str, dict[str, float]],
    rounds: dict[str, list[dict[str, Any]]],
    absent: dict[str, str | None],
    around: dict[str, Any],
) -> None:
    print(f"null server: {around['null_server']}; body {around['body_bytes']} bytes; {around['users']} connections")
    if around["one_core"]:
        print("server and senders share the machine's only core: the rates are of both together")
    print(f"load average before and after: {around['load_average']}, {around['load_average_after']}")
    print(
        f"{'sender':12} {'CPU us/request':>14} {'lowest-highest':>15} {'requests/s':>11} {'of a core':>10} "
        f"{'ratio':>6} {'rounds':>6} {'failed':>6}"
    )
    for name, median in medians.items():
        spread = f"{median['cpu_us_lowest']:.1f}-{median['cpu_us_highest']:.1f}"
        ratio = median.get("ratio_to_fast_http_user")
        failed = sum(figure["failures"] for figure in rounds[name])
        print(
            f"{name:12} {median['cpu_us_per_request']:14.1f} {spread:>15} {median['requests_per_s']:11.0f} "
            f"{median['core_share']:10.0%} {'-' if ratio is None else f'{ratio:.2f}':>6} {len(rounds[name]):6d} "
            f"{failed:6d}"
        )
    for name, missing in absent.items():
        print(f"{name:12} left out: {missing} not installed")
    for name, figures in rounds.items():
        if codes := sorted({figure["exit_code"] for figure in figures} - {0}):
            print(f"{name} ended with exit code {', '.join(map(str, codes))}")
    print(
        f"ratio: CPU time to {_YARDSTICK}'s in the same round, median; the bar for aether-load is 0.20\n"
        "hey and wrk: CPU time of the whole process, start and end included"
    )


if __name__ == "__main__":
    try:
        main()
    except BenchmarkFailed as error:
        sys.exit(f"{Path(__file__).name}: {error}")
