"""Compiled load generators as senders: their CPU time from the kernel, their requests from what they print."""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
from typing import Any

from support.setting import HERE, SLACK_S, BenchmarkFailed, Setting, pinned


def wrk(setting: Setting) -> dict[str, Any]:
    """Run wrk for the setting's time, on one thread."""
    # wrk takes whole seconds only.
    seconds = max(1, round(setting.seconds))
    said, figures = _whole_process(
        [
            "wrk", "-t", "1", "-c", str(setting.users), "-d", f"{seconds}s",
            "-s", str(HERE / "senders" / "wrk_post.lua"), f"{setting.url}/execute",
        ],
        setting,
    )  # fmt: skip
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", said)
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    failures = sum(map(int, errors.groups())) if errors else 0
    return figures | {
        "requests": _number(r"(\d+) requests in", said),
        "failures": failures + (int(refused.group(1)) if refused else 0),
    }


def hey(setting: Setting) -> dict[str, Any]:
    """Run hey for the setting's time, on one core."""
    said, figures = _whole_process(
        [
            "hey", "-z", f"{setting.seconds:g}s", "-c", str(setting.users), "-cpus", "1", "-m", "POST",
            "-T", "application/json", "-D", str(setting.body), f"{setting.url}/execute",
        ],
        setting,
    )  # fmt: skip
    by_status = {int(status): int(count) for status, count in re.findall(r"\[(\d{3})\]\s+(\d+) responses", said)}
    errors = said.partition("Error distribution:")[2]
    failures = sum(int(count) for count in re.findall(r"^\s*\[(\d+)\]", errors, re.MULTILINE))
    return figures | {
        "requests": sum(by_status.values()),
        "failures": failures + sum(count for status, count in by_status.items() if status != 200),
    }


def _whole_process(command: list[str], setting: Setting) -> tuple[str, dict[str, Any]]:
    """Run a program to its end; return what it said, and the CPU time of its whole life."""
    said = setting.folder / "said.txt"
    began = time.monotonic()
    with said.open("wb") as words, pinned(setting.core):
        process = subprocess.Popen(command, env=setting.environment, stdin=subprocess.DEVNULL, stdout=words)
    limit = threading.Timer(setting.seconds + SLACK_S, process.kill)
    limit.start()
    try:
        # Popen's own wait() does not tell what the child used.
        _, status, usage = os.wait4(process.pid, 0)
    except BaseException:
        process.kill()
        process.wait()
        raise
    finally:
        limit.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    text = said.read_text(encoding="utf-8", errors="replace")
    if process.returncode != 0:
        raise BenchmarkFailed(f"exit code {process.returncode}: {' '.join(command)}\n{text[-2000:]}")
    cpu_s = usage.ru_utime + usage.ru_stime
    return text, {"cpu_s": cpu_s, "elapsed_s": time.monotonic() - began, "exit_code": process.returncode}


def _number(pattern: str, text: str) -> int:
    found = re.search(pattern, text)
    if found is None:
        raise BenchmarkFailed(f"no requests are told of: {text[-2000:]}")
    return int(found.group(1))
