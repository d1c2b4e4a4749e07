"""What a request costs the sender in CPU time: our users beside Locust's stock FastHttpUser.

Both post the same body to the simulated runtime at latency 0, on a keep-alive connection each, and decode the
answer; in turn, several rounds, medians. Bounded in time; 127.0.0.1 only.

    python benchmarks/sending_path.py [--rounds 5] [--seconds 4] [--users 32] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from aether_load.protocol import Generation
from aether_load.workload.loading import load_prompts
from aether_load.workload.scenario import find_scenario, load_scenario
from aether_load.workload.workload import build_workload

HERE = Path(__file__).parent
SENDERS = {"aether-load": "cost_of_ours.py", "FastHttpUser": "cost_of_fast_http.py"}


def main() -> None:
    """Measure and print a table; with --json write the rounds too."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--users", type=int, default=32)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in SENDERS}
    with tempfile.TemporaryDirectory() as folder:
        body = Path(folder) / "body.json"
        body.write_bytes(_one_body())
        runtime = _start_runtime(cores[0])
        try:
            assert runtime.stdout is not None
            url = runtime.stdout.readline().decode().split()[-1]
            for _ in range(arguments.rounds):
                for name, locustfile in SENDERS.items():
                    rounds[name].append(_round(locustfile, url, body, Path(folder), arguments, cores[-1]))
        finally:
            runtime.kill()
            runtime.wait()
    _print(rounds)
    if arguments.json:
        arguments.json.write_text(json.dumps(rounds, indent=2) + "\n", encoding="utf-8")


def _one_body() -> bytes:
    """Return the body of one bundled prompt; every round of either sender posts bodies of this kind."""
    scenario = load_scenario(find_scenario("eval"), {"workload.limit": 1, "workload.datasets": ["hellaswag"]})
    prompts, _ = load_prompts(scenario)
    return build_workload(prompts, scenario.workload, Generation.V2).bodies[0]


def _start_runtime(core: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "aether_load", "simulate", "--port", "0", "--latency", "constant:0ms"]
    runtime = subprocess.Popen(command, stdout=subprocess.PIPE)
    os.sched_setaffinity(runtime.pid, {core})
    return runtime


def _round(
    locustfile: str, url: str, body: Path, folder: Path, arguments: argparse.Namespace, core: int
) -> dict[str, float]:
    cost = folder / "cost.json"
    cost.unlink(missing_ok=True)
    command = [
        sys.executable, "-m", "locust", "-f", str(HERE / "locustfiles" / locustfile), "--headless", "--host", url,
        "-u", str(arguments.users), "--loglevel", "ERROR", "--only-summary",
    ]  # fmt: skip
    if locustfile == SENDERS["aether-load"]:
        # One prompt, so that both senders have the same bytes and the runtime's cache the same part in it.
        command += ["-t", f"{arguments.seconds:g}s", "--limit", "1", "--set", 'workload.datasets=["hellaswag"]']
        command += ["--results-dir", str(folder / "results")]
    else:
        command += ["-r", str(arguments.users)]
    environment = os.environ | {
        "COST_FILE": str(cost),
        "COST_BODY": str(body),
        "COST_SECONDS": str(arguments.seconds),
    }
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.sched_setaffinity(process.pid, {core})
    process.wait(timeout=arguments.seconds + 60)
    figures: dict[str, float] = json.loads(cost.read_text(encoding="utf-8"))
    return figures


def _print(rounds: dict[str, list[dict[str, float]]]) -> None:
    medians: dict[str, Any] = {}
    print(f"{'sender':14} {'CPU us/request':>15} {'requests/s':>11} {'rounds':>7}")
    for name, figures in rounds.items():
        cost = statistics.median(figure["cpu_s"] / figure["requests"] * 1e6 for figure in figures)
        rate = statistics.median(figure["requests"] / figure["elapsed_s"] for figure in figures)
        medians[name] = cost
        print(f"{name:14} {cost:15.1f} {rate:11.0f} {len(figures):7d}")
    print(f"FastHttpUser costs {medians['FastHttpUser'] / medians['aether-load']:.1f} times as much CPU a request")


if __name__ == "__main__":
    main()
