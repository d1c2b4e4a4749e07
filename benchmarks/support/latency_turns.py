"""Run one client once against a server of fixed latency, and return its latencies, its rate and its CPU time.

A turn of users is closed: each sends again when its answer is there. A turn of a rate is open load. The first second is
left out where a client says when each request was sent.
"""

from __future__ import annotations

import csv
import io
import subprocess
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from support.process_watch import cpu_s_between
from support.programs import hey_command, oha_command, parsed, run_k6, run_program, run_vegeta
from support.runs import only_phase, only_run, read_records, sender_readings, window
from support.setting import HERE, MAIN_JOB, SLACK_S, BenchmarkFailed, Ended, Setting

from aether_load.analysis.statistics.distribution import percentile
from aether_load.protocol import Outcome

WARMUP_S = 1.0
POINTS = {"p50_ms": 0.5, "p99_ms": 0.99, "p99_9_ms": 0.999}
_SPARE_USERS = 5
"""How many times as many users an open load may use as its rate keeps busy on average."""
Turn = dict[str, Any]


class Load(NamedTuple):
    """A rate, reached by so many closed users or asked for as open load."""

    rate_rps: int
    users: int
    is_open: bool

    @property
    def name(self) -> str:
        """Return what the table calls it."""
        if self.is_open:
            return f"open, {self.rate_rps:,}/s"
        return f"closed, about {self.rate_rps:,}/s ({self.users} user{'s' if self.users > 1 else ''})"


def load_of(rate_rps: int, latency_ms: int, *, is_open: bool) -> Load:
    """Return the load whose users reach a rate at a latency, or have enough to spare for open load."""
    busy = max(1, round(rate_rps * latency_ms / 1000))
    return Load(rate_rps, busy * _SPARE_USERS + 20 if is_open else busy, is_open)


def ours(setting: Setting, load: Load) -> Turn:
    """Run the main job, without self-check and page; the rate counts what it sent inside the window."""
    users = f"max_concurrency = {load.users}\nrate = {load.rate_rps}" if load.is_open else f"users = {load.users}"
    phase = f'{users}\nwarmup = "{WARMUP_S:g}s"\nduration = "{setting.seconds:g}s"'
    command = setting.ours(phase, "--no-self-check", "--no-page", locustfile=MAIN_JOB)
    ended = setting.run(command, WARMUP_S + setting.seconds + SLACK_S)
    if not setting.results.is_dir():
        raise BenchmarkFailed(f"exit code {ended.exit_code}: {' '.join(command)}\n{ended.last_words}")
    run = only_run(setting.results)
    began_ns, ended_ns = window(only_phase(run))
    sent = read_records(run).sent
    in_window = (sent["sent_ns"] >= began_ns) & (sent["sent_ns"] < ended_ns)
    sent = sent[(sent["due_ns"] >= began_ns) & (sent["due_ns"] < ended_ns)]
    delay_ms = np.sort((sent["sent_ns"] - sent["due_ns"]) / 1e6)
    cpu_s = cpu_s_between(sender_readings(run), began_ns, ended_ns)
    observer_s = cpu_s_between(ended.watch.observer, began_ns, ended_ns)
    return {
        **_points((sent["ended_ns"] - sent["sent_ns"]) / 1e6),
        "requests": len(sent),
        "rate_rps": int(in_window.sum()) / (ended_ns - began_ns) * 1e9,
        "start_delay_p50_ms": _at(delay_ms, 0.5) if load.is_open else None,
        "start_delay_p99_ms": _at(delay_ms, 0.99) if load.is_open else None,
        "cpu_us": _each(cpu_s, len(sent)),
        "observer_us": _each(observer_s, len(sent)),
        "failures": int(np.count_nonzero(sent["outcome"] != Outcome.OK)),
        "exit_code": ended.exit_code,
    }


def hey(setting: Setting, load: Load) -> Turn:
    """Run hey, which says how long each request took to a tenth of a millisecond."""
    longer = replace(setting, users=load.users, seconds=setting.seconds + WARMUP_S)
    ended = run_program(longer, hey_command(longer, "-o", "csv"))
    rows = list(csv.DictReader(io.StringIO(ended.out)))
    measured = [row for row in rows if WARMUP_S <= float(row["offset"]) < longer.seconds]
    latencies_ms = np.array([float(row["response-time"]) * 1000 for row in measured])
    failures = sum(row["status-code"] != "200" for row in rows)
    return _of_program(ended, latencies_ms, len(latencies_ms) / setting.seconds, len(rows), failures)


