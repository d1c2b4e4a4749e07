"""What many processes carry together, and what their master takes: the figures that docs/scale.md reckons with.

First one process and two send to a null server (2 cores: the server shares them with two senders, so that rates say
little and the senders' CPU time a request says what it costs). Then a real master takes samples from synthetic workers
that send batches only, at rates up to as many as it confirms: its CPU time a sample, and its memory. 127.0.0.1 only;
about two minutes.

    python benchmarks/distributed.py [--users 32] [--seconds 6] [--rounds 3] [--workers 2] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from aether_load.rundata.lines import read_lines
from support.null_server import null_server
from support.setting import (
    HERE,
    SLACK_S,
    BenchmarkFailed,
    allow_descriptors,
    cores,
    end_children_on_sigterm,
    surroundings,
    write_json,
    write_one_row,
)

from aether_load.analysis.phase.sender_usage import MASTER, by_worker
from aether_load.rundata.folder import RunFolder
from aether_load.rundata.manifest import Manifest
from aether_load.rundata.process_usage import SenderReading

RATES = (20_000, 50_000, 100_000, 0)
"""Samples a second that the synthetic workers send together; 0: as many as the master confirms."""


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
        write_one_row(folder)
        with null_server(folder, cores()[0]) as server:
            about = surroundings(server.name)
            rounds = [
                {str(count): _senders(folder, server.url, server.counts, arguments, count) for count in (1, 2)}
                for _ in range(arguments.rounds)
            ]
            taken = [_synthetic(folder, server.url, arguments, rate) for rate in RATES]
    _print(about, rounds, taken)
    write_json(arguments.json, about | {"senders": rounds, "master": taken})


def _print(about: dict[str, Any], rounds: list[dict[str, dict[str, float]]], taken: list[dict[str, float]]) -> None:
    print(f"null server: {about['null_server']}; load average {about['load_average']}")
    print(f"\nsenders, medians of {len(rounds)} rounds")
    print(f"{'processes':>10}{'requests/s':>12}{'CPU us/request':>16}{'master us/request':>19}{'master MB':>11}")
    for count in ("1", "2"):
        row = [median(turn[count][key] for turn in rounds) for key in ("rate_rps", "cpu_us", "master_us", "master_mb")]
        print(f"{count:>10}{row[0]:12.0f}{row[1]:16.1f}{row[2]:19.2f}{row[3]:11.0f}")
    print(f"ratio of CPU us/request, 2 to 1, round by round: {median(_ratios(rounds)):.3f}")
    print("\nsamples into a master, from synthetic workers")
    heads = {"asked/s": 10, "samples/s": 12, "bytes/sample": 14, "CPU s/100,000": 15, "CPU share": 11, "MB": 7}
    print("".join(f"{head:>{width}}" for head, width in heads.items()) + f"{'disk MB/s':>11}")
    for row in taken:
        asked = f"{row['asked_rps']:.0f}" if row["asked_rps"] else "all"
        print(
            f"{asked:>10}{row['samples_rps']:12.0f}{row['bytes_per_sample']:14.0f}{row['cpu_s_per_100000']:15.4f}"
            f"{row['cpu_share']:11.2f}{row['resident_mb']:7.0f}{row['disk_mb_per_s']:11.1f}"
        )


def _ratios(rounds: list[dict[str, dict[str, float]]]) -> list[float]:
    return [turn["2"]["cpu_us"] / turn["1"]["cpu_us"] for turn in rounds]


def _senders(folder: Path, url: str, counts: bool, arguments: argparse.Namespace, processes: int) -> dict[str, float]:
    """Return rate, CPU time of a request, and the master's, of real senders in so many processes."""
    more = [] if processes == 1 else ["--processes", str(processes), *_ports()[0]]
    run = _locust(folder, url, counts, f"users = {arguments.users}", arguments.seconds, more, [])
    manifest, readings = run.read_manifest(), by_worker(read_lines(run.sender, SenderReading))
    requests, seconds = _in_window(run, manifest)
    spent = {worker: _cpu_s(manifest, own) for worker, own in readings.items()}
    master_s = spent.pop(MASTER, 0.0)
    if len(spent) != processes:
        raise BenchmarkFailed(f"{len(spent)} of {processes} processes were read")
    resident = [reading.resident_bytes for reading in readings.get(MASTER, [])]
    return {
        "rate_rps": requests / seconds,
        "cpu_us": sum(spent.values()) / requests * 1e6,
        "master_us": master_s / requests * 1e6,
        "master_mb": max(resident, default=0) / 1e6,
    }


