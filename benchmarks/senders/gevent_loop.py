"""Send with bare sockets in gevent's greenlets and look at nothing: the least that a sender on gevent can cost."""

import os
from pathlib import Path
from urllib.parse import urlsplit

import gevent
from gevent import socket as gsocket
from gevent.event import Event
from support.measured_interval import SETTLE_S, MeasuredInterval, write

_RECEIVE_BYTES = 65536


def main() -> None:
    """Post the body on as many connections as the benchmark says; an answer is whatever one read returns."""
    url = urlsplit(os.environ["COST_URL"])
    body = Path(os.environ["COST_BODY"]).read_bytes()
    head = f"POST /execute HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    done = failed = 0
    stopped = Event()

    def user() -> None:
        nonlocal done, failed
        connection = gsocket.create_connection((url.hostname, url.port))
        # gevent's own send and recv each make a failing call first.
        plain = connection._sock  # noqa: SLF001
        readable, wait = gevent.get_hub().loop.io(connection.fileno(), 1), gevent.get_hub().wait
        while not stopped.is_set():
            plain.send(request)
            wait(readable)
            failed += not plain.recv(_RECEIVE_BYTES).startswith(b"HTTP/1.1 200")
            done += 1
        readable.close()
        connection.close()

    users = [gevent.spawn(user) for _ in range(int(os.environ["COST_USERS"]))]
    gevent.sleep(SETTLE_S)
    interval = MeasuredInterval(done, failed)
    gevent.sleep(float(os.environ["COST_SECONDS"]))
    figures = interval.figures(done, failed)
    stopped.set()
    gevent.joinall(users, raise_error=True)
    write(figures)


main()
