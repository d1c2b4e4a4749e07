"""Measure whether the harness tells the truth: its samples beside the simulated runtime's record of the same requests.

The main job runs headless against a simulated runtime that keeps a record; samples and entries are joined by execution
id. Both sides read CLOCK_MONOTONIC of one machine, so that for each request must hold, to the nanosecond:

    sent_ns  <=  arrival_ns  <=  end_ns  <=  ended_ns
    (samples)    (record)        (record)     (samples)

The server's own time is end_ns - arrival_ns: from the first byte that it read to just before it gave the last one to
the kernel. The rest of our service latency is "added": the kernel's way there and back, the turn of the server's event
loop until it reads, and the client's error. It is an upper bound of that error, must be positive for each request, and
has a bar: p99 below 2 ms at half load, which is when the busier of the two uses half of its core (the simulator is
Python with a record to keep, and fills its core long before the client does). It is the sum of "there", up to the
server's read and so mostly the server's own queue, and "back", from the server's last write to our clock, which holds
the client's own delay. Server and client have a core each where the machine has two. The columns of waiting show what
neighbours on a shared machine take: the share of the time in which server or client could have run and had no core
(Linux). A load that had to wait is not judged by the bar.

The server's latencies are drawn, because closed users of a constant one come back in step and queue behind each other.
Times are of requests sent after a second of warm-up, because all users begin at once; every count, value and order is
of all requests. Every prompt has a mark of its own, so that none is answered from the cache.

Then the same with a stall of 1 s in the middle of a closed run. In theory each user waits in it exactly once, and no
request takes longer than the stall and a normal latency together. A closed user sends nothing meanwhile, so that this
does not show what users who come by themselves would have waited; an open load does (docs/loads.md).

The exit code is 1 when a count, a value or an order is wrong, never for a time. 127.0.0.1 only; about a minute and a
half.

    python benchmarks/accuracy.py [--users 8,64,128,200] [--seconds 10] [--latency uniform:30ms,90ms] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from support.accuracy_table import print_table
from support.core_waiting import waited_ns
from support.record_match import Matched, match
from support.runs import only_phase, only_run, window
from support.setting import (
    MAIN_JOB,
    SLACK_S,
    BenchmarkFailed,
    cores,
    end_children_on_sigterm,
    environment,
    pinned,
    python_environment,
    write_json,
)
from support.simulated_runtime import Runtime, simulated_runtime

from aether_load.analysis.statistics.distribution import distribution
from aether_load.rundata.folder import RunFolder

_PROMPTS = 1_500
_PROMPT = (
    "Tug of war: Two teams dig their heels into the mud and lean back on a thick rope. The ribbon in the middle "
    "creeps slowly to the left. The team on the right shouts, counts to three and pulls as one. "
) * 5
_READING_S = 1.0  # each reading costs one of the cores a moment
_WARMUP_S = 1.0
_STALL_S = 1.0
_STALL_USERS = 64
_STALL_LATENCY_MS = 60.0


@dataclass(frozen=True)
class Reading:
    """CPU time that the server has used so far, and how long server and client have waited for a core so far."""

    at_ns: int
    server_cpu_s: float
    server_waited_ns: int | None
    client_waited_ns: int | None


def main() -> None:
    """Measure and print; with --json write the same."""
    arguments = _arguments()
    end_children_on_sigterm()
    server_core, core = cores()
    with tempfile.TemporaryDirectory(prefix="aether-load-") as name:
        folder = Path(name)
        _write_prompts(folder)
        about = environment(f"simulated runtime, latency {arguments.latency}")
        about["one_core"] = server_core == core
        loads = []
        for users in arguments.users:
            own = folder / f"{users}-users"
            with simulated_runtime(own, server_core, "--latency", arguments.latency) as runtime:
                loads.append(_load(runtime, own, core, users, arguments.seconds))
        own = folder / "stall"
        options = ("--latency", f"constant:{_STALL_LATENCY_MS:g}ms")
        with simulated_runtime(own, server_core, *options) as runtime:
            stall = _stalled(runtime, own, core, arguments.seconds)
    about["load_average_after"] = [round(load, 2) for load in os.getloadavg()]
    wrong = sorted({name for row in (*loads, stall) for name in row["wrong"]})
    print_table(about, loads, stall, wrong)
    write_json(arguments.json, about | {"loads": loads, "stall": stall, "wrong": wrong})
    if wrong:
        sys.exit(1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--users",
        type=lambda text: [int(part) for part in text.split(",")],
        default=[8, 64, 128, 200],
        metavar="N,N",
    )
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--latency", default="uniform:30ms,90ms", help="the simulator's, for the loads without a stall")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    if min(arguments.users) < 1 or arguments.seconds < 3 * _STALL_S:
        parser.error(f"--users must be above zero, --seconds {3 * _STALL_S:g} or more")
    return arguments


def _write_prompts(folder: Path) -> None:
    rows = [
        {"question": f"{number}. {_PROMPT}", "options": ["left", "right"], "answer": 0} for number in range(_PROMPTS)
    ]
    lines = [json.dumps(row) + "\n" for row in rows]
    (folder / "prompts.jsonl").write_text("".join(lines), encoding="utf-8")


@contextmanager
def _main_job(runtime: Runtime, folder: Path, core: int, users: int, seconds: float) -> Iterator[list[Reading]]:
    """Run the main job while the caller's block runs, and wait for its end.

    The list that is yielded holds readings of both processes afterwards.
    """
    scenario = folder / "accuracy.toml"
    scenario.write_text(
        f"""
