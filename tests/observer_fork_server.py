"""The process behind the observers of `fork_locust`: it has imported what they import, and forks one for each order."""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import sys
from typing import Any

from aether_load.observer import judge, results  # noqa: F401 -- what an observer imports when it needs it
from aether_load.observer.__main__ import main

_MOST_BYTES = 1 << 20


def serve() -> None:
    """Fork for each order on the socket that is standard input, and say the observer's process id."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    control = socket.socket(fileno=os.dup(0))
    gc.freeze()  # what is imported is not looked through again in each fork
    while True:
        order, descriptors, _, _ = socket.recv_fds(control, _MOST_BYTES, 2)
        if not order:
            return
        child = os.fork()
        if child == 0:
            control.close()
            become(json.loads(order), *descriptors)
            sys.exit(main())
        for descriptor in descriptors:
            os.close(descriptor)
        control.send(str(child).encode())


def become(order: dict[str, Any], sender: int, errors: int) -> None:
    """Take the sender's socket, its standard error, its folder and its environment."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for number, descriptor in ((0, sender), (1, nowhere), (2, errors)):
        os.dup2(descriptor, number)
        os.close(descriptor)


if __name__ == "__main__":
    serve()
