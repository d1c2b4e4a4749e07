"""Measure what Locust's page and the Aether tab cost the sending path: rate and CPU time with and without ten tabs.

Our users send to a null server. There are two comparisons, each in pairs that are next to each other in time, because a
process is often a tenth slower than its twin, and a machine's speed drifts:

- ten tabs and none, by turns within one run (none, ten, ten, none, ...): they ask for all that a browser's tab asks
  for: the Aether tab's figures each second and its history once a minute, Locust's own statistics each two seconds;
- the page that nobody looks at and a headless run, process by process.

Printed are medians, the median of the pairs' ratios and its interval (95 %, order statistics). 127.0.0.1 only; about
six minutes.

    python benchmarks/web_page.py [--users 32] [--seconds 8] [--rounds 10] [--tabs 10] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import math
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
import psutil
import urllib3
from support.null_server import null_server
from support.runs import only_run, read_records
from support.setting import (
    HERE,
    SLACK_S,
    BenchmarkFailed,
    Setting,
    allow_descriptors,
    cores,
    end_children_on_sigterm,
    environment,
    pinned,
    write_json,
    write_one_row,
)

from aether_load.analysis.statistics.distribution import percentile

_AETHER_S, _LOCUST_S, _HISTORY_S = 1.0, 2.0, 60.0
_WINDOW_S = 2.0
_SETTLE_S = 0.25
"""Time left out at a window's begin: answers to the tabs of the window before may be on their way."""
_TURNS = (False, True, True, False)


@dataclass(frozen=True)
class Figures:
    """What a sender did in an interval."""

    rate_rps: float
    cpu_us: float


