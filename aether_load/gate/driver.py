"""Drive a gate's load with Locust in a child process, and find the run that it left."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from aether_load.environment import child_environment
from aether_load.errors import ExitCode
from aether_load.gate.servers import before_exec
from aether_load.rundata.folder import RunFolder
from aether_load.scenario.gate_plan import GateJob
from aether_load.scenario.load import shipped_file


class NoRun(Exception):
    """The load never began; its process has said why, and ended with this exit code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def drive_gate(
    job: GateJob, words: Sequence[str], results: Path, cores: frozenset[int] | None
) -> tuple[RunFolder, int]:
    """Drive a gate's windows; return its folder and the exit code of the process. Raises NoRun."""
    with tempfile.TemporaryDirectory(prefix="aether-load-gate-") as name:
        file = Path(name) / "plan.json"
        file.write_bytes(msgspec.json.encode(job))
        code = run_locust("gate.py", ["--host", job.plan.base, "--gate", str(file), *words], results, cores)
        pointer = Path(f"{file}.run")
        if not pointer.is_file():
            raise NoRun(code or int(ExitCode.INVALID))
        return RunFolder.open(Path(pointer.read_text(encoding="utf-8"))), code


def run_locust(locustfile: str, words: Sequence[str], results: Path, cores: frozenset[int] | None) -> int:
    """Run one of the shipped locustfiles, headless, to its end; hand Ctrl-C and SIGTERM on to it."""
    command = [sys.executable, "-m", "locust", "-f", str(shipped_file("locustfiles", locustfile)), "--headless"]
    child = subprocess.Popen(
        [*command, "--no-self-check", "--loglevel", "WARNING", "--results-dir", str(results), *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        # What ends the run is said by this process, so that servers outlive the last answer.
        start_new_session=True,
        env=child_environment(),
        preexec_fn=before_exec(cores),  # noqa: PLW1509 -- no threads here
    )
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:
            child.send_signal(signal.SIGINT)
