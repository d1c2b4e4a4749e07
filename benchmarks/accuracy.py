"""Whether the harness tells the truth: its samples against the simulated runtime's own record, request by request.

The main job's locustfile runs headless against a simulated runtime that keeps a record; the two are joined by
execution id. Both read CLOCK_MONOTONIC of one machine, so that for each request must hold, to the nanosecond:

    sent_ns  <=  arrival_ns  <=  end_ns  <=  ended_ns
    (samples)    (record)        (record)     (samples)

The server's own time is the record's end_ns - arrival_ns, from the first byte that it read to just before it handed
the last one to the kernel. What our service latency is above that is called "added": the kernel's way there and
back, the turn that the server's event loop takes until it reads, and the error of the client. It is an upper bound
of that error, must be positive for each request, and has a bar: p99 below 2 ms at half load, which is when the busier
of the two uses half of its core (the simulator, being Python with a record to keep, fills its own long before the
client does). It is the sum of "there", up to the server's read and so mostly the server's own queue, and "back", from
the server's last write to our clock, in which the client's own delay stands. Server and client have a core each where
the machine has two. What neighbours on a shared machine take shows in the columns of waiting: the share of the time
in which server or client could have run and had no core (Linux); a load that had to wait is not held to the bar.

The server's latencies are drawn, because closed users of a constant one come back in step and queue behind each
other, and times are of what was sent after a second of warm-up, because all users begin at once; every count, value
and order is of all requests. Every prompt bears a mark of its own, so that none is answered from the cache.

Then the same with a stall of 1 s in the middle of a closed run. Theory: each user waits in it exactly once, and no
request takes longer than the stall and a normal latency together. A closed user sends nothing meanwhile: what users
who come by themselves would have waited is not shown here; an open load shows it (docs/loads.md).

Exit code 1 when a count, a value or an order is wrong, never for a time. 127.0.0.1 only; about a minute and a half.

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
import urllib.request
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from aether_load.rundata.sample_reader import read_samples
from numpy.typing import NDArray
from support.setting import (
    HERE,
    SLACK_S,
    BenchmarkFailed,
    cores,
    end_children_on_sigterm,
    only_run,
    pinned,
    surroundings,
    write_json,
)

from aether_load.analysis.statistics.distribution import distribution
from aether_load.rundata.folder import RunFolder

BAR_MS = 2.0
HALF_LOAD = (0.4, 0.6)
"""CPU shares of the busier one that count as half."""
_LOCUSTFILE = HERE.parent / "locustfiles" / "eval.py"
_PROMPTS = 1_500
_PROMPT = (
    "Tug of war: Two teams dig their heels into the mud and lean back on a thick rope. The ribbon in the middle "
    "creeps slowly to the left. The team on the right shouts, counts to three and pulls as one. "
) * 5
_MOST_WAITED = 0.03
_READING_S = 1.0  # each reading costs one of the two cores a moment
_WARMUP_S = 1.0
_STALL_S = 1.0
_STALL_USERS = 64
_STALL_LATENCY_MS = 60.0
_STALL_STEP_MS = 20.0  # how much later than its end the simulator's pauses may notice that a stall is over


@dataclass(frozen=True)
class Runtime:
    """A simulated runtime that runs, and where its record goes."""

    url: str
    process: psutil.Process
    record: Path

    def summary(self) -> dict[str, Any]:
        """Return the record's totals so far."""
        with urllib.request.urlopen(f"{self.url}/_sim/record?summary=true", timeout=10) as answer:
            totals: dict[str, Any] = json.load(answer)
        return totals

    def order(self, fault: dict[str, object]) -> None:
        """Order a fault."""
        request = urllib.request.Request(f"{self.url}/_sim/faults", json.dumps(fault).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=10) as answer:
            answer.read()

    def cpu_s(self) -> float:
        """Return the CPU time that it has taken so far."""
        times = self.process.cpu_times()
        return times.user + times.system


@dataclass(frozen=True)
class Reading:
    """Server and client at an instant: CPU time so far, and time so far for which they had to wait for a core."""

    at_ns: int
    server_cpu_s: float
    server_waited_ns: int | None
    client_waited_ns: int | None


