"""Measure for how long the sender's event loop is held at a low rate, where its code has idled before it runs.

The main job runs as open load against the compiled server of fixed latency. The sender records each time in which its
loop did not turn for more than half a millisecond (a hold). For each hold in the phase's window the table shows how
long it was, how much later the loop had caught up, and for how long the process waited for a core in the samples
around it. A hold is the machine's when the process waited for at least half of it, or for all of it but the 5 ms by
which a hold that a late timer shows may begin too early. The others are of what ran on the loop; on a quiet machine
there are none of those. Steal is time that the hypervisor gave to others, which no process sees as waiting.

The figures decide nothing: the exit code is 0. 127.0.0.1 only; about half a minute.

    python benchmarks/loop_holds.py [--rate 100] [--seconds 20] [--json FILE]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from support.core_waiting import stolen_s
from support.fixed_latency import fixed_latency_server
from support.runs import only_phase, only_run, read_records, window
from support.setting import (
    MAIN_JOB,
    SLACK_S,
    BenchmarkFailed,
    Ended,
    Setting,
    cores,
    end_children_on_sigterm,
    environment,
    write_json,
    write_one_row,
)

from aether_load.load.process.loop_watch import HEARTBEAT_NS
from aether_load.rundata.folder import RunFolder
from aether_load.rundata.samples.holds import Holds

LIMIT_MS = 0.5
_SHOWN = 20
_WATCH_INTERVAL_S = 0.02
_MACHINES_SHARE = 0.5


def main() -> None:
    """Measure and print; with --json write all holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    if arguments.rate < 1 or arguments.seconds < 1:
        parser.error("--rate and --seconds must be 1 or more")
    end_children_on_sigterm()
    with tempfile.TemporaryDirectory(prefix="aether-load-") as name:
        folder = Path(name)
        body = write_one_row(folder)
        with fixed_latency_server(folder, cores()[0]) as server:
            about = environment(server.name)
            setting = Setting(server.url, server.counts, body, folder, None, 1, arguments.seconds)
            phase = f'rate = {arguments.rate}\nwarmup = "1s"\nduration = "{arguments.seconds:g}s"'
            command = setting.ours(phase, locustfile=MAIN_JOB)
            stolen = stolen_s()
            ended = setting.run(command, arguments.seconds + 2 * SLACK_S, _WATCH_INTERVAL_S)
            stolen = None if stolen is None else round((stolen_s() or 0.0) - stolen, 3)
        if not setting.results.is_dir():
            raise BenchmarkFailed(f"exit code {ended.exit_code}: {' '.join(command)}\n{ended.last_words}")
        found = _figures(only_run(setting.results), ended)
    result = about | {"rate_rps": arguments.rate, "stolen_s": stolen, "exit_code": ended.exit_code} | found
    _print(result)
    write_json(arguments.json, result)


def _figures(run: RunFolder, ended: Ended) -> dict[str, Any]:
    began_ns, ended_ns = window(only_phase(run))
    records = read_records(run)
    inside = (records.holds["ended_ns"] >= began_ns) & (records.holds["began_ns"] <= ended_ns)
    holds = [_hold(hold, began_ns, ended) for hold in records.holds[inside]]
    sent = records.sent
    sent = sent[(sent["due_ns"] >= began_ns) & (sent["due_ns"] < ended_ns)]
    all_holds = Holds()
    all_holds.add(records.holds)
    late_ms = all_holds.late_ns(sent["worker"], sent["sent_ns"], sent["ended_ns"]) / 1e6
    window_ms = (ended_ns - began_ns) / 1e6
    return {
        "window_s": window_ms / 1000,
        "requests_total": len(sent),
        "late_requests_total": int(np.count_nonzero(late_ms > LIMIT_MS)),
        "held_share": _covered_ns(records.holds[inside]) / 1e6 / window_ms,
        "holds_outside_the_window_total": int(len(records.holds) - len(holds)),
        "holds": holds,
    }