[workload]
datasets = ["accuracy"]

[workload.files.accuracy]
path = "../prompts.jsonl"
text = "question"
options = "options"
answer = "answer"

[[phases]]
name = "closed"
users = {users}
warmup = "{_WARMUP_S:g}s"
unique_prompts = true
duration = "{seconds:g}s"
""",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "locust", "-f", str(MAIN_JOB), "--headless", "--loglevel", "WARNING"]
    command += ["--only-summary", "--host", runtime.url, "--scenario", str(scenario)]
    command += ["--results-dir", str(folder / "results")]
    said = folder / "said.txt"
    with said.open("wb") as words, pinned(core):
        process = subprocess.Popen(
            command, env=python_environment(), stdin=subprocess.DEVNULL, stdout=words, stderr=subprocess.STDOUT
        )
    readings: list[Reading] = []
    deadline = time.monotonic() + _WARMUP_S + seconds + SLACK_S
    try:
        yield readings
        while (code := process.poll()) is None:
            if time.monotonic() > deadline:
                raise BenchmarkFailed(f"not done {SLACK_S:g} s after its time: {' '.join(command)}")
            readings.append(
                Reading(time.monotonic_ns(), runtime.cpu_s(), waited_ns(runtime.process.pid), waited_ns(process.pid))
            )
            time.sleep(_READING_S)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if code:
        words_said = said.read_text(encoding="utf-8", errors="replace").strip()
        raise BenchmarkFailed(f"exit code {code}: {' '.join(command)}\n{words_said[-4000:]}")


def _load(runtime: Runtime, folder: Path, core: int, users: int, seconds: float) -> dict[str, Any]:
    """Run one load and return what it shows."""
    with _main_job(runtime, folder, core, users, seconds) as readings:
        pass
    return _figures(only_run(folder / "results"), match(only_run(folder / "results"), runtime.record), users, readings)


def _stalled(runtime: Runtime, folder: Path, core: int, seconds: float) -> dict[str, Any]:
    """Run a closed load with a stall in its middle, and return what both sides saw of it."""
    users = _STALL_USERS
    with _main_job(runtime, folder, core, users, seconds) as readings:
        deadline = time.monotonic() + SLACK_S
        while runtime.summary()["requests"] <= users:
            if time.monotonic() > deadline:
                raise BenchmarkFailed(f"no load within {SLACK_S:g} s")
            time.sleep(0.02)
        after_s = _WARMUP_S + (seconds - _STALL_S) / 2
        runtime.order({"kind": "stall", "for": f"{_STALL_S:g}s", "after": f"{after_s:.3f}s"})
    run = only_run(folder / "results")
    matched = match(run, runtime.record)
    # No answer ends during the stall: it is the longest time between two ends.
    ends = np.sort(matched.end)
    longest = int(np.argmax(np.diff(ends)))
    last, first = int(ends[longest]), int(ends[longest + 1])
    middle = (last + first) // 2
    caught = (matched.sent < middle) & (matched.ended > middle)
    caught_there = (matched.arrival < middle) & (matched.end > middle)
    slowest = int(np.argmax(matched.took_ms))
    ordinary = matched.took_ms[~caught]
    figures = _figures(run, matched, users, readings)
    if int(caught.sum()) != users or not np.array_equal(caught, caught_there):
        figures["wrong"].append("caught_by_the_stall")
    if first - last < _STALL_S * 1e9:
        figures["wrong"].append("stall_too_short")
    return figures | {
        "stall_s": _STALL_S,
        "latency_ms": _STALL_LATENCY_MS,
        "nothing_ended_for_ms": round((first - last) / 1e6, 3),
        "caught": int(caught.sum()),
        "caught_there": int(caught_there.sum()),
        "slower_than_half_the_stall": int((matched.took_ms > _STALL_S * 500).sum()),
        "caught_min_ms": round(float(matched.took_ms[caught].min()), 3),
        "max_ms": round(float(matched.took_ms[slowest]), 3),
        "max_there_ms": round(float(matched.took_there_ms[slowest]), 3),
        "ordinary_p50_ms": round(float(np.median(ordinary)), 3),
        "caught_share": round(float(caught.mean()), 5),
    }


def _shares(run: RunFolder, readings: list[Reading]) -> dict[str, float | None]:
    """Return the shares of the phase's window in which the server ran, and in which each side waited for a core."""
    began_ns, ended_ns = window(only_phase(run))
    inside = [reading for reading in readings if began_ns <= reading.at_ns <= ended_ns]
    if len(inside) < 2:
        return dict.fromkeys(("server_cpu_share", "server_waited_share", "client_waited_share"))
    first, last = inside[0], inside[-1]
    elapsed_ns = last.at_ns - first.at_ns

    def waited(early: int | None, late: int | None) -> float | None:
        return None if early is None or late is None else round((late - early) / elapsed_ns, 4)

    return {
        "server_cpu_share": round((last.server_cpu_s - first.server_cpu_s) * 1e9 / elapsed_ns, 4),
        "server_waited_share": waited(first.server_waited_ns, last.server_waited_ns),
        "client_waited_share": waited(first.client_waited_ns, last.client_waited_ns),
    }