def _synthetic(folder: Path, url: str, arguments: argparse.Namespace, rate_rps: int) -> dict[str, float]:
    """Return what a master takes for samples that come at a rate."""
    master_ports, port = _ports()
    more = ["--master", *master_ports, "--expect-workers", str(arguments.workers)]
    worker = [sys.executable, str(HERE / "senders" / "synthetic_worker.py"), str(port)]
    each = {"COST_ROWS_RPS": str(rate_rps / arguments.workers)}
    run = _locust(
        folder,
        url,
        False,
        f"users = {arguments.workers}",
        arguments.seconds,
        more,
        [(worker, each)] * arguments.workers,
    )
    manifest = run.read_manifest()
    readings = by_worker(read_lines(run.sender, SenderReading))[MASTER]
    samples = sum(worker.requests_total or 0 for worker in manifest.workers)
    cpu_s = _cpu_s(manifest, readings)
    _, seconds = _window(manifest)
    written = run.samples.stat().st_size if run.samples.exists() else 0
    written += sum(path.stat().st_size for path in run.path.glob("samples-*.arrow"))
    return {
        "asked_rps": rate_rps,
        "samples_rps": samples / seconds,
        "bytes_per_sample": written / samples,
        "cpu_s_per_100000": cpu_s / samples * 100_000,
        "cpu_share": cpu_s / seconds,
        "resident_mb": max(reading.resident_bytes for reading in readings) / 1e6,
        "disk_mb_per_s": written / 1e6 / seconds,
    }


def _locust(
    folder: Path, url: str, counts: bool, load: str, seconds: float, more: list[str],
    workers: list[tuple[list[str], dict[str, str]]],
) -> RunFolder:  # fmt: skip
    """Run Locust, and workers beside it, to its end; return the run's folder."""
    scenario = folder / "null.toml"
    scenario.write_text(
        f'[workload]\ndatasets = ["hellaswag"]\nsource = "folder"\ndataset_dir = "."\n'
        f'[target]\nserver_metrics = {str(counts).lower()}\n[[phases]]\nname = "closed"\n{load}\n'
        f'duration = "{seconds:g}s"\n',
        encoding="utf-8",
    )
    results = Path(tempfile.mkdtemp(dir=folder))
    command = [
        sys.executable, "-m", "locust", "-f", str(HERE.parent / "locustfiles" / "eval.py"), "--headless",
        "--host", url, "--scenario", str(scenario), "--results-dir", str(results), "--no-page", "--no-self-check",
        "--loglevel", "WARNING", *more,
    ]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent)])}
    said = folder / "said.txt"
    with said.open("wb") as words:
        started = [
            subprocess.Popen(program, env=environment | own, stdin=subprocess.DEVNULL, stdout=words, stderr=words)
            for program, own in [(command, {}), *workers]
        ]
        try:
            started[0].wait(seconds + 2 * SLACK_S)
        except subprocess.TimeoutExpired:
            raise BenchmarkFailed(f"not done: {said.read_text(encoding='utf-8', errors='replace')[-3000:]}") from None
        finally:
            for process in started:
                if process.poll() is None:
                    process.kill()
                process.wait()
    found = list((results / "runs").glob("*"))
    if len(found) != 1:
        raise BenchmarkFailed(said.read_text(encoding="utf-8", errors="replace")[-3000:])
    return RunFolder(found[0])


def _ports() -> tuple[list[str], int]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    return ["--master-bind-port", str(port), "--master-port", str(port)], port


def _window(manifest: Manifest) -> tuple[int, float]:
    phase = manifest.phases[0]
    if phase.window_began_ns is None or phase.window_ended_ns is None:
        raise BenchmarkFailed("the window never opened, or never shut")
    return phase.window_began_ns, (phase.window_ended_ns - phase.window_began_ns) / 1e9


def _in_window(run: RunFolder, manifest: Manifest) -> tuple[int, float]:
    report = json.loads(run.report.read_bytes())
    row = report["phases"][0]["all"]
    if row["ok_total"] != row["requests_total"]:
        raise BenchmarkFailed(f"{row['requests_total'] - row['ok_total']} requests failed")
    return row["requests_total"], _window(manifest)[1]


def _cpu_s(manifest: Manifest, readings: list[SenderReading]) -> float:
    """Return what a process took in the window, from its readings there, brought to the window's length."""
    began_ns, seconds = _window(manifest)
    inside = [reading for reading in readings if began_ns - 5e7 <= reading.at_ns <= began_ns + seconds * 1e9 + 5e7]
    if len(inside) < 2:
        raise BenchmarkFailed("a process was not read twice inside the window")
    covered = (inside[-1].at_ns - inside[0].at_ns) / 1e9
    return (inside[-1].cpu_s - inside[0].cpu_s) * seconds / covered


if __name__ == "__main__":
    try:
        main()
    except BenchmarkFailed as error:
        sys.exit(f"{Path(__file__).name}: {error}")
