"""One reading of /metrics on the wire: within its limits, or a reason."""

from __future__ import annotations

import gzip
import itertools
import socket
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from aether_load.observer.messages import MetricsTarget
from aether_load.observer.scraper import MOST_BYTES, MetricsReader
from aether_load.tls import TlsSettings
from folders import counted

TEXT = counted([3, 70])
OK = b"HTTP/1.1 200 OK\r\n"


def whole(body: bytes) -> bytes:
    return OK + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


@contextmanager
def answering(packets: list[bytes] | Slowly) -> Iterator[int]:
    """A server that answers each request on its connections with these packets; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        done = threading.Event()

        def converse(accepted: socket.socket) -> None:
            with accepted, suppress(OSError):
                while accepted.recv(65536):
                    for packet in packets:
                        if done.is_set():
                            return
                        assert packet is not None
                        accepted.sendall(packet)

        def serve() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=converse, args=(listener.accept()[0],), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            done.set()
            listener.shutdown(socket.SHUT_RDWR)


def read(packets: list[bytes] | Slowly, *, timeout: float = 5.0, times: int = 1) -> Sequence[Any]:
    """What readings of a server that answers so bring."""
    with answering(packets) as port:
        target = MetricsTarget(
            f"http://127.0.0.1:{port}/metrics", {}, TlsSettings(), "127.0.0.1", port, timeout_s=timeout
        )
        reader = MetricsReader()
        found = [reader.text(target) for _ in range(times)]
    return found[0] if times == 1 else found


@pytest.mark.parametrize(
    ("packets", "reason"),
    [
        ([whole(gzip.compress(TEXT.encode()))], "the answer is gzip-encoded, which was not asked for"),
        ([b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"], "answered 503"),
        ([whole(b"#" * (MOST_BYTES + 1))], "the answer has more than 16 MiB"),
        ([b"\x1b[2J\x00\n"], "BadStatusLine"),
    ],
)
def test_what_is_no_reading_has_a_reason(packets: list[bytes], reason: str) -> None:
    """It is named for what it is, in characters that can be printed."""
    text, why = read(packets)
    assert text is None
    assert reason in why
    assert why.isprintable()


class Slowly:
    """Packets with a pause before each."""

    def __init__(self, packets: Iterable[bytes], pause_s: float = 0.05) -> None:
        self._packets = packets
        self._pause_s = pause_s

    def __iter__(self) -> Iterator[bytes | None]:
        for packet in self._packets:
            threading.Event().wait(self._pause_s)
            yield packet


@pytest.mark.parametrize(
    "packets",
    [
        itertools.chain([OK, b"X: "], itertools.repeat(b"y", 100)),
        itertools.chain([whole(TEXT.encode())[:60]], itertools.repeat(b"#", 100)),
        itertools.chain([OK + b"\r\n" + TEXT.encode()], itertools.repeat(b"\n", 100)),
    ],
    ids=["head", "body", "until close"],
)
def test_a_reading_ends_at_its_limit_however_slowly_it_comes(packets: Iterable[bytes]) -> None:
    """Each byte is in time, the whole is not: there is a reason, and no part of a text passes for all of it."""
    assert read(Slowly(packets), timeout=0.3) == (None, "no whole answer within 0.3 s")


def test_a_slow_reading_has_the_time_that_the_scenario_gives() -> None:
    """Within it the text comes, again and again on one connection."""
    halves = whole(TEXT.encode())
    assert read(Slowly([halves[:40], halves[40:]]), timeout=5, times=3) == [(TEXT, None)] * 3


def test_bytes_that_are_not_utf_8_do_not_spoil_a_reading() -> None:
    """They are replaced; what is read of the text stands elsewhere in it."""
    assert read([whole(b"# \xff\n" + TEXT.encode())]) == ("# \ufffd\n" + TEXT, None)
