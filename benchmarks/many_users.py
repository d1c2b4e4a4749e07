"""Whether one process holds 5,000 users: descriptors far above 1,024, each connection opened once and kept.

One Locust process of our users against a null server. Printed are the connections opened and opened again, which the
run itself counts, how many users had a request in flight at once, the outcomes of all samples, and the CPU time per
request. 127.0.0.1 only; about half a minute.

    python benchmarks/many_users.py [--users 5000] [--seconds 10] [--json FILE]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from aether_load.rundata.lines import read_lines
from aether_load.rundata.sample_reader import read_samples
from support.null_server import null_server
from support.setting import (
    BenchmarkFailed,
    Setting,
    allow_descriptors,
    cores,
    end_children_on_sigterm,
    only_run,
    surroundings,
    write_json,
    write_one_row,
)

from aether_load.protocol import Outcome
from aether_load.rundata.folder import RunFolder
from aether_load.rundata.process_usage import SenderReading

_OTHER_DESCRIPTORS = 500
_SLACK_S = 180.0
# A user between two requests is in flight with none.
_NEARLY_ALL = 0.99


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
            figures = setting.run(setting.ours(f'duration = "{arguments.seconds:g}s"'), arguments.seconds + _SLACK_S)
        result = surroundings(server.name) | figures | {"users": arguments.users} | _told_by(only_run(folder))
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


def _told_by(run: RunFolder) -> dict[str, Any]:
    """Return what the run's own files say of its connections, outcomes and memory."""
    manifest = run.read_manifest()
    worker, phase = manifest.workers[0], manifest.phases[0]
    table, _ = read_samples(run.samples)
    outcomes = Counter(table["outcome"].to_pylist())
    assert phase.window_began_ns is not None
    in_flight_max, after_s = _in_flight(table, phase.window_began_ns, phase.users)
    return {
        "connections_opened": worker.connections_opened,
        "stale_connections_reopened": worker.stale_connections_reopened,
        "in_flight_max": in_flight_max,
        "nearly_all_in_flight_after_s": after_s,
        "outcomes": {str(outcome): count for outcome, count in outcomes.most_common()},
        "reasons": dict(Counter(table["error"].to_pylist()).most_common(5)),
        "until_window_s": round((phase.window_began_ns - manifest.began.monotonic_ns) / 1e9, 2),
        "resident_max_mb": round(
            max(reading.resident_bytes for reading in read_lines(run.sender, SenderReading)) / 1e6, 1
        ),
    }


def _in_flight(table: pa.Table, window_began_ns: int, users: int) -> tuple[int, float | None]:
    """Return the most requests in flight at once, and when nearly all users had one; None when they never had.

    Not the same as the number of users let loose: each has its first turn only when the event loop comes to it.
    """
    sent = np.sort(table["sent_ns"].to_numpy())
    ended = np.sort(table["ended_ns"].to_numpy())
    in_flight = np.arange(1, len(sent) + 1) - np.searchsorted(ended, sent, side="right")
    reached = np.flatnonzero(in_flight >= _NEARLY_ALL * users)
    after_s = round((int(sent[reached[0]]) - window_began_ns) / 1e9, 3) if len(reached) else None
    return int(in_flight.max(initial=0)), after_s


def _print(result: dict[str, Any]) -> None:
    print(f"null server: {result['null_server']}; load average {result['load_average']}")
    print(f"users                  {result['users']}, all connected after {result['until_window_s']:.1f} s")
    print(f"connections opened     {result['connections_opened']}")
    print(f"connections re-opened  {result['stale_connections_reopened']}")
    after_s = result["nearly_all_in_flight_after_s"]
    when = f"never {_NEARLY_ALL:.0%} of the users" if after_s is None else f"{_NEARLY_ALL:.0%} after {after_s:.2f} s"
    print(f"in flight, at most     {result['in_flight_max']}, {when}")
    print(f"outcomes               {', '.join(f'{count} {name}' for name, count in result['outcomes'].items())}")
    print(f"CPU us/request         {result['cpu_us_per_request']:.1f}")
    print(f"requests/s             {result['requests'] / result['elapsed_s']:.0f}")
    print(f"resident, at most      {result['resident_max_mb']:.0f} MB")
    print(f"exit code of the run   {result['exit_code']}")
    print("as it must be" if result["as_it_must_be"] else "NOT as it must be")


if __name__ == "__main__":
    try:
        main()
    except BenchmarkFailed as error:
        sys.exit(f"{Path(__file__).name}: {error}")
