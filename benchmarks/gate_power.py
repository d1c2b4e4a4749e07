"""Measure how often the gate raises a false alarm, and how often it finds a loss of 10 %.

Simulated runtimes stand for the builds: a base, one that is equal to it, and one whose throughput is lower by --loss.
Each gate is `aether-load gate` as a process of its own, with 30 pairs and windows shortened to --window, so that a
hundred gates of each kind take less than an hour; then gates of both kinds run while benchmarks/cpu_hog.py uses a core
now and then. The findings are appended to --state, a line a gate: you can stop the benchmark and start it again to go
on. 127.0.0.1 only.

    python benchmarks/gate_power.py --state gate_power.jsonl [--gates 100] [--noisy-gates 30] [--table]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec
from support.setting import HERE, BenchmarkFailed, cores, end_children_on_sigterm, pinned

from aether_load.analysis.statistics.distribution import Share, clopper_pearson
from aether_load.environment import machine
from aether_load.gate.report import GateReport

USERS = 16
MEDIAN_MS, SIGMA = 20.0, 0.3
PAIRS = 30
WINDOW_S = 0.05
_CALIBRATIONS = 6
_CLOSE = 0.003
_GATE_LIMIT_S = 300.0
_REPOSITORY = HERE.parent


def main() -> None:
    """Drive the gates that the state lacks, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--state", type=Path, required=True, metavar="FILE")
    parser.add_argument("--gates", type=int, default=100, help="of each kind, with no noise made")
    parser.add_argument("--noisy-gates", type=int, default=30, help="of each kind, beside the CPU hog")
    parser.add_argument("--loss", type=float, default=0.10)
    parser.add_argument("--window", type=float, default=WINDOW_S, metavar="SECONDS")
    parser.add_argument("--table", action="store_true", help="print the findings so far, and drive nothing")
    arguments = parser.parse_args()
    if not 0 < arguments.loss < 0.5 or arguments.window <= 0:
        parser.error("--loss must be between 0 and 0.5, --window above 0")
    end_children_on_sigterm()
    if not arguments.table:
        _drive_all(arguments)
    print(table(_read(arguments.state)))


def _drive_all(arguments: argparse.Namespace) -> None:
    state: Path = arguments.state
    server_core, sender_core = cores()
    with ExitStack() as stack:
        base = stack.enter_context(_simulator(MEDIAN_MS, 1, server_core))
        equal = stack.enter_context(_simulator(MEDIAN_MS, 2, server_core))
        slowed_ms = _slowed_median_ms(arguments, base, server_core, sender_core)
        slower = stack.enter_context(_simulator(slowed_ms, 3, server_core))
        for noise, wanted in (("quiet", arguments.gates), ("hog", arguments.noisy_gates)):
            hog = stack.enter_context(_hog()) if noise == "hog" else None
            while True:
                done = [line["kind"] for line in _read(state) if line.get("noise") == noise]
                left = {kind: wanted - done.count(kind) for kind in ("equal", "slower")}
                kind = max(left, key=lambda each: left[each])
                if left[kind] <= 0:
                    break
                found = _gate(base, equal if kind == "equal" else slower, arguments.window, sender_core)
                _append(state, {"kind": kind, "noise": noise, **found})
            if hog is not None:
                assert hog.poll() is None, "the CPU hog ended before the gates did"


def _slowed_median_ms(arguments: argparse.Namespace, base: str, server_core: int, sender_core: int) -> float:
    """Return the median at which the simulator's throughput is lower by the loss; found once, then kept in the state.

    A request takes more than the provider's time, and timers round, so that it is not simply the median's share.
    """
    settings = {"loss": arguments.loss, "window_s": arguments.window, "users": USERS, "pairs": PAIRS}
    for line in _read(arguments.state):
        if line["kind"] == "settings":
            if {key: line[key] for key in settings} != settings:
                raise BenchmarkFailed(f"{arguments.state} was begun with other settings; give another file")
            return float(line["slowed_median_ms"])
    wanted = 1 - arguments.loss
    median_ms = MEDIAN_MS / wanted
    for _ in range(_CALIBRATIONS):
        with _simulator(median_ms, 3, server_core) as slower:
            ratio = _gate(base, slower, 0.5, sender_core)["ratio"]
        print(f"calibration: median of {median_ms:.2f} ms has {ratio:.4f} of the base's throughput", flush=True)
        if abs(ratio / wanted - 1) < _CLOSE:
            break
        median_ms *= ratio / wanted
    _append(
        arguments.state,
        {"kind": "settings", **settings, "slowed_median_ms": round(median_ms, 3), "calibrated_ratio": ratio}
        | {"machine": machine()},
    )
    return float(round(median_ms, 3))