def main() -> None:
    """Measure and print; with --json write the same."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=8, help="of a headless run; one with the page has twice that")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--tabs", type=int, default=10)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    if min(arguments.users, arguments.rounds, arguments.tabs) < 1 or arguments.seconds < 2 * _WINDOW_S:
        parser.error(f"--users, --rounds and --tabs must be above zero, --seconds at least {2 * _WINDOW_S:g}")
    end_children_on_sigterm()
    allow_descriptors(arguments.users + 500)
    server_core, core = cores()
    page_pairs: list[tuple[Figures, Figures]] = []
    tab_pairs: list[tuple[Figures, Figures]] = []
    asked = 0
    with tempfile.TemporaryDirectory(prefix="aether-load-") as name:
        folder = Path(name)
        body = write_one_row(folder)
        with null_server(folder, server_core) as server:
            about = environment(server.name)
            setting = Setting(server.url, server.counts, body, folder, core, arguments.users, arguments.seconds)
            for number in range(arguments.rounds):
                if number % 2 == 0:
                    alone = _headless(setting)
                windows, answers = _with_page(setting, arguments.tabs)
                if number % 2 == 1:
                    alone = _headless(setting)
                pairs = _pairs(windows)
                tab_pairs += pairs
                page_pairs.append((alone, _mean([without for without, _ in pairs])))
                asked += answers
    print(f"server: {about['server']}; {arguments.users} users; load average {about['load_average']}")
    print(f"the tabs were answered {asked} times")
    titles = f"{'requests/s':>18}{'ratio':>7} {'(95 %)':<15}  {'CPU us/request':>16}{'ratio':>7} (95 %)"
    print(f"{'':>26}{'pairs':>6}  {titles}")
    _print_comparison(f"{arguments.tabs} tabs against none", tab_pairs)
    _print_comparison("page against headless", page_pairs)
    found = {"page_against_headless": page_pairs, "tabs_against_none": tab_pairs}
    write_json(
        arguments.json,
        about
        | {"users": arguments.users, "tabs": arguments.tabs}
        | {name: [[asdict(one) for one in pair] for pair in pairs] for name, pairs in found.items()},
    )


def _print_comparison(name: str, pairs: list[tuple[Figures, Figures]]) -> None:
    columns = []
    for key, width, form in (("rate_rps", 18, ".0f"), ("cpu_us", 16, ".1f")):
        values = [(getattr(without, key), getattr(having, key)) for without, having in pairs]
        middles = f"{median(low for low, _ in values):{form}} -> {median(high for _, high in values):{form}}"
        ratio = percentile(np.sort(np.array([high / low for low, high in values])), 0.5)
        interval = "(too few)" if ratio.low is None else f"({ratio.low:.3f}-{ratio.high:.3f})"
        columns.append(f"  {middles:>{width}}{median(high / low for low, high in values):7.3f} {interval:<15}")
    print(f"{name:>26}{len(pairs):6}{''.join(columns)}".rstrip())


def _pairs(windows: list[Figures]) -> list[tuple[Figures, Figures]]:
    """Return each window without tabs with its neighbour that has them."""
    neighbours = zip(windows[::2], windows[1::2], strict=True)
    return [pair if number % 2 == 0 else pair[::-1] for number, pair in enumerate(neighbours)]


def _mean(figures: list[Figures]) -> Figures:
    return Figures(fmean(one.rate_rps for one in figures), fmean(one.cpu_us for one in figures))


def _headless(setting: Setting) -> Figures:
    figures = setting.measure(_command(setting, setting.seconds), setting.seconds + SLACK_S)
    if figures["failures"]:
        raise BenchmarkFailed(f"{figures['failures']} requests failed")
    return Figures(figures["requests"] / figures["elapsed_s"], figures["cpu_s"] / figures["requests"] * 1e6)


def _command(setting: Setting, seconds: float) -> list[str]:
    phase = f'users = {setting.users}\nduration = "{seconds:g}s"'
    return [*setting.ours(phase), "--no-page", "--no-self-check"]


def _with_page(setting: Setting, tabs: int) -> tuple[list[Figures], int]:
    """Return the windows of a run with the page, tabs open in those that `_TURNS` says, and the tabs' answers."""
    count = int(setting.seconds // _WINDOW_S) * 2
    run_s = (count + 2) * _WINDOW_S
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [part for part in _command(setting, run_s) if part != "--headless"]
    setting.cost_file.unlink(missing_ok=True)
    said = setting.folder / "said.txt"
    with said.open("wb") as words, pinned(setting.core):
        process = subprocess.Popen(
            [*command, "--web-port", str(port)], env=setting.environment, stdin=subprocess.DEVNULL, stdout=words,
            stderr=subprocess.STDOUT, cwd=HERE, start_new_session=True,
        )  # fmt: skip
    try:
        url = f"http://127.0.0.1:{port}"
        form = {"user_count": str(setting.users), "spawn_rate": str(setting.users), "run_time": f"{run_s:g}s"}
        http = urllib3.PoolManager(retries=False, timeout=30)
        _wait(lambda: _status(http, url) == 200, process, SLACK_S, said)
        started = json.loads(http.request("POST", f"{url}/swarm", fields=form).data)
        if not started["success"]:
            raise BenchmarkFailed(started["message"])
        looks, asked = _by_turns(url, process.pid, count, tabs)
        _wait(setting.cost_file.is_file, process, SLACK_S, said)
        process.send_signal(signal.SIGINT)
        process.wait(SLACK_S)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    ended_ns = np.sort(read_records(only_run(setting.results)).requests["ended_ns"])
    windows = []
    for (began_ns, began_cpu_s), (until_ns, until_cpu_s) in looks:
        requests = int(np.diff(np.searchsorted(ended_ns, [began_ns, until_ns]))[0])
        if not requests:
            raise BenchmarkFailed("a window without an answer")
        windows.append(Figures(requests / (until_ns - began_ns) * 1e9, (until_cpu_s - began_cpu_s) / requests * 1e6))
    return windows, asked


Look = tuple[int, float]


def _by_turns(url: str, pid: int, count: int, tabs: int) -> tuple[list[tuple[Look, Look]], int]:
    """Open tabs in every window that has them; return clock and CPU time at both ends of each, and the answers."""
    sender = psutil.Process(pid)

    def look() -> Look:
        spent = sender.cpu_times()
        return time.monotonic_ns(), spent.user + spent.system

    looks = []
    asked = 0
    time.sleep(_WINDOW_S / 2)
    for number in range(count):
        # A history a minute from each tab makes one in the first of so few windows.
        with _open_tabs(url, tabs if _TURNS[number % len(_TURNS)] else 0, history=number == 1) as answers:
            time.sleep(_SETTLE_S)
            began = look()
            time.sleep(_WINDOW_S - _SETTLE_S)
            looks.append((began, look()))
        asked += sum(answers)
    return looks, asked


@contextmanager
def _open_tabs(url: str, count: int, *, history: bool) -> Iterator[list[int]]:
    """Let `count` tabs ask until the end; yield how many answers each got."""
    closed = threading.Event()
    answers = [0] * count

    def ask(place: int) -> None:
        http = urllib3.PoolManager(retries=False, timeout=10)
        # A user does not open all of them at the same instant.
        now = time.monotonic() + place / count
        due = {"/aether/live": now, "/stats/requests": now, "/aether/history": now if history else math.inf}
        every = {"/aether/live": _AETHER_S, "/stats/requests": _LOCUST_S, "/aether/history": _HISTORY_S}
        while not closed.wait(max(0.0, min(due.values()) - time.monotonic())):
            path = min(due, key=lambda path: due[path])
            due[path] += every[path]
            if _status(http, url + path) == 200:
                answers[place] += 1

    tabs = [threading.Thread(target=ask, args=(place,)) for place in range(count)]
    for tab in tabs:
        tab.start()
    try:
        yield answers
    finally:
        closed.set()
        for tab in tabs:
            tab.join()


def _status(http: urllib3.PoolManager, url: str) -> int | None:
    try:
        return http.request("GET", url).status
    except urllib3.exceptions.HTTPError:
        return None


def _wait(condition: Any, process: subprocess.Popen[bytes], limit_s: float, said: Path) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        if process.poll() is not None or time.monotonic() > deadline:
            raise BenchmarkFailed(said.read_text(encoding="utf-8", errors="replace")[-3000:] or "nothing happened")
        time.sleep(0.05)


if __name__ == "__main__":
    try:
        main()
    except BenchmarkFailed as error:
        sys.exit(f"{Path(__file__).name}: {error}")