@dataclass(frozen=True)
class Matched:
    """Samples and entries of the same requests, row by row, and what was found wrong on the way."""

    sent: NDArray[np.int64]
    ended: NDArray[np.int64]
    arrival: NDArray[np.int64]
    end: NDArray[np.int64]
    counts: dict[str, int]

    @property
    def took_ms(self) -> NDArray[np.float64]:
        """Return our service latencies."""
        return (self.ended - self.sent) / 1e6

    @property
    def took_there_ms(self) -> NDArray[np.float64]:
        """Return the server's own times."""
        return (self.end - self.arrival) / 1e6

    @property
    def wrong(self) -> list[str]:
        """Return what cannot be of a harness that tells the truth, by name."""
        right = {"samples": self.counts["recorded"], "recorded": self.counts["samples"]}
        return [name for name, count in self.counts.items() if count != right.get(name, 0)]


def main() -> None:
    """Measure and print; with --json write the same."""
    arguments = _arguments()
    end_children_on_sigterm()
    server_core, core = cores()
    with tempfile.TemporaryDirectory(prefix="aether-load-") as name:
        folder = Path(name)
        _write_prompts(folder)
        around = surroundings(f"simulated runtime, latency {arguments.latency}")
        around["one_core"] = server_core == core
        loads = []
        for users in arguments.users:
            own = folder / f"{users}-users"
            with _runtime(own, server_core, "--latency", arguments.latency) as runtime:
                loads.append(_load(runtime, own, core, users, arguments.seconds))
        own = folder / "stall"
        options = ("--latency", f"constant:{_STALL_LATENCY_MS:g}ms")
        with _runtime(own, server_core, *options) as runtime:
            stall = _stalled(runtime, own, core, arguments.seconds)
    around["load_average_after"] = [round(load, 2) for load in os.getloadavg()]
    wrong = sorted({name for row in (*loads, stall) for name in row["wrong"]})
    _print(around, loads, stall, wrong)
    write_json(arguments.json, around | {"bar_ms": BAR_MS, "loads": loads, "stall": stall, "wrong": wrong})
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
def _runtime(folder: Path, core: int, *options: str) -> Iterator[Runtime]:
    """Run a simulated runtime pinned to `core` that records into `folder`, and end it."""
    folder.mkdir()
    record = folder / "record.jsonl"
    flags = ["--port", "0", "--control", "--record", str(record), *options]
    command = [sys.executable, "-m", "aether_load", "simulate", *flags]
    with pinned(core):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env=_environment())
    try:
        assert process.stdout is not None
        words = process.stdout.readline().decode().split()
        if not words:
            raise BenchmarkFailed(f"the simulated runtime did not start: {' '.join(command)}")
        yield Runtime(words[-1], psutil.Process(process.pid), record)
    finally:
        process.kill()
        process.wait()


def _environment() -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")}
    paths = [str(HERE.parent), os.environ.get("PYTHONPATH", "")]
    return plain | {"PYTHONPATH": os.pathsep.join(path for path in paths if path)}


@contextmanager
def _main_job(runtime: Runtime, folder: Path, core: int, users: int, seconds: float) -> Iterator[list[Reading]]:
    """Run the main job against the runtime, do what stands inside meanwhile, and wait for the run's end.

    What is yielded holds readings of both processes afterwards.
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
    command = [sys.executable, "-m", "locust", "-f", str(_LOCUSTFILE), "--headless", "--loglevel", "WARNING"]
    command += ["--only-summary", "--host", runtime.url, "--scenario", str(scenario)]
    command += ["--results-dir", str(folder / "results")]
    said = folder / "said.txt"
    with said.open("wb") as words, pinned(core):
        process = subprocess.Popen(
            command, env=_environment(), stdin=subprocess.DEVNULL, stdout=words, stderr=subprocess.STDOUT
        )
    readings: list[Reading] = []
    deadline = time.monotonic() + _WARMUP_S + seconds + SLACK_S
    try:
        yield readings
        while (code := process.poll()) is None:
            if time.monotonic() > deadline:
                raise BenchmarkFailed(f"not done {SLACK_S:g} s after its time: {' '.join(command)}")
            readings.append(
                Reading(time.monotonic_ns(), runtime.cpu_s(), _waited_ns(runtime.process.pid), _waited_ns(process.pid))
            )
            time.sleep(_READING_S)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if code:
        words_said = said.read_text(encoding="utf-8", errors="replace").strip()
        raise BenchmarkFailed(f"exit code {code}: {' '.join(command)}\n{words_said[-4000:]}")


def _waited_ns(pid: int) -> int | None:
    """Return for how long the process could have run and had no core, or None where the kernel does not tell."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError):
        return None


