"""Measure how well an open load keeps its times, and whether anything that was due is lost.

For each rate one Locust process of our users sends Poisson arrivals to a null server. The table shows requests due,
sent, dropped and lost (due by the seed's own schedule and in no record), the start delay of those for which a user was
free, and the sender's CPU. 127.0.0.1 only; about a minute.

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
from support.null_server import null_server
from support.process_watch import cpu_s_between
from support.runs import only_phase, only_run, read_records, sender_readings, window
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

from aether_load.protocol import Outcome
from aether_load.rundata.folder import RunFolder
from aether_load.schedule.arrivals import arrival_offsets

MAX_CONCURRENCY = 1000
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
    allow_descriptors(2 * MAX_CONCURRENCY + 500)
    server_core, _ = cores()
    rows = []
    with tempfile.TemporaryDirectory(prefix="aether-load-") as name:
        folder = Path(name)
        body = write_one_row(folder)
        with null_server(folder, server_core) as server:
            about = environment(server.name)
            print(f"server: {server.name}; load average {about['load_average']}")
            print(_line("rate/s", "due", "sent", "dropped", "lost", "p50 us", "p99 us", "max us", "late", "CPU %"))
            for _ in range(arguments.rounds):
                for rate in rates:
                    # On any core: pinned, the sender would share its one core with its observer.
                    setting = Setting(server.url, server.counts, body, folder, None, MAX_CONCURRENCY, arguments.seconds)
                    rows.append(_measure(setting, rate))
                    _print(rows[-1])
    write_json(arguments.json, about | {"rows": rows})
    if any(row["lost_total"] for row in rows):
        sys.exit(1)


def _measure(setting: Setting, rate: float) -> dict[str, Any]:
    """Drive one open load, and compare its records with the schedule that the seed draws."""
    phase = f'rate = {rate}\nmax_concurrency = {MAX_CONCURRENCY}\nduration = "{setting.seconds:g}s"'
    head = f"seed = {_SEED}\nmax_error_rate = 1"
    ended = setting.run(setting.ours(phase, locustfile=MAIN_JOB, head=head), setting.seconds + _SLACK_S)
    if ended.exit_code:
        print(f"the run at {rate:g}/s ended with exit code {ended.exit_code}: {ended.last_words}")
    return {"rate_rps": rate} | _figures(only_run(setting.results), rate, setting.seconds)


def _figures(run: RunFolder, rate: float, seconds: float) -> dict[str, Any]:
    phase = only_phase(run)
    began_ns, ended_ns = window(phase)
    records = read_records(run)
    end = seconds * 1e9
    offsets = takewhile(lambda offset: offset < end, arrival_offsets("poisson", rate, f"{_SEED} {phase.name} window"))
    schedule = set(offsets)
    sent = records.sent
    started, due = sent["sent_ns"], sent["due_ns"]
    # A user was free when fewer were in flight at the due time than there are.
    in_flight = np.searchsorted(np.sort(started), due) - np.searchsorted(np.sort(sent["ended_ns"]), due)
    delay_us = (started - due)[in_flight < MAX_CONCURRENCY] / 1000
    spent_s = cpu_s_between(sender_readings(run), began_ns, ended_ns)
    return {
        "due_total": len(schedule),
        "sent_total": len(sent),
        "dropped_total": len(records.requests) - len(sent),
        "ok_total": records.outcomes[Outcome.OK.label],
        "lost_total": len(schedule - set((records.requests["due_ns"] - began_ns).tolist())),
        "start_delay_p50_us": round(float(np.percentile(delay_us, 50)), 1),
        "start_delay_p99_us": round(float(np.percentile(delay_us, 99)), 1),
        "start_delay_max_us": round(float(delay_us.max()), 1),
        "without_free_user_total": int((in_flight >= MAX_CONCURRENCY).sum()),
        "sender_cpu_share": None if spent_s is None else spent_s * 1e9 / (ended_ns - began_ns),
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
