"""How well an open load keeps its times: start delay while a user is free, and whether anything due is lost.

For each rate one Locust process of our users sends Poisson arrivals to a null server. Printed are requests due, sent,
dropped and lost (due by the seed's own schedule and in no sample), the start delay of those for whom a user was free,
the achieved rate, and the sender's CPU. 127.0.0.1 only; about a minute.

    python benchmarks/open_load.py [--rates 1000,15000] [--seconds 10] [--rounds 3] [--json FILE]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
from aether_load.rundata.lines import read_lines
from aether_load.rundata.sample_reader import read_samples
from support.null_server import NullServer, null_server
from support.setting import (
    BenchmarkFailed,
    Setting,
    allow_descriptors,
    cores,
    end_children_on_sigterm,
    surroundings,
    write_json,
    write_one_row,
)

from aether_load.analysis.phase.sender_usage import sender_over
from aether_load.rundata.folder import RunFolder
from aether_load.rundata.process_usage import SenderReading
from aether_load.schedule.arrivals import arrival_offsets

MAX_IN_FLIGHT = 1000
_SEED = 42
_SLACK_S = 120.0


def main() -> None:
    """Measure and print; with --json write the same."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", default="1000,15000", help="requests a second, with commas between")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    rates = [float(rate) for rate in arguments.rates.split(",")]
    if min(rates) <= 0 or arguments.seconds <= 0 or arguments.rounds < 1:
        parser.error("--rates, --seconds and --rounds must be above zero")
    end_children_on_sigterm()
    allow_descriptors(2 * MAX_IN_FLIGHT + 500)
    server_core, core = cores()
    rows = []
    with tempfile.TemporaryDirectory(prefix="aether-load-") as name:
        folder = Path(name)
        body = write_one_row(folder)
        with null_server(folder, server_core) as server:
            about = surroundings(server.name)
            print(f"null server: {server.name}; load average {about['load_average']}")
            print(_line("rate/s", "due", "sent", "dropped", "lost", "p50 us", "p99 us", "max us", "late", "CPU %"))
            for _ in range(arguments.rounds):
                for rate in rates:
                    setting = Setting(server.url, server.counts, body, folder, core, MAX_IN_FLIGHT, arguments.seconds)
                    rows.append(_measure(setting, server, rate, arguments.seconds))
                    _print(rows[-1])
    write_json(arguments.json, about | {"rows": rows})
    if any(row["lost_total"] for row in rows):
        sys.exit(1)


def _measure(setting: Setting, server: NullServer, rate: float, seconds: float) -> dict[str, Any]:
    """Drive one open load and hold its samples against the schedule that the seed draws."""
    scenario = setting.folder / "open.toml"
    scenario.write_text(
        f"""
seed = {_SEED}
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
max_concurrency = {MAX_IN_FLIGHT}
duration = "{seconds:g}s"
""",
        encoding="utf-8",
    )
    results = Path(tempfile.mkdtemp(dir=setting.folder))
    command = setting.locust("cost_of_ours.py", "--scenario", str(scenario), "--results-dir", str(results))
    # Locust's own number of users does not go with an open load.
    place = command.index("-u")
    del command[place : place + 2]
    setting.run(command, seconds + _SLACK_S)
    (path,) = (results / "runs").iterdir()
    return {"rate_rps": rate} | _told_by(RunFolder(path), rate, seconds)


def _told_by(run: RunFolder, rate: float, seconds: float) -> dict[str, Any]:
    (phase,) = run.read_manifest().phases
    table, _ = read_samples(run.samples)
    assert phase.window_began_ns is not None
    assert phase.window_ended_ns is not None
    due = np.sort(table["intended_start_ns"].to_numpy())
    end = seconds * 1e9
    schedule = np.array(
        list(takewhile(lambda offset: offset < end, arrival_offsets("poisson", rate, f"{_SEED} open window")))
    )
    sent_ns = table["sent_ns"].to_numpy(zero_copy_only=False)
    sent = ~np.isnan(sent_ns.astype(float))
    started = sent_ns[sent].astype(np.int64)
    ended = np.sort(table["ended_ns"].to_numpy(zero_copy_only=False)[sent].astype(np.int64))
    due_of_sent = table["intended_start_ns"].to_numpy()[sent]
    # A user was free when fewer were in flight at the due time than there are.
    in_flight = np.searchsorted(np.sort(started), due_of_sent) - np.searchsorted(ended, due_of_sent)
    delay_us = (started - due_of_sent)[in_flight < MAX_IN_FLIGHT] / 1000
    cpu = sender_over(read_lines(run.sender, SenderReading), phase.window_began_ns, phase.window_ended_ns)
    ok = int(np.count_nonzero(np.array(table["outcome"].to_pylist()) == "ok"))
    return {
        "due_total": len(schedule),
        "sent_total": int(sent.sum()),
        "dropped_total": int((~sent).sum()),
        "ok_total": ok,
        "lost_total": len(set(schedule.tolist()) - set((due - phase.window_began_ns).tolist())),
        "start_delay_p50_us": round(float(np.percentile(delay_us, 50)), 1),
        "start_delay_p99_us": round(float(np.percentile(delay_us, 99)), 1),
        "start_delay_max_us": round(float(delay_us.max()), 1),
        "without_free_user_total": int((in_flight >= MAX_IN_FLIGHT).sum()),
        "sender_cpu_share": None if cpu is None else cpu.cpu_share_mean,
    }


def _print(row: dict[str, Any]) -> None:
    cpu = row["sender_cpu_share"]
    print(
        _line(
            f"{row['rate_rps']:g}",
            row["due_total"],
            row["sent_total"],
            row["dropped_total"],
            row["lost_total"],
            row["start_delay_p50_us"],
            row["start_delay_p99_us"],
            row["start_delay_max_us"],
            row["without_free_user_total"],
            "-" if cpu is None else f"{cpu * 100:.0f}",
        ),
        flush=True,
    )


def _line(*cells: object) -> str:
    return "".join(f"{cell!s:>10}" for cell in cells)


if __name__ == "__main__":
    try:
        main()
    except BenchmarkFailed as error:
        sys.exit(f"{Path(__file__).name}: {error}")
