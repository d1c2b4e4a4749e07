"""Measure what many processes carry together, and what their master takes: the figures of docs/scale.md.

First one process and two send to a null server. On two cores the server shares them with two senders, so that rates
say little and the senders' CPU time a request says what it costs. Then a real master takes records from synthetic
workers that send blocks only, at rates up to as many as it confirms: its CPU time a record, and its memory. 127.0.0.1
only; about two minutes.

    python benchmarks/distributed.py [--users 32] [--seconds 6] [--rounds 3] [--workers 2] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from support.null_server import null_server
from support.process_watch import cpu_s_between
from support.runs import only_phase, only_run, sender_readings, window
from support.setting import (
    HERE,
    MAIN_JOB,
    SLACK_S,
    BenchmarkFailed,
    Setting,
    allow_descriptors,
    cores,
    end_children_on_sigterm,
    environment,
    write_json,
    write_one_row,
)

from aether_load.analysis.phase.sender_usage import by_worker
from aether_load.rundata.folder import RunFolder
from aether_load.rundata.process_usage import MASTER, SenderReading

RATES = (20_000, 50_000, 100_000, 0)
"""Records a second that the synthetic workers send together; 0: as many as the master confirms."""
Row = dict[str, float | None]
_QUIET = ("--no-page", "--no-self-check")


def main() -> None:
    """Measure and print; with --json write the same."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2, help="synthetic ones")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    if min(arguments.users, arguments.rounds, arguments.workers) < 1 or arguments.seconds < 2:
        parser.error("--users, --rounds and --workers must be above zero, --seconds at least 2")
    end_children_on_sigterm()
    allow_descriptors(arguments.users + 500)
    with tempfile.TemporaryDirectory(prefix="aether-load-") as name:
        folder = Path(name)
        body = write_one_row(folder)
        with null_server(folder, cores()[0]) as server:
            about = environment(server.name)
            setting = Setting(server.url, server.counts, body, folder, None, arguments.users, arguments.seconds)
            rounds = [{str(count): _senders(setting, count) for count in (1, 2)} for _ in range(arguments.rounds)]
            taken = [_synthetic(setting, arguments.workers, rate) for rate in RATES]
    _print(about, rounds, taken)
    write_json(arguments.json, about | {"senders": rounds, "master": taken})


def _print(about: dict[str, Any], rounds: list[dict[str, Row]], taken: list[Row]) -> None:
    print(f"server: {about['server']}; load average {about['load_average']}")
    print(f"\nsenders, medians of {len(rounds)} rounds")
    print(f"{'processes':>10}{'requests/s':>12}{'CPU us/request':>16}{'master us/request':>19}{'master MB':>11}")
    for count in ("1", "2"):
        row = {key: _median(turn[count][key] for turn in rounds) for key in rounds[0][count]}
        print(
            f"{count:>10}{_cell(row['rate_rps'], 12)}{_cell(row['cpu_us'], 16, 1)}{_cell(row['master_us'], 19, 2)}"
            f"{_cell(row['master_mb'], 11)}"
        )
    ratio = _median(_ratio(turn["2"]["cpu_us"], turn["1"]["cpu_us"]) for turn in rounds)
    print(f"ratio of CPU us/request, 2 to 1, round by round: {_cell(ratio, 0, 3)}")
    print("\nrecords into a master, from synthetic workers")
    heads = {"asked/s": 10, "records/s": 12, "bytes/record": 14, "CPU s/100,000": 15, "CPU share": 11, "MB": 7}
    print("".join(f"{head:>{width}}" for head, width in heads.items()) + f"{'disk MB/s':>11}")
    for row in taken:
        asked = f"{row['asked_rps']:.0f}" if row["asked_rps"] else "all"
        print(
            f"{asked:>10}{_cell(row['records_rps'], 12)}{_cell(row['bytes_per_record'], 14)}"
            f"{_cell(row['cpu_s_per_100000'], 15, 4)}{_cell(row['cpu_share'], 11, 2)}{_cell(row['resident_mb'], 7)}"
            f"{_cell(row['disk_mb_per_s'], 11, 1)}"
        )
    print("-: the observer had no turn to read the process twice inside the window, or there is no master")


