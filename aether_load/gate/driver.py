"""Drive a gate's load with Locust in a child process, and find the run that it left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from aether_load.environment import child_environment
from aether_load.errors import ExitCode
from aether_load.gate.servers import before_exec
from aether_load.gate.signals import ENDING, handed_on
from aether_load.rundata.folder import RunFolder
from aether_load.scenario.gate_plan import GateJob
from aether_load.scenario.load import SENDER, shipped_file


class NoRun(Exception):
    """The load never began; its process has said why, and ended with this exit code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def drive_gate(
    job: GateJob, words: Sequence[str], results: Path, cores: frozenset[int] | None, own: Path
) -> tuple[RunFolder, int]:
    """Drive a gate's windows; return its folder and the exit code of the process. Raises NoRun.

    `own` is the gate's temporary folder: the plan may hold secrets, which a run's folder never does.
    """
    file = own / "plan.json"
    file.write_bytes(msgspec.json.encode(job))
    pointer = Path(f"{file}.run")
    pointer.unlink(missing_ok=True)
    code = run_locust("gate.py", ["--host", job.plan.base, "--gate", str(file), *words], results, cores)
    if not pointer.is_file():
        raise NoRun(code or int(ExitCode.INVALID))
    return RunFolder.open(Path(os.fsdecode(pointer.read_bytes()))), code


def run_locust(locustfile: str, words: Sequence[str], results: Path, cores: frozenset[int] | None) -> int:
    """Run one of the shipped locustfiles, headless, to its end; hand Ctrl-C, SIGTERM and SIGHUP on to it."""
    command = [sys.executable, "-m", SENDER, "-f", str(shipped_file("locustfiles", locustfile)), "--headless"]
    prepare = before_exec(cores)

    def before_sending() -> None:
        prepare()
        # They wait until the program listens, which lets them through.
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)

    child = subprocess.Popen(
        [*command, "--no-self-check", "--loglevel", "WARNING", "--results-dir", str(results), *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        # What ends the run is said by this process, so that servers outlive the last answer.
        start_new_session=True,
        env=child_environment(),
        preexec_fn=before_sending,  # noqa: PLW1509 -- no threads here
    )
    with handed_on(child):
        return child.wait()