def _load(runtime: Runtime, folder: Path, core: int, users: int, seconds: float) -> dict[str, Any]:
    """Run one load and return what it shows."""
    with _main_job(runtime, folder, core, users, seconds) as readings:
        pass
    return _figures(only_run(folder), _match(only_run(folder), runtime.record), users, readings)


def _stalled(runtime: Runtime, folder: Path, core: int, seconds: float) -> dict[str, Any]:
    """Run a closed load with a stall in its middle and return what of it is seen."""
    users = _STALL_USERS
    with _main_job(runtime, folder, core, users, seconds) as readings:
        deadline = time.monotonic() + SLACK_S
        while runtime.summary()["requests"] <= users:
            if time.monotonic() > deadline:
                raise BenchmarkFailed(f"no load within {SLACK_S:g} s")
            time.sleep(0.02)
        after_s = _WARMUP_S + (seconds - _STALL_S) / 2
        runtime.order({"kind": "stall", "for": f"{_STALL_S:g}s", "after": f"{after_s:.3f}s"})
    run = only_run(folder)
    matched = _match(run, runtime.record)
    # Nothing ends there during the stall: it is the longest time between two ends.
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
    """Return the shares of the phase's window that the server ran, and that either waited for a core."""
    (phase,) = run.read_manifest().phases
    began_ns, ended_ns = phase.window_began_ns, phase.window_ended_ns
    assert began_ns is not None
    assert ended_ns is not None
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


def _match(run: RunFolder, record: Path) -> Matched:
    """Join samples and record by execution id, and count what does not fit."""
    table, torn = read_samples(run.samples)
    entries = [json.loads(line) for line in record.open(encoding="utf-8")]
    # The run finds out the generation by an empty body, which is refused and runs nothing.
    probes = [entry for entry in entries if entry["execution_id"] is None and entry["status"] == 422]
    entries = [entry for entry in entries if entry["execution_id"] is not None]
    known = {uuid.UUID(entry["execution_id"]).bytes: entry for entry in entries}
    ids = table["execution_id"].to_pylist()
    times_seen = Counter(ids)
    rows = [row for row, identifier in enumerate(ids) if identifier in known]
    matched = [known[ids[row]] for row in rows]
    told = table.select(
        ["outcome", "http_status", "server_total_ms", "token_cost", "node_times_ms", "node_cached"]
    ).take(rows)
    differing = sum(
        tuple(sample.values()) != _as_sample(entry) for sample, entry in zip(told.to_pylist(), matched, strict=True)
    )
    sent = table["sent_ns"].to_numpy()[rows]
    ended = table["ended_ns"].to_numpy()[rows]
    arrival = np.array([entry["arrival_ns"] for entry in matched], np.int64)
    end = np.array([entry["end_ns"] for entry in matched], np.int64)
    counts = {
        "samples": table.num_rows,
        "recorded": len(entries),
        "torn": int(torn),
        "samples_without_entry": table.num_rows - len(rows),
        "entries_without_sample": sum(identifier not in times_seen for identifier in known),
        "samples_doubled": sum(count - 1 for count in times_seen.values()),
        "entries_doubled": len(entries) - len(known),
        "probes_too_many": abs(len(probes) - 1),
        "differing": differing,
        "arrived_before_sent": int((arrival < sent).sum()),
        "ended_before_end": int((ended < end).sum()),
        "not_longer_than_there": int((ended - sent <= end - arrival).sum()),
    }
    return Matched(sent, ended, arrival, end, counts)


def _as_sample(entry: dict[str, Any]) -> tuple[Any, ...]:
    """Return what a sample must say of an entry that went well."""
    nodes = entry["nodes"]
    well = entry["sent"] == "whole" and all(node["state"] == "succeeded" for node in nodes)
    return (
        "ok" if well else None,
        entry["status"],
        entry["total_ms"],
        sum(node["tokens"] for node in nodes),
        [node["ms"] for node in nodes],
        [node["cached"] for node in nodes],
    )


