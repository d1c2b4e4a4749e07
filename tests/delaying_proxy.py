"""A TCP proxy that holds back what the server says, and keeps a record of how long."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic_ns

_EXECUTION = re.compile(rb'"execution_id":\s*"([0-9a-f-]{36})"')


class DelayingProxy:
    """Holds each answer to POST /execute for as long as `delay_s` says of its number, counted from 0.

    `held_ns` has, by execution id, the time from the answer's first bytes read to their being handed on.
    """

    def __init__(self, host: str, port: int, delay_s: Callable[[int], float]) -> None:
        self._upstream = host, port
        self._delay_s = delay_s
        self._number = 0
        self.held_ns: dict[str, int] = {}
        self.url = ""

    async def serve(self, ready: threading.Event, done: asyncio.Event) -> None:
        """Take connections on a free port until `done`."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ready.set()
        async with server:
            await done.wait()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up_reader, up_writer = await asyncio.open_connection(*self._upstream)
        except OSError:
            writer.close()
            return
        await asyncio.gather(self._forward(reader, up_writer), self._answer(up_reader, writer))

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 20):
                began = monotonic_ns()
                known = _EXECUTION.search(data)
                if known is not None:
                    number, self._number = self._number, self._number + 1
                    await asyncio.sleep(self._delay_s(number))
                    self.held_ns[known[1].decode()] = monotonic_ns() - began
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()


@contextmanager
def delaying_proxy(url: str, delay_s: Callable[[int], float]) -> Iterator[DelayingProxy]:
    """Run a proxy before the server at `url` in a thread of its own."""
    host, port = url.removeprefix("http://").split(":")
    proxy = DelayingProxy(host, int(port), delay_s)
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    done = asyncio.Event()

    def run() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(proxy.serve(ready, done))
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.gather(*asyncio.all_tasks(loop), return_exceptions=True))
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join(10)
