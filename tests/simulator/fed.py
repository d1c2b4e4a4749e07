"""A simulator without sockets, in the thread of its test."""

from __future__ import annotations

import asyncio
import json
from asyncio.runners import Runner
from typing import Any

from aether_load.simulator.engine.latency import Latency
from aether_load.simulator.http.connection import Connection
from aether_load.simulator.http.messages import Request
from aether_load.simulator.options import Generation, Options
from aether_load.simulator.runtime_state import RuntimeState
from aether_load.simulator.service import Service


class Pipe(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 0)})
        self.written = b""
        self.closed = False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class Target:
    """A simulator at latency 0 whose service is called and whose connections are fed."""

    def __init__(self, generation: Generation, runner: Runner) -> None:
        options = Options(generation=generation, latency=Latency("constant", (0.0,)), control=True)
        self.generation = generation
        self.runner = runner
        self.state = RuntimeState(options, print, print)
        self.service = Service(self.state)

    def ask(self, body: bytes, query: str = "", content_type: bytes = b"application/json") -> tuple[int, Any] | None:
        """Return status and decoded answer, or None for a connection that was closed without one."""
        connection, pipe = self.connect()
        headers = {b"content-type": content_type}
        request = Request(0, method="POST", path="/execute", query=query, headers=headers, body=body)
        self.runner.run(self.service.serve(request, connection))
        if pipe.closed:
            assert json.loads(self.state.record.lines().splitlines()[-1])["sent"] == "panic"
            return None
        head, _, answer = pipe.written.partition(b"\r\n\r\n")
        status = int(head.split(b" ")[1])
        return status, json.loads(answer) if status == 200 else answer.decode()

    def feed(self, *pieces: bytes) -> bytes:
        """Give a connection what a client sends, piece by piece; return what it answers."""
        connection, pipe = self.connect()

        async def feed() -> None:
            for piece in pieces:
                connection.data_received(piece)
            if connection._task is not None:
                await connection._task
            connection.connection_lost(None)

        self.runner.run(feed())
        return pipe.written

    def connect(self) -> tuple[Connection, Pipe]:
        connection, pipe = Connection(self.service), Pipe()
        connection.connection_made(pipe)
        return connection, pipe