def _gate(base: str, candidate: str, window_s: float, core: int) -> dict[str, Any]:
    """Drive one gate; return its findings."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="aether-load-") as name:
        output = Path(name) / "gate.json"
        command = [
            sys.executable, "-m", "aether_load", "gate", "--base", base, "--candidate", candidate,
            "--pairs", str(PAIRS), "--window", f"{window_s}s", "--set", f"phases.0.users={USERS}",
            "--set", 'workload.datasets=["piqa"]',
            "--results-dir", str(Path(name) / "results"), "--output", str(output),
        ]  # fmt: skip
        with pinned(core):
            process = subprocess.Popen(
                command,
                cwd=name,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=os.environ | {"PYTHONPATH": str(_REPOSITORY)},
            )
        try:
            _, said = process.communicate(timeout=_GATE_LIMIT_S)
        except BaseException:
            process.terminate()
            process.wait()
            raise
        if not output.is_file():
            raise BenchmarkFailed(f"a gate left nothing, exit code {process.returncode}: {said.decode()[-2000:]}")
        report = msgspec.json.decode(output.read_bytes(), type=GateReport)
    comparison = report.comparisons[0]
    found: dict[str, Any] = {
        "status": report.verdict.status,
        "exit_code": process.returncode,
        "ratio": comparison.ratio_median,
        "base_rps": comparison.base_median,
        "p": comparison.test.p_value,
        "smallest_loss_seen": comparison.test.smallest_loss_seen,
        "pairs_used": report.pairs_used_total,
        "elapsed_s": round(time.monotonic() - began, 1),
        "sentence": report.verdict.sentence,
    }
    print(f"{found['elapsed_s']:5.1f} s  {found['status']:12} {found['sentence'][:120]}", flush=True)
    return found


def table(lines: Sequence[dict[str, Any]]) -> str:
    """Return the findings as Markdown, with exact (Clopper-Pearson) 95 % intervals."""
    settings = next((line for line in lines if line["kind"] == "settings"), None)
    if settings is None:
        return "nothing was driven yet"
    rows = ["| machine | candidate | gates | found a regression | 95 % interval | undecided | void | ratio, median |"]
    rows.append("|:--|:--|--:|--:|--:|--:|--:|--:|")
    for noise in ("quiet", "hog"):
        for kind in ("equal", "slower"):
            mine = [line for line in lines if line["kind"] == kind and line["noise"] == noise]
            if mine:
                rows.append(_row(noise, kind, mine, settings))
    about, seen = settings["machine"], [line["smallest_loss_seen"] for line in lines if line.get("smallest_loss_seen")]
    taken = sum(line["elapsed_s"] for line in lines if "elapsed_s" in line)
    alone = [line["base_rps"] for line in lines if line.get("noise") == "quiet"]
    off = sum(abs(rps / _median([*alone[:place], *alone[place + 1 :]]) - 1) > 0.05 for place, rps in enumerate(alone))
    said = (
        f"{settings['pairs']} pairs, windows of {settings['window_s']:g} s, {settings['users']} users; provider's time "
        f"lognormal, median {MEDIAN_MS:g} ms ({settings['slowed_median_ms']:g} ms in the slower one), sigma {SIGMA:g}; "
        f"margin 5 %, confidence 99 %. Smallest loss seen: {_median(seen):.1%} (median of the gates' own). "
        f"{about['cpu']}, {about['cores']} cores; {taken / 60:.0f} minutes in all. With no noise made, the "
        f"same base by itself was more than 5 % off the median of its other gates in {off} of {len(alone)}: that is "
        "why stored figures are no base for a gate."
    )
    return "\n".join([*rows, "", said])


def _row(noise: str, kind: str, mine: Sequence[dict[str, Any]], settings: dict[str, Any]) -> str:
    statuses = [line["status"] for line in mine]
    found: Share | None = clopper_pearson(statuses.count("regression"), len(mine))
    assert found is not None
    void = sum(status in {"invalid", "failed"} for status in statuses)
    ratios = [line["ratio"] for line in mine if line["ratio"] is not None]
    what = "equal" if kind == "equal" else f"{settings['loss']:.0%} slower"
    beside = "no noise made" if noise == "quiet" else "a CPU hog comes and goes"
    return (
        f"| {beside} | {what} | {len(mine)} | {found.hits} | "
        f"{found.low:.1%} to {found.high:.1%} | {statuses.count('inconclusive')} | {void} | "
        f"{_median(ratios):.3f} |"
    )


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    return ordered[len(ordered) // 2] if ordered else math.nan


@contextmanager
def _simulator(median_ms: float, seed: int, core: int) -> Iterator[str]:
    """Run a simulated runtime on a core; yield its URL."""
    with pinned(core):
        process = subprocess.Popen(
            [
                sys.executable, "-m", "aether_load.simulator", "--port", "0", "--exit-with-parent", "--seed", str(seed),
                "--latency", f"lognormal:{median_ms:.3f}ms,{SIGMA}",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(_REPOSITORY)},
        )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline().decode()
        if "listening on " not in line:
            raise BenchmarkFailed(f"a simulated runtime did not start: {line.strip()}")
        yield line.split("listening on ")[1].strip()
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _hog() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, str(HERE / "cpu_hog.py")], stdin=subprocess.PIPE)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def _read(state: Path) -> list[dict[str, Any]]:
    """Return the lines of a state file; one that was cut off is left out."""
    if not state.is_file():
        return []
    lines = []
    for line in state.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return lines


def _append(state: Path, line: dict[str, Any]) -> None:
    with state.open("a", encoding="utf-8") as out:
        out.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    try:
        main()
    except BenchmarkFailed as error:
        sys.exit(f"{Path(__file__).name}: {error}")
