"""Measure whether the sender's memory stays flat: resident size after a tenth of the requests, and after all of them.

One Locust process of our users sends to a null server. The sizes are those that the run's observer reads each second
into sender.jsonl; how many requests had been answered by then comes from the records. The bar: after 1,000,000 requests
within 30 MB of what it was after 100,000. Takes one to three minutes; 127.0.0.1 only.

    python benchmarks/memory.py [--requests 1000000] [--users 32] [--json FILE]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from support.null_server import null_server
from support.runs import only_run, read_records, sender_readings
from support.setting import (
    BenchmarkFailed,
    Setting,
    cores,
    end_children_on_sigterm,
    environment,
    write_json,
    write_one_row,
)

from aether_load.rundata.folder import RunFolder

BAR_MB = 30
_SLOWEST_PER_S = 2_000
_STEPS = 10


def main() -> None:
    """Measure and print; with --json write the same."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, default=32)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    if arguments.users < 1 or arguments.requests < _STEPS * arguments.users:
        parser.error(f"--users must be 1 or more, --requests {_STEPS} times that or more")
    end_children_on_sigterm()
    server_core, core = cores()
    with tempfile.TemporaryDirectory(prefix="aether-load-") as name:
        folder = Path(name)
        body = write_one_row(folder)
        with null_server(folder, server_core) as server:
            setting = Setting(server.url, server.counts, body, folder, core, arguments.users, seconds=0)
            phase = f"users = {arguments.users}\nrequests = {arguments.requests}"
            figures = setting.measure(setting.ours(phase), 60 + arguments.requests / _SLOWEST_PER_S)
        sizes = _sizes(only_run(setting.results), arguments.requests, arguments.users)
        result = environment(server.name) | figures | {"requests_asked": arguments.requests, "sizes": sizes}
    grown = sizes[-1]["resident_mb"] - sizes[0]["resident_mb"]
    result |= {"grown_mb": round(grown, 1), "bar_mb": BAR_MB}
    _print(result)
    write_json(arguments.json, result)


def _sizes(run: RunFolder, requests: int, users: int) -> list[dict[str, Any]]:
    """Return the first reading at or after each tenth of the requests, with the requests answered by then.

    The last reading is taken when no work is left: a request of each user may be in flight then.
    """
    ended = np.sort(read_records(run).requests["ended_ns"])
    if len(ended) != requests:
        raise BenchmarkFailed(f"{len(ended)} records of {requests} requests")
    readings = sender_readings(run)
    answered = np.searchsorted(ended, [reading.at_ns for reading in readings], side="right")
    sizes: list[dict[str, Any]] = []
    for step in range(1, _STEPS + 1):
        wanted = min(requests * step // _STEPS, requests - users)
        place = int(np.searchsorted(answered, wanted))
        if place == len(readings):
            raise BenchmarkFailed(f"no reading of the sender after request {wanted}")
        sizes.append({"requests": int(answered[place]), "resident_mb": round(readings[place].resident_bytes / 1e6, 1)})
    return sizes


def _print(result: dict[str, Any]) -> None:
    print(f"server: {result['server']}; load average {result['load_average']}")
    print(f"{'requests':>10} {'resident MB':>12}")
    for size in result["sizes"]:
        print(f"{size['requests']:10d} {size['resident_mb']:12.1f}")
    rate = result["requests"] / result["elapsed_s"]
    print(f"{rate:.0f} requests/s, {result['failures']} failed, exit code {result['exit_code']}")
    print(f"grown by {result['grown_mb']:.1f} MB from a tenth of the requests to all of them; the bar is {BAR_MB} MB")


if __name__ == "__main__":
    try:
        main()
    except BenchmarkFailed as error:
        sys.exit(f"{Path(__file__).name}: {error}")
