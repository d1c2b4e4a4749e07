"""The process behind `locust_forks`: it imports Locust and the generator, and forks for each order on its input."""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gevent
import gevent.os
import gevent.subprocess
import locust.main
from gevent import monkey

from aether_load.load import observer_client
from aether_load.load.users import aether_user  # noqa: F401 -- what every locustfile of ours imports

_OBSERVERS = int(sys.argv[1])
_poll = monkey.get_original("select", "select")


class ForkedObserver:
    """An observer that another process has forked, as much of a Popen as its client needs."""

    def __init__(self, _command: list[str], *, stdin: int, env: dict[str, str], **_more: Any) -> None:
        control = socket.socket(fileno=os.dup(_OBSERVERS))
        order = {"folder": str(Path.cwd()), "environment": env}
        socket.send_fds(control, [json.dumps(order).encode()], [stdin, 2])
        self.pid = int(control.recv(64))
        control.close()
        self._ended = os.pidfd_open(self.pid)

    def poll(self) -> int | None:
        """Return 0 when it has ended; how is not known to anyone but its parent."""
        return 0 if _poll([self._ended], [], [], 0)[0] else None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end."""
        with gevent.Timeout(timeout, gevent.subprocess.TimeoutExpired("observer", timeout)):
            while self.poll() is None:
                gevent.sleep(0.005)
        return 0

    def kill(self) -> None:
        """End it by force."""
        os.kill(self.pid, signal.SIGKILL)


def serve() -> None:
    """Fork for each order and say the fork's id, or say how one has ended; in a fork, become Locust."""
    waitpid = monkey.get_original("os", "waitpid")
    if hasattr(os, "pidfd_open"):
        forking = SimpleNamespace(Popen=ForkedObserver, TimeoutExpired=gevent.subprocess.TimeoutExpired)
        observer_client.gsubprocess = forking  # type: ignore[attr-defined]
    gc.freeze()  # what is imported is not looked through again in each fork
    while line := sys.stdin.readline():
        order = json.loads(line)
        if "ended" in order:
            ended, status = waitpid(order["ended"], os.WNOHANG)
            print(json.dumps(os.waitstatus_to_exitcode(status) if ended else None), flush=True)
            continue
        child = gevent.os.fork()
        if child == 0:
            become(order)
            sys.argv = ["locust", *order["arguments"]]
            locust.main.main()  # type: ignore[no-untyped-call]
            return
        print(child, flush=True)


def become(order: dict[str, Any]) -> None:
    """Take the folder, environment and outputs that were ordered; one that hangs is ended by the alarm."""
    os.setsid()
    signal.alarm(order["limit_s"])
    os.chdir(order["folder"])
    os.environ.update(order["environment"])
    writable = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    for number, (path, how) in enumerate([(os.devnull, os.O_RDONLY), *((path, writable) for path in order["outputs"])]):
        opened = os.open(path, how, 0o600)
        os.dup2(opened, number)
        os.close(opened)


if __name__ == "__main__":
    serve()
