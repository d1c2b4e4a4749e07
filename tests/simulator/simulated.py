"""Simulators in a thread or in a process of their own, and a client that knows nothing of the harness."""

from __future__ import annotations

import argparse
import asyncio
import http.client
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, NamedTuple, TypeVar

import msgspec

from aether_load.simulator.cli import add_arguments, read_options
from aether_load.simulator.options import Options
from aether_load.simulator.server import Server

T = TypeVar("T")
JSON_TYPE = {"content-type": "application/json"}
COMMAND = [sys.executable, "-m", "aether_load.simulator"]


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class Client:
    """A client of the simulator on a port of this machine."""

    port: int

    def connect(self, timeout: float = 20.0) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout)

    def is_refused(self) -> bool:
        try:
            self.connect().close()
        except ConnectionRefusedError:
            return True
        return False

    def call(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, names, response.read())
        finally:
            connection.close()

    def get(self, path: str) -> Reply:
        return self.call("GET", path)

    def post(self, path: str, value: Any) -> Reply:
        return self.call("POST", path, msgspec.json.encode(value), JSON_TYPE)

    def run(self, *nodes: dict[str, Any], query: str = "", **rest: Any) -> Any:
        """Run nodes of today's generation; return the decoded answer."""
        reply = self.post(f"/execute{query}", {"dag": {"nodes": nodes}, **rest})
        assert reply.status == 200, reply
        return reply.json()

    def order(self, *faults: dict[str, Any]) -> Any:
        reply = self.post("/_sim/faults", faults)
        assert reply.status == 200, reply
        return reply.json()

    def record(self) -> list[dict[str, Any]]:
        return [msgspec.json.decode(line) for line in self.get("/_sim/record").body.splitlines()]

    def summary(self) -> Any:
        return self.get("/_sim/record?summary=true").json()

    def metrics(self) -> dict[str, float]:
        lines = self.get("/metrics").body.decode().splitlines()
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}


class Simulator(Client):
    """A simulator in a thread; `close` ends it and returns what went wrong in it."""

    def __init__(self, *flags: str, control: bool = True) -> None:
        parser = argparse.ArgumentParser()
        add_arguments(parser)
        options = read_options(parser.parse_args(["--port", "0", *flags, *(["--control"] * control)]))
        self._errors: list[dict[str, Any]] = []
        started: Future[Callable[[], object]] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(options, started)))
        self._thread.start()
        self._end = started.result(10)

    async def _serve(self, options: Options, started: Future[Callable[[], object]]) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: self._errors.append(context))
        try:
            server = Server(options)
            self.port = int(server.start().rsplit(":", 1)[1])
        except Exception as error:  # noqa: BLE001 -- raised where the simulator was started
            started.set_exception(error)
            return
        started.set_result(lambda: loop.call_soon_threadsafe(server.end))
        await server.ended
        await server.stop()

    def close(self) -> list[dict[str, Any]]:
        if self._thread.is_alive():
            self._end()
            self._thread.join(10)
        assert not self._thread.is_alive()
        return self._errors


class SimulatorProcess(Client):
    """A simulator in a process; `close` ends it by its pid and returns what it printed on standard error."""

    def __init__(self, *flags: str) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, "--port", "0", "--exit-with-parent", "--control", *flags],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline().rstrip("\n")
        if not self.line:
            raise RuntimeError(self.process.communicate()[1])
        self.port = int(self.line.rsplit(":", 1)[1])

    def close(self) -> str:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.communicate(timeout=10)[1]
        except subprocess.TimeoutExpired:
            self.process.kill()
            return f"{self.process.communicate()[1]}\nit had to be killed"


def llm(node_id: str = "a", prompt: str = "hello", **fields: Any) -> dict[str, Any]:
    return {"id": node_id, "node_type": "llm_fn", "prompt_template": prompt, **fields}


def wait_for(condition: Callable[[], T], limit: float = 10.0) -> T:
    """Ask until the answer is true; fail after the limit in seconds."""
    end = time.monotonic() + limit
    while not (value := condition()):
        assert time.monotonic() < end, "the condition did not come true"
        select.select([], [], [], 0.005)
    return value


def raw_request(value: Any, path: str = "/execute", extra: str = "") -> bytes:
    body = msgspec.json.encode(value)
    announced = f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
    return f"POST {path} HTTP/1.1\r\nhost: x\r\n{announced}{extra}\r\n".encode() + body


def read_all(connection: socket.socket) -> bytes:
    """Read until the other side closes."""
    pieces = []
    while piece := connection.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
