"""Measure what the sender's own pauses do to its latencies: writing records, and the garbage collector.

An open load of constant arrivals goes to a null server, in turn as it is, without writing while it sends, without
freezing what exists before the load, and without the collector. Printed are percentiles of service latency and start
delay, medians over the rounds. 127.0.0.1 only; about two minutes.

    python benchmarks/pauses.py [--rate 2000] [--seconds 6] [--rounds 3] [--json FILE]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from statistics import median

import numpy as np
from support.null_server import null_server
from support.runs import only_phase, only_run, read_records, window
from support.setting import (
    HERE,
    BenchmarkFailed,
    Setting,
    allow_descriptors,
    cores,
    end_children_on_sigterm,
    environment,
    write_json,
    write_one_row,
)

from aether_load.rundata.folder import RunFolder

USERS = 100
VARIANTS = ("", "writing", "freeze", "collector")
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
            about = environment(server.name)
            setting = Setting(server.url, server.counts, body, folder, core, USERS, arguments.seconds)
            for _ in range(arguments.rounds):
                for variant in VARIANTS:
                    rows[variant].append(_measure(setting, variant, arguments.rate))
    print(f"server: {about['server']}; {arguments.rate:g}/s; load average {about['load_average']}")
    print("medians of", arguments.rounds, "rounds, us")
    keys = list(rows[""][0])
    print(f"{'':>20}" + "".join(f"{key:>16}" for key in keys))
    for variant in VARIANTS:
        middle = {key: median(row[key] for row in rows[variant]) for key in keys}
        title = f"without {variant}" if variant else "as it is"
        print(f"{title:>20}" + "".join(f"{middle[key]:16.0f}" for key in keys))
    write_json(arguments.json, about | {"rate_rps": arguments.rate, "rows": rows})


def _measure(setting: Setting, variant: str, rate: float) -> dict[str, float]:
    phase = f'rate = {rate}\narrivals = "constant"\nmax_concurrency = {USERS}\nwarmup = "1s"'
    phase += f'\nduration = "{setting.seconds:g}s"'
    os.environ["COST_WITHOUT"] = variant
    command = setting.ours(
        phase, "--no-self-check", locustfile=HERE / "locustfiles" / "pauses_of_ours.py", head="max_error_rate = 1"
    )
    ended = setting.run(command, setting.seconds + _SLACK_S)
    if ended.exit_code:
        raise BenchmarkFailed(f"exit code {ended.exit_code}: {ended.last_words}")
    return _points(only_run(setting.results))


def _points(run: RunFolder) -> dict[str, float]:
    began_ns, _ = window(only_phase(run))
    # Requests that were never sent, at the end of a window that was late, have no latency.
    sent = read_records(run).sent
    sent = sent[sent["due_ns"] >= began_ns]
    service_us, delay_us = (sent["ended_ns"] - sent["sent_ns"]) / 1000, (sent["sent_ns"] - sent["due_ns"]) / 1000
    figures: dict[str, float] = {}
    for name, values in (("service", service_us), ("delay", delay_us)):
        for point in _POINTS:
            figures[f"{name} {'max' if point == 100 else f'p{point:g}'}"] = float(np.percentile(values, point))
    return figures


if __name__ == "__main__":
    try:
        main()
    except BenchmarkFailed as error:
        sys.exit(f"{Path(__file__).name}: {error}")
