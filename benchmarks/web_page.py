"""What Locust's page and the Aether tab cost the sending path: rate and CPU time with ten tabs open, and without.

Our users send to a null server headless, with the page that nobody looks at, and with ten tabs that ask for all that a
browser's tab asks for: the Aether tab's figures each second and its history once a minute, Locust's own statistics
each two seconds. Rounds are interleaved; printed are medians and the ratio of each to headless, round by round.
127.0.0.1 only; about three minutes.

    python benchmarks/web_page.py [--users 32] [--seconds 10] [--rounds 5] [--tabs 10] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import urllib3
from null_server import null_server
from setting import (
    HERE,
    SLACK_S,
    BenchmarkFailed,
    Setting,
    allow_descriptors,
    cores,
    end_children_on_sigterm,
    pinned,
    surroundings,
    write_json,
    write_one_row,
)

VARIANTS = ("headless", "page", "tabs")
_AETHER_S, _LOCUST_S, _HISTORY_S = 1.0, 2.0, 60.0


def main() -> None:
    """Measure and print; with --json write the same."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tabs", type=int, default=10)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    if min(arguments.users, arguments.rounds, arguments.tabs) < 1 or arguments.seconds < 1:
        parser.error("--users, --rounds and --tabs must be above zero, --seconds at least 1")
    end_children_on_sigterm()
    allow_descriptors(arguments.users + 500)
    server_core, core = cores()
    rounds: list[dict[str, dict[str, float]]] = []
    with tempfile.TemporaryDirectory(prefix="aether-load-") as name:
        folder = Path(name)
        body = write_one_row(folder)
        with null_server(folder, server_core) as server:
            about = surroundings(server.name)
            for number in range(arguments.rounds):
                setting = Setting(server.url, server.counts, body, folder, core, arguments.users, arguments.seconds)
                turn = VARIANTS if number % 2 == 0 else VARIANTS[::-1]
                rounds.append({variant: _measure(setting, variant, arguments.tabs) for variant in turn})
    print(f"null server: {about['null_server']}; {arguments.users} users; load average {about['load_average']}")
    print(f"medians of {arguments.rounds} rounds; ratios to headless, round by round")
    print(f"{'':>10}{'requests/s':>12}{'ratio':>8}{'CPU us/request':>16}{'ratio':>8}{'asked':>8}")
    for variant in VARIANTS:
        row = [_middle(rounds, variant, key) for key in ("rate_rps", "cpu_us")]
        asked = median(turn[variant]["asked"] for turn in rounds)
        print(f"{variant:>10}{row[0][0]:12.0f}{row[0][1]:8.3f}{row[1][0]:16.1f}{row[1][1]:8.3f}{asked:8.0f}")
    write_json(arguments.json, about | {"users": arguments.users, "tabs": arguments.tabs, "rounds": rounds})


def _middle(rounds: list[dict[str, dict[str, float]]], variant: str, key: str) -> tuple[float, float]:
    values = [turn[variant][key] for turn in rounds]
    ratios = [turn[variant][key] / turn["headless"][key] for turn in rounds]
    return median(values), median(ratios)


def _measure(setting: Setting, variant: str, tabs: int) -> dict[str, float]:
    """Return the rate, the CPU time of a request, and how many answers the tabs got."""
    phase = f"users = {setting.users}\nduration = {f'{setting.seconds:g}s'!r}".replace("'", '"')
    options = ["--no-page", "--no-self-check"]
    command = [*setting.ours(phase), *options]
    if variant == "headless":
        figures = setting.run(command, setting.seconds + SLACK_S)
        return _row(figures, 0)
    # The number of users comes from the page's form there.
    command = [part for part in command if part not in {"--headless", "-u", str(setting.users)}]
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    figures, asked = _with_page(setting, [*command, "--web-port", str(port)], port, tabs if variant == "tabs" else 0)
    return _row(figures, asked)


def _row(figures: dict[str, Any], asked: int) -> dict[str, float]:
    if figures["failures"]:
        raise BenchmarkFailed(f"{figures['failures']} requests failed")
    return {
        "rate_rps": figures["requests"] / figures["elapsed_s"],
        "cpu_us": figures["cpu_s"] / figures["requests"] * 1e6,
        "asked": asked,
    }


def _with_page(setting: Setting, command: list[str], port: int, tabs: int) -> tuple[dict[str, Any], int]:
    setting.cost_file.unlink(missing_ok=True)
    said = setting.folder / "said.txt"
    with said.open("wb") as words, pinned(setting.core):
        process = subprocess.Popen(
            command, env=setting.environment, stdin=subprocess.DEVNULL, stdout=words, stderr=subprocess.STDOUT,
            cwd=HERE, start_new_session=True,
        )  # fmt: skip
    try:
        url = f"http://127.0.0.1:{port}"
        form = {
            "user_count": str(setting.users), "spawn_rate": str(setting.users), "run_time": f"{setting.seconds:g}s",
        }  # fmt: skip
        http = urllib3.PoolManager(retries=False, timeout=30)
        _wait(lambda: _status(http, url) == 200, process, SLACK_S, said)
        with _open_tabs(url, tabs) as asked:
            started = json.loads(http.request("POST", f"{url}/swarm", fields=form).data)
            if not started["success"]:
                raise BenchmarkFailed(started["message"])
            _wait(setting.cost_file.is_file, process, setting.seconds + SLACK_S, said)
        process.send_signal(signal.SIGINT)
        process.wait(SLACK_S)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    figures: dict[str, Any] = json.loads(setting.cost_file.read_text(encoding="utf-8"))
    return figures, sum(asked)


@contextmanager
def _open_tabs(url: str, count: int) -> Iterator[list[int]]:
    """Have `count` tabs ask until the end; yield how many answers each got."""
    closed = threading.Event()
    answers = [0] * count

    def ask(place: int) -> None:
        http = urllib3.PoolManager(retries=False, timeout=10)
        now = time.monotonic()
        due = {"/aether/live": now, "/stats/requests": now, "/aether/history": now}
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