def _figures(run: RunFolder, matched: Matched, users: int, readings: list[Reading]) -> dict[str, Any]:
    report = json.loads(run.report.read_text(encoding="utf-8"))
    (phase,) = report["phases"]
    if not len(matched.sent):
        raise BenchmarkFailed("no sample has an entry in the record")
    (record,) = run.read_manifest().phases
    assert record.window_began_ns is not None
    warm = matched.sent >= record.window_began_ns
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


def _print(around: dict[str, Any], loads: list[dict[str, Any]], stall: dict[str, Any], wrong: list[str]) -> None:
    print(
        f"{around['null_server']}; load average before and after: "
        f"{around['load_average']}, {around['load_average_after']}"
    )
    if around["one_core"]:
        print("server and client share the machine's only core")
    print("added: our service latency less the server's own time (its record's end_ns - arrival_ns), ms")
    print(
        f"{'load':>10} {'samples':>8} {'record':>8} {'per s':>6} {'client CPU':>10} {'waiting':>7} "
        f"{'server CPU':>10} {'waiting':>7} "
        f"{'min':>6} {'p50':>6} {'p99 (95 % interval)':>22} {'max':>7} {'there p99':>9} {'back p99':>9} {'wrong':>6}"
    )
    for row in (*loads, stall):
        added = row["added_ms"]
        interval = f"{added['p99']:.2f} [{_ms(added['p99_low'])}, {_ms(added['p99_high'])}]"
        name = f"{row['users']} users" if row is not stall else "stall"
        print(
            f"{name:>10} {row['counts']['samples']:8d} {row['counts']['recorded']:8d} {row['requests_per_s']:6.0f} "
            f"{_share(row['client_cpu_share_mean']):>10} {_share(row['client_waited_share']):>7} "
            f"{_share(row['server_cpu_share']):>10} {_share(row['server_waited_share']):>7} {added['min']:6.3f} "
            f"{added['p50']:6.2f} {interval:>22} {added['max']:7.1f} {row['there_p99_ms']:9.2f} "
            f"{row['back_p99_ms']:9.2f} {len(row['wrong']):6d}"
        )
    _print_bar(loads)
    print(
        f"stall of {stall['stall_s']:g} s, {stall['users']} closed users: {stall['caught']} requests waited in it, "
        f"{stall['caught_there']} by the record ({stall['caught_share']:.2%} of all); "
        f"{stall['slower_than_half_the_stall']} slower than half of it"
    )
    print(
        f"  nothing ended for {stall['nothing_ended_for_ms']:.1f} ms; slowest {stall['max_ms']:.1f} ms here, "
        f"{stall['max_there_ms']:.1f} there; by theory up to {stall['stall_s'] * 1000 + _STALL_LATENCY_MS:.0f} ms, "
        f"and up to {_STALL_STEP_MS:.0f} until the simulator's pauses notice; without it p50 "
        f"{stall['ordinary_p50_ms']:.1f} ms"
    )
    print(f"WRONG: {', '.join(wrong)}" if wrong else "every count, value and order is right")


def _print_bar(loads: list[dict[str, Any]]) -> None:
    """Say how the load that is nearest to half of the busier one's core stands to the bar."""
    told = [(max(row["client_cpu_share_mean"], row["server_cpu_share"]), row) for row in loads if _busy(row)]
    if not told:
        print("bar: not judged, because every load had to wait for a core or its CPU shares are not known")
        return
    share, nearest = min(told, key=lambda pair: abs(pair[0] - 0.5))
    p99 = nearest["added_ms"]["p99"]
    verdict = "met" if p99 < BAR_MS else "missed"
    if not HALF_LOAD[0] <= share <= HALF_LOAD[1]:
        verdict += ", not at half load: choose other --users"
    print(
        f"bar: p99 of added below {BAR_MS:g} ms at half load: {p99:.2f} ms, of it back {nearest['back_p99_ms']:.2f}, "
        f"at {share:.0%} of the busier core ({nearest['users']} users): {verdict}"
    )


def _busy(row: dict[str, Any]) -> bool:
    """Tell whether the CPU shares of a load are known, and neither side had to wait for a core."""
    waited = max(row["client_waited_share"] or 0.0, row["server_waited_share"] or 0.0)
    known = row["client_cpu_share_mean"] is not None and row["server_cpu_share"] is not None
    return known and waited < _MOST_WAITED


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


if __name__ == "__main__":
    try:
        main()
    except BenchmarkFailed as error:
        sys.exit(f"{Path(__file__).name}: {error}")
