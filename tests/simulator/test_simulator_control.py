"""The control endpoints: who may use them."""

from __future__ import annotations

import asyncio

import pytest

from aether_load.simulator import control
from aether_load.simulator.http.messages import Answer, Request
from aether_load.simulator.options import Options
from aether_load.simulator.runtime_state import RuntimeState
from simulator.simulated import JSON_TYPE, Simulator

PATHS = ("/_sim", "/_sim/record", "/_sim/faults")


def test_the_endpoints_are_off_unless_asked_for() -> None:
    """Without --control the paths under /_sim are unknown, as in a runtime."""
    simulator = Simulator("--latency", "constant:0", control=False)
    replies = [simulator.call(method, path, b"[]", JSON_TYPE) for path in PATHS for method in ("GET", "POST")]
    assert [(reply.status, reply.body) for reply in replies] == [(404, b"")] * 6
    assert simulator.close() == []


def test_paths_and_methods(tame: Simulator) -> None:
    """An unknown path under /_sim is 404 and names the others; a wrong method is 405."""
    assert tame.get("/_sim/nothing").status == 404
    allowed = [tame.call("PUT", path).headers["allow"] for path in ("/_sim/record", "/_sim/faults")]
    assert allowed == ["GET,HEAD", "GET,HEAD,POST,DELETE"]
    assert tame.get("/_sim/record").headers["content-type"] == "application/x-ndjson"


@pytest.mark.parametrize(
    ("peer", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("127.0.0.1", {b"host": b"localhost:3000"}, 200),
        ("127.9.9.9", {b"host": b"127.0.0.1"}, 200),
        ("::1", {b"host": b"[::1]:3000"}, 200),
        ("::ffff:127.0.0.1", {b"host": b"127.0.0.1:3000"}, 200),
        ("10.0.0.7", {b"host": b"localhost"}, 403),
        ("fe80::1", {}, 403),
        ("127.0.0.1", {b"host": b"rebound.example:3000"}, 403),
        ("127.0.0.1", {b"host": b"localhost.rebound.example"}, 403),
        ("127.0.0.1", {b"host": b"["}, 403),
        ("127.0.0.1", {b"host": b""}, 403),
        ("127.0.0.1", {b"host": b"localhost", b"origin": b"http://localhost"}, 403),
    ],
)
def test_only_programs_on_this_machine_may_use_them(peer: str, headers: dict[bytes, bytes], status: int) -> None:
    """Other machines, web pages, and names that are not this machine's get 403, and no header that lets a page read."""

    async def ask() -> Answer:
        request = Request(0)
        request.method, request.path, request.headers = "GET", "/_sim/record", headers
        state = RuntimeState(Options(control=True), print, print)
        return control.answer(request, peer, state)

    answer = asyncio.run(ask())
    assert answer.status == status
    assert "access-control" not in answer.headers
