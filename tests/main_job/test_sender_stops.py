"""A sender that is stopped again and again: what it reports still holds what the server's own record tells."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest

from processes import UNSEEN, LocustProcess, Simulator, wait_for
from recorded import samples_table

STOPPED_S = 0.025
INTERVAL_S = 0.5
POINTS = ("p50", "p90", "p95", "p99")
SLACK_MS = 0.2
"""Below the larger of this and 2 % a percentile counts as one value."""


class Stopper:
    """Stops a process for 25 ms twice a second, until it is told to end."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.stops: list[Any] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._stop_again_and_again)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _stop_again_and_again(self) -> None:
        while not self._over.wait(INTERVAL_S - STOPPED_S):
            began_ns = time.monotonic_ns()
            os.kill(self._pid, signal.SIGSTOP)
            self._over.wait(STOPPED_S)
            os.kill(self._pid, signal.SIGCONT)
            self.stops.append((began_ns, time.monotonic_ns()))


def true_latencies_ms(run_folder: Path, record: Any, stops: Any) -> Any:
    """What each request in the window would have taken if the sender had not been stopped.

    For those whose answer the server sent while the sender was stopped that is the server's instant, and the median of
    the way from there to us; the others took what was measured.
    """
    table = samples_table(run_folder)
    phase = json.loads((run_folder / "run.json").read_bytes())["phases"][0]
    ended_there = {entry["execution_id"]: entry["end_ns"] for entry in map(json.loads, record.open())}
    ids = [str(uuid.UUID(bytes=raw)) for raw in table["execution_id"].to_pylist()]
    sent, ended = (table[name].to_numpy() for name in ("sent_ns", "ended_ns"))
    there = np.array([ended_there[id_] for id_ in ids])
    way = np.median(ended - there)
    stopped = np.zeros(len(sent), bool)
    for began_ns, ended_ns in stops:
        stopped |= (ended > began_ns) & (there < ended_ns)
    inside = (sent >= phase["window_began_ns"]) & (ended <= phase["window_ended_ns"])
    return np.where(stopped, np.minimum(there + way, ended) - sent, ended - sent)[inside] / 1e6


@pytest.mark.slow
@pytest.mark.alone
def test_the_interval_holds_the_truth(
    start_locust: Callable[..., LocustProcess], simulator: Callable[..., Simulator], tmp_path: Path, run_number: int
) -> None:
    """At every percentile, in open load and closed; and some of them are no values any more. `--runs 20` repeats it."""
    record = tmp_path / "record.jsonl"
    runtime = simulator("--latency", "constant:10ms", "--record", str(record))
    load = "{users=16,duration='4s'}" if run_number % 2 else "{rate=400.0,duration='4s',max_concurrency=64}"
    process = start_locust("--headless", "--host", runtime.url, "--set", f"phases=[{load}]", *UNSEEN)
    wait_for(lambda: process.samples_written() > 2_000, "the load")
    with Stopper(process.process.pid) as stopper:
        wait_for(lambda: re.search(r'"window_ended_ns": *\d', process.manifest_text()), "the window's end")
    finished = process.finish()
    assert "Traceback" not in finished.err
    (phase,) = json.loads((finished.run_folder / "report.json").read_bytes())["phases"]
    latencies = phase["all"]["service_latency_ms"]
    true_ms = true_latencies_ms(finished.run_folder, record, stopper.stops)
    truth = np.percentile(true_ms, [float(name[1:]) for name in POINTS])
    for name, expected in zip(POINTS, truth, strict=True):
        slack = max(SLACK_MS, 0.02 * expected)
        bounds = latencies[name]
        assert bounds["at_least"] - slack <= expected <= bounds["at_most"] + slack, (name, expected, bounds)
    assert latencies["p99"]["value"] is None, latencies["p99"]
    assert phase["sender_holds"]["longest_ms"] >= 1000 * STOPPED_S * 0.9
