"""Real processes for tests: Locust as its users run it, the command line tool, a simulated runtime."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
import urllib3

from aether_load.cli.main import main

REPOSITORY = Path(__file__).parents[1]
SHARED_DATASETS = REPOSITORY.parent / "shared" / "datasets"
EVAL = REPOSITORY / "locustfiles" / "eval.py"
LIMIT_S = 90


def wait_for(condition: Callable[[], object], what: str, limit_s: float = 30) -> object:
    """Return the condition's first true value; fail with `what` when none came in time."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.02)  # between two looks at the condition, never in place of one
    pytest.fail(f"waited {limit_s} s in vain for {what}")


@dataclass
class Simulator:
    """A simulated runtime of the test's own, as a process."""

    process: subprocess.Popen[bytes]
    url: str

    def record(self) -> dict[str, Any]:
        """Return the totals that the simulator itself has counted."""
        answer: dict[str, Any] = msgspec.json.decode(
            urllib3.request("GET", f"{self.url}/_sim/record?summary=true").data
        )
        return answer

    def order(self, faults: dict[str, Any]) -> None:
        """Order faults."""
        answer = urllib3.request("POST", f"{self.url}/_sim/faults", json=faults)
        assert answer.status == 200, answer.data


@contextmanager
def running_simulator(*options: str) -> Iterator[Simulator]:
    process = subprocess.Popen(
        [sys.executable, "-m", "aether_load.simulator", "--port", "0", "--control", *options],
        stdout=subprocess.PIPE,
        cwd=REPOSITORY,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline().decode()
        assert "listening on " in line, line
        yield Simulator(process, line.split("listening on ")[1].strip())
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@dataclass
class Finished:
    """A Locust run that has ended: exit code, both outputs, and the folder its results went to."""

    code: int
    out: str
    err: str
    results: Path

    @property
    def run_folder(self) -> Path:
        (folder,) = (self.results / "runs").iterdir()
        return folder

    @property
    def nightly(self) -> Path:
        (file,) = self.results.glob("nightly_*.json")
        return file


UNSEEN = ("--set", "phases.0.unique_prompts=true")
"""Options of a load that lasts: prompts that come again are answered by the cache at once, which takes both cores."""

SELF_CHECK = "self-check"
"""Among a test's options: leave the self-check in."""


def locust_options(options: tuple[str, ...], *, page: bool = False) -> list[str]:
    """Return a run's options, without page and self-check unless they are wanted."""
    wanted = [option for option in options if option != SELF_CHECK]
    # It takes a second of each run and has tests of its own.
    without_check = [] if SELF_CHECK in options else ["--no-self-check"]
    return [*wanted, *([] if page else ["--no-page"]), *without_check]


def locust_environment(**more: str) -> dict[str, str]:
    """Return what a Locust is started with: no option of Locust's by a variable, and our package."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("LOCUST_")}
    return {**inherited, "PYTHONPATH": str(REPOSITORY), **more}


class LocustProcess:
    """`locust -f locustfiles/eval.py`, started in a folder of the test's own."""

    def __init__(
        self,
        folder: Path,
        options: tuple[str, ...],
        environment: dict[str, str],
        *,
        page: bool = False,
        locustfile: Path = EVAL,
        under: tuple[str, ...] = (),
    ) -> None:
        """Start it, `under` another command if one is given.

        Without `page` report.html is left out, which costs each run seconds and is tested by itself.
        """
        self.folder = folder
        self.mark = uuid.uuid4().hex
        self.process = subprocess.Popen(
            [*under, sys.executable, "-m", "locust", "-f", str(locustfile), *locust_options(options, page=page)],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # An interactive shell gives its jobs a session of their own; Ctrl-C is then a SIGINT to this process.
            start_new_session=True,
            env=locust_environment(AETHER_TEST_MARK=self.mark, **environment),
        )

    def samples_written(self) -> int:
        """Return the size of the latest run's record file, 0 before there is one."""
        files = list((self.folder / "results" / "runs").glob("*/records*.bin"))
        return max(files, key=lambda file: file.stat().st_mtime_ns).stat().st_size if files else 0

    def runs_begun(self) -> int:
        """Return how many runs have a file of samples."""
        return len(list((self.folder / "results" / "runs").glob("*/run.json")))

    def wait_for_samples(self, more_than: int = 20_000) -> None:
        wait_for(lambda: self.samples_written() > more_than or self.process.poll() is not None, "samples on disk")
        assert self.process.poll() is None, self.process.communicate()

    def readings(self) -> int:
        """Return how often the run has read /metrics so far."""
        files = list((self.folder / "results" / "runs").glob("*/scrapes.jsonl"))
        return len(files[0].read_bytes().splitlines()) if files else 0

    def manifest_text(self) -> str:
        """Return the run's run.json as it stands, empty before there is one."""
        files = list((self.folder / "results" / "runs").glob("*/run.json"))
        return files[0].read_text() if files else ""

    def children(self) -> list[str]:
        """Return the command lines of the processes that this one started."""
        return [line for line in self.left_behind() if " locust " not in line]

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def finish(self) -> Finished:
        out, err = self.process.communicate(timeout=LIMIT_S)
        return Finished(self.process.returncode, out.decode(), err.decode(), self.folder / "results")

    def left_behind(self) -> list[str]:
        """Return the command lines of processes that this run started and that still live."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("AETHER_TEST_MARK") == self.mark and process.status() != "zombie":
                    found.append(" ".join(process.cmdline()))
            except psutil.Error:
                continue
        return found


def assert_refused(finished: Finished, code: int, *words: str) -> None:
    """Exactly one sentence of ours, no traceback, no run folder."""
    said = [line for line in finished.err.splitlines() if line.startswith("aether-load: ") or ": error: " in line]
    assert finished.code == code, finished.err
    assert "Traceback" not in finished.err + finished.out
    assert len(said) == 1, finished.err
    assert all(word in said[0] for word in words), said[0]
    assert not any(finished.results.glob("runs/*"))


def run_command(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run `aether-load …` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "aether_load", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def call_command(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run `aether-load …` in this process, which spares it a second of imports."""
    out, err, before = io.StringIO(), io.StringIO(), Path.cwd()
    os.chdir(cwd)
    try:
        with redirect_stdout(out), redirect_stderr(err):
            code = main(list(arguments))
    finally:
        os.chdir(before)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())