def _figures(run: RunFolder, matched: Matched, users: int, readings: list[Reading]) -> dict[str, Any]:
    report = json.loads(run.report.read_text(encoding="utf-8"))
    (phase,) = report["phases"]
    if not len(matched.sent):
        raise BenchmarkFailed("no sample has an entry in the record")
    began_ns, _ = window(only_phase(run))
    warm = matched.sent >= began_ns
    added = distribution((matched.took_ms - matched.took_there_ms)[warm])
    assert added is not None
    sender = phase["sender"]
    return {
        "users": users,
        "requests_per_s": round(phase["all"]["requests_total"] / phase["window_s"], 1),
        "client_cpu_share_mean": sender and sender["cpu_share_mean"],
        "client_cpu_share_max": sender and sender["cpu_share_max"],
        **_shares(run, readings),
        "trust": phase["reconciliation"]["trust"],
        "counts": matched.counts,
        "added_ms": {
            "min": added.min,
            "p50": added.p50.value,
            "p99": added.p99.value,
            "p99_low": added.p99.low,
            "p99_high": added.p99.high,
            "max": added.max,
        },
        "there_p99_ms": round(float(np.percentile((matched.arrival - matched.sent)[warm], 99)) / 1e6, 3),
        "back_p99_ms": round(float(np.percentile((matched.ended - matched.end)[warm], 99)) / 1e6, 3),
        "wrong": matched.wrong,
    }


if __name__ == "__main__":
    try:
        main()
    except BenchmarkFailed as error:
        sys.exit(f"{Path(__file__).name}: {error}")