def vegeta(setting: Setting, load: Load) -> Turn:
    """Run vegeta at the rate."""
    longer = replace(setting, seconds=setting.seconds + WARMUP_S)
    ended, results = run_vegeta(longer, f"-rate={load.rate_rps}/1s", f"-workers={load.users}")
    encoded = subprocess.run(
        ["vegeta", "encode", "--to", "csv", str(results)], capture_output=True, text=True, check=True
    )
    rows = [(int(row[0]), row[1], int(row[2])) for row in csv.reader(io.StringIO(encoded.stdout))]
    if not rows:
        raise BenchmarkFailed(f"vegeta left no results: {ended.last_words}")
    began_ns = min(at_ns for at_ns, _, _ in rows) + WARMUP_S * 1e9
    latencies_ms = np.array([took_ns / 1e6 for at_ns, _, took_ns in rows if at_ns >= began_ns])
    failures = sum(status != "200" for _, status, _ in rows)
    return _of_program(ended, latencies_ms, len(latencies_ms) / setting.seconds, len(rows), failures)


def oha(setting: Setting, load: Load) -> Turn:
    """Run oha, whose percentiles are of all requests."""
    setting = replace(setting, users=load.users)
    ended = run_program(setting, oha_command(setting))
    report = parsed(ended)
    by_status = {int(status): count for status, count in report["statusCodeDistribution"].items()}
    requests = sum(by_status.values())
    found = {name: report["latencyPercentiles"][f"p{100 * q:g}"] * 1000 for name, q in POINTS.items()}
    rate_rps = requests / report["summary"]["total"]
    return _of_summary(ended, found, rate_rps, requests, requests - by_status.get(200, 0))


def k6(setting: Setting, load: Load) -> Turn:
    """Run k6, whose percentiles are of all requests."""
    setting = replace(setting, users=load.users)
    ended, metrics = run_k6(setting, load.rate_rps if load.is_open else None)
    took, requests = metrics["http_req_duration"], metrics["http_reqs"]["count"]
    found = {"p50_ms": took["med"], "p99_ms": took["p(99)"], "p99_9_ms": took["p(99.9)"]}
    return _of_summary(ended, found, metrics["http_reqs"]["rate"], requests, metrics["http_req_failed"]["passes"])


def fast_http_user(setting: Setting, load: Load) -> Turn:
    """Run Locust's FastHttpUser."""
    setting = replace(setting, users=load.users)
    command = setting.locust(
        HERE / "locustfiles" / "latencies_of_fast_http.py", "-u", str(load.users), "-r", str(load.users)
    )
    figures = setting.measure(command, setting.seconds + SLACK_S)
    return {
        **_points(np.array(figures["latencies_ms"])),
        "requests": figures["requests"],
        "rate_rps": figures["requests"] / figures["elapsed_s"],
        "start_delay_p50_ms": None,
        "start_delay_p99_ms": None,
        "cpu_us": _each(figures["cpu_s"], figures["requests"]),
        "observer_us": None,
        "failures": figures["failures"],
        "exit_code": figures["exit_code"],
    }


def _of_program(ended: Ended, latencies_ms: NDArray[np.float64], rate_rps: float, total: int, failures: int) -> Turn:
    """Return a turn of a program that says how long each request took; `total` are those of its whole life."""
    return _of_summary(ended, _points(latencies_ms), rate_rps, total, failures) | {"requests": len(latencies_ms)}


def _of_summary(ended: Ended, found: dict[str, float | None], rate_rps: float, requests: int, failures: int) -> Turn:
    """Return a turn of a program that says percentiles of all requests."""
    return {
        **{name: value if _is_known(requests, POINTS[name]) else None for name, value in found.items()},
        "requests": requests,
        "rate_rps": rate_rps,
        "start_delay_p50_ms": None,
        "start_delay_p99_ms": None,
        "cpu_us": _each(ended.cpu_s, requests),
        "observer_us": None,
        "failures": failures,
        "exit_code": ended.exit_code,
    }


def _points(latencies_ms: NDArray[np.float64]) -> dict[str, float | None]:
    ordered = np.sort(latencies_ms)
    return {name: _at(ordered, q) for name, q in POINTS.items()}


def _at(ordered: NDArray[np.float64], q: float) -> float | None:
    """Return a percentile, or None where so few values do not bound it."""
    if not len(ordered):
        return None
    found = percentile(ordered, q)
    return None if found.reliability == "unreliable" else found.value


def _is_known(count: int, q: float) -> bool:
    return _at(np.zeros(count), q) is not None


def _each(cpu_s: float | None, requests: int) -> float | None:
    return cpu_s / requests * 1e6 if cpu_s is not None and requests else None
