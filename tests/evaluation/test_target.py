"""The blocking client of evaluations against answers that do not end."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pytest

from aether_load.evaluation import target as target_room
from aether_load.evaluation.target import Exchange, Target
from aether_load.protocol import Generation, Outcome
from aether_load.runtime_client import TargetFacts
from aether_load.tls import TlsSettings

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@contextmanager
def answering(packets: Iterable[bytes]) -> Iterator[Target]:
    """A server that answers one request with packets until the client hangs up; yields a client of it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            accepted, _ = listener.accept()
            with accepted:
                accepted.recv(65536)
                try:
                    for packet in packets:
                        accepted.sendall(packet)
                except OSError:
                    return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        facts = TargetFacts(
            f"http://127.0.0.1:{listener.getsockname()[1]}", Generation.V2, simulated=False, server=None
        )
        client = Target(facts, {}, tls=TlsSettings(), connect_timeout_s=5, request_timeout_s=5)
        yield client
        client._own.pool.close()
        thread.join(5)
        assert not thread.is_alive()


def test_a_body_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read up to the limit."""
    monkeypatch.setattr(target_room, "_MOST_RESPONSE_BYTES", 100_000)
    with answering(itertools.chain([HEAD], itertools.repeat(b"3e8\r\n" + b" " * 1000 + b"\r\n"))) as client:
        why = "the answer goes on beyond the limit of 100000 bytes"
        assert client.execute(b"{}") == Exchange(failure=Outcome.INVALID_RESPONSE, reason=why)


@pytest.mark.parametrize(
    "start", [b"HTTP/1.1 200 OK\r\nX: ", HEAD, b"HTTP/1.1 200 OK\r\n\r\n"], ids=["head", "body", "close"]
)
def test_an_answer_that_comes_slowly(start: bytes) -> None:
    """An exchange has a limit in all, however often a byte comes, and a part of an answer is none."""
    pause = threading.Event()

    def dribble() -> Iterator[bytes]:
        for _ in range(100):
            pause.wait(0.02)
            yield b"1\r\n \r\n" if start is HEAD else b" "

    with answering(itertools.chain([start], dribble())) as client:
        client._request_timeout_s = 0.2
        why = "no whole answer within 0.2 s"
        assert client.execute(b"{}") == Exchange(failure=Outcome.TIMEOUT, reason=why)
