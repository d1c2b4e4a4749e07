"""Measure whether memory, open files and the run's files stay as they should over a long run of open load.

Our users send at a rate to a compiled server of fixed latency. Every ten seconds the resident memory and the open files
of the sender and of its observer are read, and the size of the run's folder. Printed is each one's slope, fitted by
least squares to what was read after the first two minutes, and how much a file grew for each request. Whether memory
is flat is for the reader to say: nothing is decided here. Half an hour; 127.0.0.1 only.

    python benchmarks/soak.py [--rate 2000] [--minutes 30] [--json FILE]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
from support.fixed_latency import LATENCY_MS, fixed_latency_server
from support.process_watch import observer_of
from support.runs import only_run, read_records
from support.setting import (
    MAIN_JOB,
    BenchmarkFailed,
    Setting,
    allow_descriptors,
    cores,
    end_children_on_sigterm,
    environment,
    write_json,
    write_one_row,
)

INTERVAL_S = 10.0
SETTLED_S = 120.0
_END_S = 300.0
_SPARE_USERS = 5


class Reading(NamedTuple):
    """What was seen at one instant, in seconds since the first reading."""

    at_s: float
    sender_mb: float
    sender_files: int
    observer_mb: float
    observer_files: int
    records_mb: float
    other_files_mb: float


class Watch:
    """Reads the sender, its observer and the run's folder, until it is closed."""

    def __init__(self, results: Path) -> None:
        """Begin to look for a sender among this process's children."""
        self.readings: list[Reading] = []
        self._results = results
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Watch no longer."""
        self._closed.set()
        self._thread.join()

    def _watch(self) -> None:
        began = time.monotonic()
        while not self._closed.wait(INTERVAL_S):
            try:
                if (sender := _sender()) is not None and (observer := observer_of(sender)) is not None:
                    self.readings.append(self._read(time.monotonic() - began, sender, observer))
            except (psutil.Error, OSError):
                continue

    def _read(self, at_s: float, sender: psutil.Process, observer: psutil.Process) -> Reading:
        records = others = 0
        for path in self._results.rglob("*"):
            if path.name == "records.bin":
                records += path.stat().st_size
            elif path.is_file():
                others += path.stat().st_size
        return Reading(
            round(at_s, 1),
            sender.memory_info().rss / 1e6,
            sender.num_fds(),
            observer.memory_info().rss / 1e6,
            observer.num_fds(),
            records / 1e6,
            others / 1e6,
        )


def main() -> None:
    """Measure and print; with --json write every reading too."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=2000)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    seconds = arguments.minutes * 60
    if arguments.rate < 1 or seconds < SETTLED_S + 6 * INTERVAL_S:
        parser.error(f"--rate must be above zero, --minutes at least {(SETTLED_S + 6 * INTERVAL_S) / 60:g}")
    users = round(arguments.rate * LATENCY_MS / 1000) * _SPARE_USERS + 20
    allow_descriptors(2 * users + 500)
    end_children_on_sigterm()
    with tempfile.TemporaryDirectory(prefix="aether-load-") as name:
        folder = Path(name)
        body = write_one_row(folder)
        with fixed_latency_server(folder, cores()[0]) as server:
            setting = Setting(server.url, server.counts, body, folder, None, users, seconds)
            phase = f'rate = {arguments.rate}\nmax_concurrency = {users}\nwarmup = "1s"\nduration = "{seconds:g}s"'
            watch = Watch(setting.results)
            try:
                ended = setting.run(setting.ours(phase, "--no-page", locustfile=MAIN_JOB), seconds + _END_S, INTERVAL_S)
            finally:
                watch.close()
            about = environment(server.name)
        if not setting.results.is_dir():
            raise BenchmarkFailed(f"exit code {ended.exit_code}\n{ended.last_words}")
        requests = len(read_records(only_run(setting.results)).sent)
    result = about | {"rate_rps": arguments.rate, "requests_total": requests, "exit_code": ended.exit_code}
    result |= {
        "slopes": _slopes(watch.readings, seconds),
        "readings": [reading._asdict() for reading in watch.readings],
    }
    _print(result)
    write_json(arguments.json, result)


def _sender() -> psutil.Process | None:
    for child in psutil.Process().children():
        if "locust" in child.cmdline():
            return child
    return None


def _slopes(readings: list[Reading], seconds: float) -> dict[str, Any]:
    """Return each quantity's first and last settled value, its slope an hour, and the range that it was seen in.

    The report, which the observer makes after the load, is left out.
    """
    began_s = readings[0].at_s if readings else 0.0
    until_s = began_s + seconds - 2 * INTERVAL_S
    settled = [reading for reading in readings if began_s + SETTLED_S <= reading.at_s <= until_s]
    if len(settled) < 2:
        raise BenchmarkFailed("the run was too short to be read after its first two minutes")
    hours = np.array([reading.at_s for reading in settled]) / 3600
    found = {}
    for name in Reading._fields[1:]:
        values = np.array([getattr(reading, name) for reading in settled], float)
        found[name] = {
            "first": round(float(values[0]), 2),
            "last": round(float(values[-1]), 2),
            "least": round(float(values.min()), 2),
            "most": round(float(values.max()), 2),
            "slope_per_hour": round(float(np.polyfit(hours, values, 1)[0]), 2),
        }
    return found


def _print(result: dict[str, Any]) -> None:
    print(f"{result['requests_total']:,} requests at {result['rate_rps']:,}/s, exit code {result['exit_code']}")
    print(f"{'after two minutes':18}{'first':>10}{'last':>10}{'least':>10}{'most':>10}{'slope an hour':>15}")
    for name, slope in result["slopes"].items():
        print(
            f"{name:18}{slope['first']:>10}{slope['last']:>10}{slope['least']:>10}{slope['most']:>10}"
            f"{slope['slope_per_hour']:>15}"
        )
    a_request = result["slopes"]["records_mb"]["slope_per_hour"] / result["rate_rps"] / 3600 * 1e6
    print(f"records grew by {a_request:.1f} bytes for each request that was due")


if __name__ == "__main__":
    try:
        main()
    except BenchmarkFailed as error:
        sys.exit(f"{Path(__file__).name}: {error}")
