"""Run compiled load generators as senders: their CPU time from the kernel, their requests from what they print."""

from __future__ import annotations

import json
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from support.setting import HERE, SLACK_S, BenchmarkFailed, Ended, Setting

K6_SCRIPT = HERE / "senders" / "k6_post.js"
_CUT_OFF = "aborted due to deadline"
"""What oha calls a request that was in flight when its time was over."""


def wrk(setting: Setting) -> dict[str, Any]:
    """Run wrk for the setting's time, on one thread."""
    # wrk takes whole seconds only.
    seconds = max(1, round(setting.seconds))
    command = ["wrk", "-t", "1", "-c", str(setting.users), "-d", f"{seconds}s"]
    ended = run_program(setting, [*command, "-s", str(HERE / "senders" / "wrk_post.lua"), f"{setting.url}/execute"])
    found = re.search(r"(\d+) requests in", ended.out)
    if found is None:
        raise BenchmarkFailed(f"wrk did not say how many requests it sent: {ended.last_words}")
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", ended.out)
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", ended.out)
    failures = sum(map(int, errors.groups())) if errors else 0
    return whole_process(ended, int(found.group(1)), failures + (int(refused.group(1)) if refused else 0))


def hey(setting: Setting) -> dict[str, Any]:
    """Run hey for the setting's time."""
    ended = run_program(setting, hey_command(setting))
    by_status = {int(status): int(count) for status, count in re.findall(r"\[(\d{3})\]\s+(\d+) responses", ended.out)}
    errors = ended.out.partition("Error distribution:")[2]
    failures = sum(int(count) for count in re.findall(r"^\s*\[(\d+)\]", errors, re.MULTILINE))
    failures += sum(count for status, count in by_status.items() if status != 200)
    return whole_process(ended, sum(by_status.values()), failures)


def hey_command(setting: Setting, *options: str) -> list[str]:
    """Return the command of hey for the setting's time and users."""
    command = ["hey", "-z", f"{setting.seconds:g}s", "-c", str(setting.users), "-m", "POST", "-T", "application/json"]
    if setting.core is not None:
        command += ["-cpus", "1"]
    return [*command, "-D", str(setting.body), *options, f"{setting.url}/execute"]


def oha(setting: Setting) -> dict[str, Any]:
    """Run oha for the setting's time; what is in flight at its end is no failure."""
    ended = run_program(setting, oha_command(setting))
    report = parsed(ended)
    by_status = {int(status): count for status, count in report["statusCodeDistribution"].items()}
    failures = sum(count for error, count in report["errorDistribution"].items() if error != _CUT_OFF)
    failures += sum(count for status, count in by_status.items() if status != 200)
    return whole_process(ended, sum(by_status.values()), failures)


def oha_command(setting: Setting) -> list[str]:
    """Return the command of oha for the setting's time and users."""
    command = ["oha", "-z", f"{setting.seconds:g}s", "-c", str(setting.users), "-m", "POST", "-T", "application/json"]
    as_json = ["--output-format", "json"] if "--output-format" in _help("oha") else ["--json"]
    return [*command, "-D", str(setting.body), "--no-tui", *as_json, f"{setting.url}/execute"]


@cache
def _help(program: str) -> str:
    """Return what a program says of its options, which differ between its releases."""
    return subprocess.run([program, "--help"], capture_output=True, text=True, check=False).stdout


def k6(setting: Setting) -> dict[str, Any]:
    """Run k6 for the setting's time."""
    ended, metrics = run_k6(setting)
    return whole_process(ended, metrics["http_reqs"]["count"], metrics["http_req_failed"]["passes"])


def run_k6(setting: Setting, rate_rps: float | None = None) -> tuple[Ended, dict[str, Any]]:
    """Run k6, closed or (with a rate) as open load; return the values of each metric of its summary."""
    setting.cost_file.unlink(missing_ok=True)
    rate = [] if rate_rps is None else ["--env", f"COST_RATE={rate_rps:g}"]
    ended = run_program(setting, ["k6", "run", "--quiet", "--no-usage-report", *rate, str(K6_SCRIPT)])
    if not setting.cost_file.is_file():
        raise BenchmarkFailed(f"k6 left no summary: {ended.last_words}")
    summary = json.loads(setting.cost_file.read_text(encoding="utf-8"))
    return ended, {name: metric["values"] for name, metric in summary["metrics"].items()}


def vegeta(setting: Setting) -> dict[str, Any]:
    """Run vegeta for the setting's time, as fast as its workers can."""
    ended, results = run_vegeta(setting, "-rate=0", f"-max-workers={setting.users}")
    report = subprocess.run(["vegeta", "report", "-type=json", str(results)], capture_output=True, check=True)
    figures = json.loads(report.stdout)
    return whole_process(ended, figures["requests"], figures["requests"] - figures["status_codes"].get("200", 0))


def run_vegeta(setting: Setting, *options: str) -> tuple[Ended, Path]:
    """Run `vegeta attack` for the setting's time; return it and the file of its results."""
    targets, results = setting.folder / "vegeta.txt", setting.folder / "vegeta.bin"
    targets.write_text(
        f"POST {setting.url}/execute\nContent-Type: application/json\n@{setting.body}\n", encoding="utf-8"
    )
    command = ["vegeta", "attack", f"-duration={setting.seconds:g}s", "-max-body=0", f"-targets={targets}"]
    return run_program(setting, [*command, f"-output={results}", *options]), results


def run_program(setting: Setting, command: list[str]) -> Ended:
    """Run a load generator to its end; raises BenchmarkFailed for any other exit code than 0."""
    ended = setting.run(command, setting.seconds + SLACK_S)
    if ended.exit_code:
        raise BenchmarkFailed(f"exit code {ended.exit_code}: {' '.join(command)}\n{ended.last_words}")
    return ended


def parsed(ended: Ended) -> dict[str, Any]:
    """Return the JSON object that a program printed; raises BenchmarkFailed."""
    try:
        found: dict[str, Any] = json.loads(ended.out)
    except ValueError:
        raise BenchmarkFailed(f"no JSON was printed: {ended.last_words}") from None
    return found


def whole_process(ended: Ended, requests: int, failures: int) -> dict[str, Any]:
    """Return a program's figures, over the whole of its life."""
    return {
        "requests": requests,
        "failures": failures,
        "cpu_s": ended.cpu_s,
        "elapsed_s": ended.elapsed_s,
        "exit_code": ended.exit_code,
        "resident_max_mb": ended.resident_max_mb,
        "observer_cpu_s": None,
    }
