"""The process behind `locust_forks`: it imports Locust and the generator, and forks for each order on its input."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

import gevent.os
import locust.main
from gevent import monkey

from aether_load.load.sending import users  # noqa: F401 -- what every locustfile of ours imports


def serve() -> None:
    """Fork for each order and say its exit code; in a fork, become Locust."""
    waitpid = monkey.get_original("os", "waitpid")
    while line := sys.stdin.readline():
        child = gevent.os.fork()
        if child == 0:
            order = json.loads(line)
            become(order)
            sys.argv = ["locust", *order["arguments"]]
            locust.main.main()
            return
        print(os.waitstatus_to_exitcode(waitpid(child, 0)[1]), flush=True)


def become(order: dict[str, Any]) -> None:
    """Take the folder, environment and outputs that were ordered; one that hangs is ended by the alarm."""
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
