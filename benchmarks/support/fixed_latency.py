"""Run a compiled server that answers after a fixed time, with little jitter of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.null_server import REFUSAL, TOKENS, Server, answer
from support.setting import BODY, HERE, BenchmarkFailed, pinned

LATENCY_MS = 10
_SOURCE = HERE / "servers" / "fixed_latency.c"


@dataclass(frozen=True)
class Lateness:
    """How much later than due a server wrote its answers, in microseconds; None where it wrote none."""

    count: int
    p50_us: int | None
    p99_us: int | None
    p99_9_us: int | None
    max_us: int | None


@dataclass(frozen=True)
class FixedLatencyServer(Server):
    """A server that says how late it was itself."""

    def lateness(self) -> Lateness:
        """Return the lateness of the answers since the last call."""
        with urllib.request.urlopen(f"{self.url}/lateness", timeout=10) as response:
            found = json.load(response)
        if not found["count"]:
            return Lateness(0, None, None, None, None)
        return Lateness(**found)


@contextmanager
def fixed_latency_server(folder: Path, core: int) -> Iterator[FixedLatencyServer]:
    """Build the server, and run it on `core`; `folder` takes its files, and holds those of `write_one_row`.

    Raises BenchmarkFailed where it cannot be built.
    """
    program = _build(folder)
    answer_file, refusal_file = folder / "answer.json", folder / "refusal.txt"
    answer_file.write_bytes(answer((folder / BODY).read_bytes(), LATENCY_MS))
    refusal_file.write_text(REFUSAL, encoding="utf-8")
    command = [str(program), str(LATENCY_MS), str(TOKENS), str(answer_file), str(refusal_file)]
    with pinned(core):
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        port = process.stdout.readline().decode().strip()
        if not port:
            raise BenchmarkFailed(f"the server of fixed latency did not start: {' '.join(command)}")
        yield FixedLatencyServer(f"http://127.0.0.1:{port}", f"C, epoll and timerfd, {LATENCY_MS} ms", counts=True)
    finally:
        process.kill()
        process.wait()


def _build(folder: Path) -> Path:
    """Compile the server into the folder."""
    if sys.platform != "linux" or shutil.which("cc") is None:
        raise BenchmarkFailed("the server of fixed latency needs Linux and a C compiler (cc); nothing was measured")
    program = folder / "fixed_latency"
    built = subprocess.run(["cc", "-O2", "-o", str(program), str(_SOURCE)], capture_output=True, text=True, check=False)
    if built.returncode:
        raise BenchmarkFailed(f"the server of fixed latency could not be built: {built.stderr[-2000:]}")
    return program