def _cell(value: float | None, width: int, digits: int = 0) -> str:
    return f"{'-' if value is None else f'{value:.{digits}f}':>{width}}"


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _ratio(value: float | None, to: float | None) -> float | None:
    return None if value is None or to is None else value / to


def _senders(setting: Setting, processes: int) -> Row:
    """Return rate, CPU time of a request, and the master's, of real senders in so many processes."""
    more = () if processes == 1 else ("--processes", str(processes), *_ports()[0])
    run = _run(setting, more, [])
    phase = only_phase(run)
    began_ns, ended_ns = window(phase)
    requests = _requests_in_window(run)
    readings = by_worker(sender_readings(run))
    of_master = readings.pop(MASTER, [])
    spent = [cpu_s_between(own, began_ns, ended_ns) for own in readings.values()]
    known = [cpu_s for cpu_s in spent if cpu_s is not None]
    master_s = cpu_s_between(of_master, began_ns, ended_ns)
    return {
        "rate_rps": requests / (ended_ns - began_ns) * 1e9,
        "cpu_us": sum(known) / requests * 1e6 if len(known) == processes else None,
        "master_us": None if master_s is None else master_s / requests * 1e6,
        "master_mb": _resident_mb(of_master),
    }


def _synthetic(setting: Setting, workers: int, rate_rps: int) -> Row:
    """Return what a master takes for records that come at a rate."""
    ports, port = _ports()
    command = [sys.executable, str(HERE / "senders" / "synthetic_worker.py"), str(port), str(rate_rps / workers)]
    # The rows never had a server behind them.
    setting = replace(setting, users=workers, server_counts=False)
    run = _run(setting, ("--master", *ports, "--expect-workers", str(workers)), [command] * workers)
    began_ns, ended_ns = window(only_phase(run))
    seconds = (ended_ns - began_ns) / 1e9
    of_master = by_worker(sender_readings(run)).get(MASTER, [])
    records = sum(worker.requests_total or 0 for worker in run.read_manifest().workers)
    cpu_s = cpu_s_between(of_master, began_ns, ended_ns)
    written = sum(path.stat().st_size for path in run.path.glob("records*.bin"))
    return {
        "asked_rps": rate_rps,
        "records_rps": records / seconds,
        "bytes_per_record": written / records,
        "cpu_s_per_100000": None if cpu_s is None else cpu_s / records * 100_000,
        "cpu_share": None if cpu_s is None else cpu_s / seconds,
        "resident_mb": _resident_mb(of_master),
        "disk_mb_per_s": written / 1e6 / seconds,
    }


def _run(setting: Setting, options: tuple[str, ...], workers: list[list[str]]) -> RunFolder:
    """Run the main job, and workers beside it, to its end; return the run's folder."""
    phase = f'users = {setting.users}\nduration = "{setting.seconds:g}s"'
    command = setting.ours(phase, *_QUIET, *options, locustfile=MAIN_JOB)
    with (setting.folder / "workers.txt").open("wb") as words:
        started = [
            subprocess.Popen(worker, env=setting.environment, stdin=subprocess.DEVNULL, stdout=words, stderr=words)
            for worker in workers
        ]
        try:
            ended = setting.run(command, setting.seconds + 2 * SLACK_S)
        finally:
            for process in started:
                if process.poll() is None:
                    process.kill()
                process.wait()
    if not setting.results.is_dir():
        of_workers = (setting.folder / "workers.txt").read_text(encoding="utf-8", errors="replace")
        raise BenchmarkFailed(f"exit code {ended.exit_code}: {ended.last_words}\n{of_workers[-3000:]}")
    return only_run(setting.results)


def _ports() -> tuple[tuple[str, ...], int]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    return ("--master-bind-port", str(port), "--master-port", str(port)), port


def _requests_in_window(run: RunFolder) -> int:
    row = json.loads(run.report.read_bytes())["phases"][0]["all"]
    if row["ok_total"] != row["requests_total"]:
        raise BenchmarkFailed(f"{row['requests_total'] - row['ok_total']} requests failed")
    return int(row["requests_total"])


def _resident_mb(readings: list[SenderReading]) -> float | None:
    return max((reading.resident_bytes for reading in readings), default=0) / 1e6 or None


if __name__ == "__main__":
    try:
        main()
    except BenchmarkFailed as error:
        sys.exit(f"{Path(__file__).name}: {error}")
