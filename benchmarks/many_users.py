"""Measure whether one process holds 5,000 users: over 1,024 descriptors, each connection opened once and kept.

One Locust process of our users sends to a null server. Printed are the connections opened and opened again, which the
run itself counts, how many users had a request in flight at once, the outcomes of all requests, and the CPU time a
request. 127.0.0.1 only; about half a minute.

    python benchmarks/many_users.py [--users 5000] [--seconds 10] [--json FILE]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from support.null_server import null_server
from support.runs import only_phase, only_run, read_records, sender_readings, window
from support.setting import (
    BenchmarkFailed,
    Setting,
    allow_descriptors,
    cores,
    end_children_on_sigterm,
    environment,
    write_json,
    write_one_row,
)

from aether_load.protocol import Outcome
from aether_load.rundata.folder import RunFolder

_OTHER_DESCRIPTORS = 500
_SLACK_S = 180.0
_NEARLY_ALL = 0.99
"""Of the users; one between two requests has none in flight."""


def main() -> None:
    """Measure and print; with --json write the same."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=5_000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    if arguments.users < 1 or arguments.seconds <= 0:
        parser.error("--users and --seconds must be above zero")
    end_children_on_sigterm()
    allow_descriptors(arguments.users + _OTHER_DESCRIPTORS)
    server_core, core = cores()
    with tempfile.TemporaryDirectory(prefix="aether-load-") as name:
        folder = Path(name)
        body = write_one_row(folder)
        with null_server(folder, server_core) as server:
            setting = Setting(server.url, server.counts, body, folder, core, arguments.users, arguments.seconds)
            phase = f'users = {arguments.users}\nduration = "{arguments.seconds:g}s"'
            figures = setting.measure(setting.ours(phase), arguments.seconds + _SLACK_S)
        result = environment(server.name) | figures | {"users": arguments.users}
        result |= _figures(only_run(setting.results), arguments.users)
    if not result["requests"]:
        raise BenchmarkFailed("no request was answered inside the window")
    result["cpu_us_per_request"] = result["cpu_s"] / result["requests"] * 1e6
    result["as_it_must_be"] = (
        result["connections_opened"] == arguments.users
        and result["stale_connections_reopened"] == 0
        and set(result["outcomes"]) == {Outcome.OK.label}
        and result["in_flight_max"] >= _NEARLY_ALL * arguments.users
        and result["exit_code"] == 0
    )
    _print(result)
    write_json(arguments.json, result)
    if not result["as_it_must_be"]:
        sys.exit(1)


def _figures(run: RunFolder, users: int) -> dict[str, Any]:
    """Return what the run's files say of its connections, outcomes and memory."""
    manifest = run.read_manifest()
    began_ns, _ = window(only_phase(run))
    records = read_records(run)
    in_flight_max, after_s = _in_flight(records.sent, began_ns, users)
    return {
        "connections_opened": manifest.workers[0].connections_opened,
        "stale_connections_reopened": manifest.workers[0].stale_connections_reopened,
        "in_flight_max": in_flight_max,
        "nearly_all_in_flight_after_s": after_s,
        "outcomes": dict(records.outcomes.most_common()),
        "reasons": dict(records.reasons.most_common(5)),
        "until_window_s": round((began_ns - manifest.began.monotonic_ns) / 1e9, 2),
        "resident_mb": round(max(reading.resident_bytes for reading in sender_readings(run)) / 1e6, 1),
    }


def _in_flight(requests: NDArray[np.void], window_began_ns: int, users: int) -> tuple[int, float | None]:
    """Return the most requests in flight at once, and when nearly all users had one; None when they never had.

    That is later than the users' activation: each has its first turn only when the event loop comes to it.
    """
    sent, ended = np.sort(requests["sent_ns"]), np.sort(requests["ended_ns"])
    in_flight = np.arange(1, len(sent) + 1) - np.searchsorted(ended, sent, side="right")
    reached = np.flatnonzero(in_flight >= _NEARLY_ALL * users)
    after_s = round((int(sent[reached[0]]) - window_began_ns) / 1e9, 3) if len(reached) else None
    return int(in_flight.max(initial=0)), after_s


def _print(result: dict[str, Any]) -> None:
    print(f"server: {result['server']}; load average {result['load_average']}")
    print(f"users                  {result['users']}, all connected after {result['until_window_s']:.1f} s")
    print(f"connections opened     {result['connections_opened']}")
    print(f"connections re-opened  {result['stale_connections_reopened']}")
    after_s = result["nearly_all_in_flight_after_s"]
    when = f"never {_NEARLY_ALL:.0%} of the users" if after_s is None else f"{_NEARLY_ALL:.0%} after {after_s:.2f} s"
    print(f"in flight, at most     {result['in_flight_max']}, {when}")
    print(f"outcomes               {', '.join(f'{count} {name}' for name, count in result['outcomes'].items())}")
    print(f"CPU us/request         {result['cpu_us_per_request']:.1f}")
    print(f"requests/s             {result['requests'] / result['elapsed_s']:.0f}")
    print(f"resident, at most      {result['resident_mb']:.0f} MB")
    print(f"exit code of the run   {result['exit_code']}")
    print("as it must be" if result["as_it_must_be"] else "NOT as it must be")


if __name__ == "__main__":
    try:
        main()
    except BenchmarkFailed as error:
        sys.exit(f"{Path(__file__).name}: {error}")
