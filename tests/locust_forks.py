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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from processes import EVAL, LIMIT_S, REPOSITORY, Finished, locust_environment, locust_options


class LocustForks:
    """The process that has imported Locust and the generator, and forks when it is asked to."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(
        self, folder: Path, *options: str, page: bool = False, limit_s: float = LIMIT_S, **environment: str
    ) -> Finished:
        """Run the main job's locustfile headless in `folder`, to its end.

        A variable that modules read as they are imported comes too late here.
        """
        out, err = folder / "fork.out", folder / "fork.err"
        order = {
            "folder": str(folder),
            "arguments": ["-f", str(EVAL), "--headless", *locust_options(options, page=page)],
            "environment": environment,
            "outputs": [str(out), str(err)],
            "limit_s": limit_s,
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(order), file=self._process.stdin, flush=True)
        code = self._process.stdout.readline()
        assert code, "the process that forks has ended"
        return Finished(int(code), out.read_text(), err.read_text(), folder / "results")


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
            # A process group of their own, so that a fork that still runs is ended with them.
            start_new_session=True,
        )
        observers = subprocess.Popen(
            [sys.executable, str(REPOSITORY / "tests" / "observer_fork_server.py")],
            stdin=theirs,
            env=locust_environment(),
        )
    try:
        yield LocustForks(process)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        # Its socket is closed with the last fork, and an observer ends when its sender is gone.
        observers.wait()
