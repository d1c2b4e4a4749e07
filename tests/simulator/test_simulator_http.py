"""The simulator's HTTP where the contract is silent: limits, upgrades, errors of its own."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Iterator

import pytest

from simulator.fed import Target
from simulator.simulated import SimulatorProcess, raw_request, wait_for

HEALTH = b"GET /health HTTP/1.1\r\nhost: x\r\n"


@pytest.fixture
def target() -> Iterator[Target]:
    with asyncio.Runner() as runner:
        yield Target("v2", runner)


def statuses(written: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+)", written)]


def test_a_head_without_end_is_431(target: Target) -> None:
    """A head over 400 KiB is refused, after the requests before it, whatever it is made of."""
    long_header = [b"x: " + b"y" * 100_000] * 5
    assert statuses(target.feed(HEALTH + b"\r\n" + HEALTH, *long_header)) == [200, 431]
    assert statuses(target.feed(b"GET /", *[b"x" * 100_000] * 5)) == [431]
    assert statuses(target.feed(*[b"x: y\r\n" * 20_000] * 4)) == [400]


def test_what_comes_after_the_last_request_is_ignored(target: Target) -> None:
    """After a request that closes the connection, or one that is not HTTP, nothing is answered."""
    closing = HEALTH + b"connection: close\r\n\r\n"
    assert statuses(target.feed(closing, HEALTH + b"\r\n")) == [200]
    assert statuses(target.feed(b"\x00", HEALTH + b"\r\n")) == [400]


def test_an_upgrade_is_not_taken(target: Target) -> None:
    """A client that offers HTTP/2 is answered in HTTP/1.1, and so is its next request."""
    offer = HEALTH + b"connection: upgrade\r\nupgrade: h2c\r\n\r\n"
    assert statuses(target.feed(offer + HEALTH + b"\r\n")) == [200, 200]


def test_trailers_are_no_headers(target: Target) -> None:
    """A trailer does not change what the body is."""
    head = b"POST /execute HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    assert statuses(target.feed(head + b"2\r\n{}\r\n0\r\ncontent-type: application/json\r\n\r\n")) == [415]


def test_an_absolute_target_is_a_path(target: Target) -> None:
    """A target with a scheme and a host, as proxies get it, means its path."""
    assert statuses(target.feed(b"GET http://x:1/health?a=b HTTP/1.1\r\nhost: x\r\n\r\n")) == [200]


def test_many_requests_at_once_wait_for_their_turn(target: Target) -> None:
    """A client may send a thousand requests before it reads."""
    assert statuses(target.feed((HEALTH + b"\r\n") * 1000)) == [200] * 1000


def test_an_error_of_the_simulator_costs_one_connection(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error in the simulator is reported and recorded, closes the connection, and the next request is served."""
    errors = []
    target.runner.get_loop().set_exception_handler(lambda _loop, context: errors.append(context["exception"]))
    with monkeypatch.context() as broken:
        broken.setattr(target.state.faults, "on_answer", lambda _path: 1 / 0)
        assert target.feed(raw_request({})) == b""
    assert [type(error) for error in errors] == [ZeroDivisionError]
    assert target.state.record.summary()["sent"] == {"error": 1}
    assert statuses(target.feed(HEALTH + b"\r\n")) == [200]


def test_a_port_that_is_taken_during_a_restart_ends_it() -> None:
    """When another process takes the port while the simulator is down, the simulator ends with 2 and a sentence."""
    simulator = SimulatorProcess("--fault", "restart:down=1s,after=50ms")
    wait_for(simulator.is_refused)
    with socket.create_server(("127.0.0.1", simulator.port)):
        assert simulator.process.wait(10) == 2
    assert simulator.close().startswith(f"error: port {simulator.port} on 127.0.0.1 is taken; choose another with ")
