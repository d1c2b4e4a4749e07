"""Probing what answers at a URL, whatever it is."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from aether_load import runtime_client
from aether_load.errors import TargetError
from aether_load.protocol import Generation
from aether_load.runtime_client import TargetFacts, probe

MISSING = b"Failed to deserialize the JSON body into the target type: missing field `dag` at line 1 column 2"
DEEP = b"[" * 60_000


def reply(status: int, body: bytes, *headers: str) -> bytes:
    head = [f"HTTP/1.1 {status} x", f"Content-Length: {len(body)}", "Connection: close", *headers, "", ""]
    return "\r\n".join(head).encode() + body


@pytest.fixture
def serve() -> Iterator[Callable[..., Any]]:
    """Start a server that sends fixed bytes for each path, in a thread."""
    listening = socket.create_server(("127.0.0.1", 0))
    replies: dict[str, Any] = {}

    def answer() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                received = b""
                while b"\r\n\r\n" not in received:
                    received += connection.recv(65536)
                path = received.split(b" ")[1].decode()
                pieces = replies[path]
                try:
                    for piece in pieces if callable(getattr(pieces, "__next__", None)) else [pieces]:
                        connection.sendall(piece)
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65536):
                        pass
                except OSError:
                    pass

    thread = threading.Thread(target=answer)
    thread.start()

    def start(health: Iterator[Any] | bytes, execute: bytes, cache: bytes = b"") -> str:
        replies.update({"/health": health, "/execute": execute, "/cache/stats": cache})
        return f"http://127.0.0.1:{listening.getsockname()[1]}"

    yield start
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    thread.join()


def test_a_runtime_is_told_from_a_simulator(serve: Callable[..., Any]) -> None:
    """The simulator's own header tells them apart, also behind a proxy that sets its own Server header."""
    url = serve(reply(200, b"OK"), reply(422, MISSING))
    assert probe(url) == TargetFacts(url, Generation.V2, simulated=False, server=None)
    serve(reply(200, b"OK", "X-Aether-Load-Simulator: 0.1.0", "Server: nginx"), reply(422, MISSING))
    assert probe(url) == TargetFacts(url, Generation.V2, simulated=True, server="nginx")


@pytest.mark.parametrize("body", [DEEP, b"\xff\xfe", b'{"simulator": ' * 5000, b"", b"missing field", b"\x00" * 9])
def test_any_body_is_an_answer_or_one_sentence(serve: Callable[..., Any], body: bytes) -> None:
    """Deep, undecodable and empty bodies neither crash the probe nor pass for a runtime's."""
    url = serve(reply(200, body), reply(422, body), reply(200, body))
    assert probe(url).generation is Generation.V2
    serve(reply(200, body), reply(200, body), reply(200, body))
    with pytest.raises(TargetError, match=r"is not an Aether runtime: POST /execute with an empty object was answered"):
        probe(url)


def endless(wait_s: float) -> Iterator[bytes | None]:
    yield b"HTTP/1.1 200 OK\r\n\r\n"
    while True:
        time.sleep(wait_s)
        yield b"x" * (1 if wait_s else 65536)


def dripping() -> Iterator[bytes | None]:
    yield b"HTTP/1.1 200 OK\r\nx: "
    while True:
        time.sleep(0.05)
        yield b"x"


@pytest.fixture
def short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a probe give up soon, and not so soon that a busy machine answers too late."""
    monkeypatch.setattr(runtime_client, "_LIMIT_S", 1.5)
    monkeypatch.setattr(runtime_client, "PROBE_TIMEOUT_S", 1.5)


@pytest.mark.usefixtures("short_limits")
def test_a_head_without_end_ends_the_probe(serve: Callable[..., Any]) -> None:
    """A head that comes byte by byte is given up."""
    began = time.monotonic()
    with pytest.raises(TargetError, match="No runtime can be reached"):
        probe(serve(dripping(), b""))
    assert time.monotonic() - began < 20


@pytest.mark.usefixtures("short_limits")
@pytest.mark.parametrize("wait_s", [0, 0.05])
def test_a_body_without_end_ends_the_probe(serve: Callable[..., Any], wait_s: float) -> None:
    """A body that never ends, fast or slow, is read up to a limit of bytes and of time."""
    began = time.monotonic()
    url = serve(endless(wait_s), reply(422, MISSING))
    assert probe(url).generation is Generation.V2
    assert time.monotonic() - began < 20