def _covered_ns(holds: NDArray[np.void]) -> int:
    """Return for how long there was a hold; the same time may be in several, by the loop's turn and by a late timer."""
    covered = until = 0
    for began_ns, ended_ns in sorted(zip(holds["began_ns"].tolist(), holds["ended_ns"].tolist(), strict=True)):
        covered += max(0, ended_ns - max(began_ns, until))
        until = max(until, ended_ns)
    return covered


def _hold(hold: np.void, window_began_ns: int, ended: Ended) -> dict[str, Any]:
    began_ns, ended_ns = int(hold["began_ns"]), int(hold["ended_ns"])
    lasted_ms = (ended_ns - began_ns) / 1e6
    waited_ms = _waited_ms(ended.watch.waited, began_ns, ended_ns)
    return {
        "at_s": round((began_ns - window_began_ns) / 1e9, 3),
        "ms": round(lasted_ms, 3),
        "until_caught_up_ms": round((int(hold["caught_up_ns"]) - ended_ns) / 1e6, 3),
        "waited_ms": None if waited_ms is None else round(waited_ms, 3),
        "is_the_machines": waited_ms is not None and _is_the_machines(lasted_ms, waited_ms),
    }


def _is_the_machines(lasted_ms: float, waited_ms: float) -> bool:
    is_late_timer = waited_ms >= LIMIT_MS and lasted_ms - waited_ms <= HEARTBEAT_NS / 1e6
    return is_late_timer or waited_ms >= _MACHINES_SHARE * lasted_ms


def _waited_ms(waited: list[tuple[int, int]], began_ns: int, ended_ns: int) -> float | None:
    """Return for how long the process waited between the last sample before a hold and the first one after it."""
    before = [total for at_ns, total in waited if at_ns <= began_ns]
    after = [total for at_ns, total in waited if at_ns >= ended_ns]
    return (after[0] - before[-1]) / 1e6 if before and after else None


def _print(result: dict[str, Any]) -> None:
    holds = result["holds"]
    own = [hold for hold in holds if not hold["is_the_machines"]]
    print(f"server: {result['server']}; load average {result['load_average']}")
    print(
        f"{result['requests_total']} requests at {result['rate_rps']}/s in {result['window_s']:.1f} s; exit code "
        f"{result['exit_code']}; stolen by the hypervisor: {_text(result['stolen_s'], 's')}"
    )
    print(f"{'at s':>8}{'held ms':>10}{'caught up ms later':>20}{'waited ms':>11}  of")
    for hold in sorted(holds, key=lambda hold: (hold["is_the_machines"], -hold["ms"]))[:_SHOWN]:
        print(
            f"{hold['at_s']:8.2f}{hold['ms']:10.2f}{hold['until_caught_up_ms']:20.2f}{_text(hold['waited_ms'], ''):>11}"
            f"  {'the machine' if hold['is_the_machines'] else 'the loop'}"
        )
    if len(holds) > _SHOWN:
        print(f"{'...':>8}  and {len(holds) - _SHOWN} more")
    share = result["late_requests_total"] / result["requests_total"] if result["requests_total"] else 0.0
    longest = max((hold["ms"] for hold in own), default=0.0)
    print(
        f"{len(holds)} holds above {LIMIT_MS:g} ms in the window, held for {result['held_share']:.3%} of the time; "
        f"{len(own)} of the loop itself{f', the longest {longest:.2f} ms' if own else ''}"
    )
    print(f"requests that may have been read more than {LIMIT_MS:g} ms late: {share:.2%}")
    print(f"bar: no hold of the loop itself: {'NOT met' if own else 'met'}")


def _text(value: float | None, unit: str) -> str:
    return "not known" if value is None else f"{value:.2f} {unit}".strip()


if __name__ == "__main__":
    try:
        main()
    except BenchmarkFailed as error:
        sys.exit(f"{Path(__file__).name}: {error}")
