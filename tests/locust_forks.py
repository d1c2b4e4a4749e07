"""Locust run again and again in forks of one process that has imported it, as Locust's own --processes forks.

Each is a process of its own, with a command line, an exit code and both outputs, and is spared a second of imports. So
is its observer, which is forked from a process that has imported what observers import.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from processes import EVAL, LIMIT_S, REPOSITORY, LocustProcess, locust_environment, locust_options


class LocustForks:
    """The process that has imported Locust and the generator, and forks when it is asked to."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._starts = 0

    def start(
        self,
        folder: Path,
        *options: str,
        page: bool = False,
        locustfile: Path = EVAL,
        limit_s: float = LIMIT_S,
        **environment: str,
    ) -> LocustFork:
        """Start Locust in `folder`; a variable that modules read as they are imported comes too late here."""
        self._starts += 1
        outputs = (folder / f"fork{self._starts}.out", folder / f"fork{self._starts}.err")
        order = {
            "folder": str(folder),
            "arguments": ["-f", str(locustfile), *locust_options(options, page=page)],
            "environment": environment,
            "outputs": [str(output) for output in outputs],
            "limit_s": limit_s,
        }
        return LocustFork(folder, Fork(self, int(self.ask(order)), outputs, limit_s))

    def ask(self, order: dict[str, object]) -> str:
        """Return the answer to an order."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(order), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        assert answer, "the process that forks has ended"
        return answer


class Fork:
    """One fork, as much of a Popen as tests need."""

    def __init__(self, forks: LocustForks, pid: int, outputs: tuple[Path, Path], limit_s: float) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._forks = forks
        self._outputs = outputs
        self._limit_s = limit_s

    def poll(self) -> int | None:
        """Return its exit code once it has ended."""
        if self.returncode is None:
            self.returncode = json.loads(self._forks.ask({"ended": self.pid}))
        return self.returncode

    def wait(self, timeout: float = LIMIT_S) -> int:
        """Wait for its end."""
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("locust", timeout)
            time.sleep(0.01)  # between two looks at it, never in place of one
        return code

    def communicate(self, timeout: float = LIMIT_S) -> tuple[bytes, bytes]:
        """Wait for its end and return what it wrote."""
        self.wait(max(timeout, self._limit_s))
        return self.written()

    def written(self) -> tuple[bytes, bytes]:
        """Return what it has written so far to its two outputs."""
        out, err = self._outputs
        return out.read_bytes(), err.read_bytes()

    def send_signal(self, number: int) -> None:
        """Send it a signal unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it by force."""
        self.send_signal(signal.SIGKILL)


class LocustFork(LocustProcess):
    """A run of Locust in a fork. Which processes it has started cannot be told by their environment."""

    def __init__(self, folder: Path, process: Fork) -> None:
        self.folder = folder
        self.process: Fork = process  # type: ignore[assignment]  # as much of a Popen as is used

    def said(self) -> str:
        """Return what it has written to standard error so far."""
        return self.process.written()[1].decode()

    def left_behind(self) -> list[str]:
        raise NotImplementedError("take start_locust for a test of the processes that a run leaves")


@contextmanager
def running_forks() -> Iterator[LocustForks]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        process = subprocess.Popen(
            [sys.executable, str(REPOSITORY / "tests" / "locust_fork_server.py"), str(ours.fileno())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=locust_environment(),
            pass_fds=[ours.fileno()],
        )
        observers = subprocess.Popen(
            [sys.executable, str(REPOSITORY / "tests" / "observer_fork_server.py")],
            stdin=theirs.fileno(),
            env=locust_environment(),
        )
    try:
        yield LocustForks(process)
    finally:
        process.kill()
        process.communicate()
        # Its socket is closed with the last fork, and an observer ends when its sender is gone.
        observers.wait()
