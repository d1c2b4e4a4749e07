"""What the sender's own pauses do to its latencies: the flush of samples, and the garbage collector.

An open load of constant arrivals goes to a null server, in turn as it is, without flushing while it sends, without
freezing what stands before the load, and without the collector at all. Printed are percentiles of service latency and
start delay, medians over the rounds. 127.0.0.1 only; about two minutes.

    python benchmarks/pauses.py [--rate 2000] [--seconds 6] [--rounds 3] [--json FILE]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import numpy as np
from aether_load.rundata.sample_reader import read_samples
from support.null_server import NullServer, null_server
from support.setting import (
    HERE,
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

from aether_load.rundata.folder import RunFolder

USERS = 100
VARIANTS = ("", "flush", "freeze", "collector")
_POINTS = (50, 99, 99.9, 100)
_SLACK_S = 120.0


def main() -> None:
    """Measure and print; with --json write the same."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=2000)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    if arguments.rate <= 0 or arguments.seconds <= 0 or arguments.rounds < 1:
        parser.error("--rate, --seconds and --rounds must be above zero")
    end_children_on_sigterm()
    allow_descriptors(USERS + 500)
    server_core, core = cores()
    rows: dict[str, list[dict[str, float]]] = {variant: [] for variant in VARIANTS}
    with tempfile.TemporaryDirectory(prefix="aether-load-") as name:
        folder = Path(name)
        body = write_one_row(folder)
        with null_server(folder, server_core) as server:
            about = surroundings(server.name)
            for _ in range(arguments.rounds):
                for variant in VARIANTS:
                    setting = Setting(server.url, server.counts, body, folder, core, USERS, arguments.seconds)
                    rows[variant].append(_measure(setting, server, variant, arguments.rate))
    print(f"null server: {about['null_server']}; {arguments.rate:g}/s; load average {about['load_average']}")
    print("medians of", arguments.rounds, "rounds, us")
    keys = list(rows[""][0])
    print(f"{'':>20}" + "".join(f"{key:>16}" for key in keys))
    for variant in VARIANTS:
        middle = {key: median(row[key] for row in rows[variant]) for key in keys}
        title = f"without {variant}" if variant else "as it is"
        print(f"{title:>20}" + "".join(f"{middle[key]:16.0f}" for key in keys))
    write_json(arguments.json, about | {"rate_rps": arguments.rate, "rows": rows})


def _measure(setting: Setting, server: NullServer, variant: str, rate: float) -> dict[str, float]:
    scenario = setting.folder / "pauses.toml"
    scenario.write_text(
        f"""
max_error_rate = 1
[workload]
datasets = ["hellaswag"]
source = "folder"
dataset_dir = "."
[target]
server_metrics = {str(server.counts).lower()}
[[phases]]
name = "open"
rate = {rate}
arrivals = "constant"
max_concurrency = {USERS}
warmup = "1s"
duration = "{setting.seconds:g}s"
""",
        encoding="utf-8",
    )
    results = Path(tempfile.mkdtemp(dir=setting.folder))
    os.environ["COST_WITHOUT"] = variant
    options = ("--scenario", str(scenario), "--results-dir", str(results), "--no-self-check")
    command = [sys.executable, "-m", "locust", "-f", str(HERE / "locustfiles" / "pauses_of_ours.py"), "--headless"]
    command += ["--host", setting.url, "--loglevel", "WARNING", "--only-summary", *options]
    _run(setting, command)
    (path,) = (results / "runs").iterdir()
    return _points(RunFolder(path))


def _run(setting: Setting, command: list[str]) -> None:
    """Run a sender whose figures are in its own run's folder."""
    with pinned(setting.core):
        done = subprocess.run(
            command,
            env=setting.environment,
            capture_output=True,
            text=True,
            timeout=setting.seconds + _SLACK_S,
            check=False,
        )
    if done.returncode:
        raise BenchmarkFailed(f"exit code {done.returncode}: {done.stderr[-3000:]}")


def _points(run: RunFolder) -> dict[str, float]:
    (phase,) = run.read_manifest().phases
    table, _ = read_samples(run.samples)
    due = table["intended_start_ns"].to_numpy()
    # What was never sent, at the very end of a window that was late, has no latency.
    window = (due >= (phase.window_began_ns or 0)) & ~np.isnan(table["sent_ns"].to_numpy().astype(float))
    sent, ended = table["sent_ns"].to_numpy()[window], table["ended_ns"].to_numpy()[window]
    figures: dict[str, float] = {}
    for name, values in (("service", (ended - sent) / 1000), ("delay", (sent - due[window]) / 1000)):
        for point in _POINTS:
            figures[f"{name} {'max' if point == 100 else f'p{point:g}'}"] = float(np.percentile(values, point))
    return figures


if __name__ == "__main__":
    try:
        main()
    except BenchmarkFailed as error:
        sys.exit(f"{Path(__file__).name}: {error}")
