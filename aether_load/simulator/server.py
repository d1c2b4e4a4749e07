"""The simulator's process: it listens, and ends when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

from aether_load.simulator import fault_kinds as kinds
from aether_load.simulator.durations import parse_duration
from aether_load.simulator.http.connection import Connection
from aether_load.simulator.http.listener import Listener
from aether_load.simulator.runtime_state import RuntimeState
from aether_load.simulator.service import Service

if TYPE_CHECKING:
    from aether_load.simulator.options import Options

_STDIN = 0


class Server:
    """One simulated runtime on one port."""

    def __init__(self, options: Options, loop: asyncio.AbstractEventLoop) -> None:
        self._options = options
        self._loop = loop
        self._world = RuntimeState(options, loop, self._misbehave)
        self._service = Service(self._world)
        self._listener = Listener(loop, lambda: Connection(self._service))
        self._address = (options.bind, options.port)

    def start(self) -> str:
        """Listen; return the URL. UsageError when the address cannot be had."""
        self._address = host, port = self._listener.open(*self._address)
        self._world.faults.order(self._options.faults)
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def stop(self) -> None:
        """Close everything."""
        self._listener.close()
        for connection in list(self._service.connections):
            connection.break_off("exit")
        self._world.record.close()

    def _misbehave(self, fault: kinds.ProcessFault) -> None:
        match fault:
            case kinds.Stall():
                self._world.clock.stall(parse_duration(fault.lasting))
            case kinds.Restart():
                self._restart(parse_duration(fault.down))
            case kinds.Exit():
                os._exit(fault.code)

    def _restart(self, down: float) -> None:
        for connection in list(self._service.connections):
            connection.break_off("restart")
        self._world.forget()
        if down:
            self._listener.close()
            self._loop.call_later(down, self._listener.open, *self._address)


async def serve(options: Options) -> None:
    """Run a simulated runtime until SIGTERM, SIGINT, or the parent's end if it is watched."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    server = Server(options, loop)
    url = server.start()
    if options.exit_with_parent:
        threading.Thread(target=_watch_parent, args=(loop, ended), daemon=True).start()
    gc.collect()
    gc.freeze()  # what stands now stays; the collector need not look at it again
    # In one piece: print() without a buffer writes a line and its end apart, and another process may come between.
    sys.stdout.write(f"simulated Aether runtime {options.generation} listening on {url}\n")
    sys.stdout.flush()
    await ended.wait()
    server.stop()


def _watch_parent(loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
    """Wait for the end of standard input, which comes when the parent closes it or is gone, however it went."""
    with contextlib.suppress(OSError):  # a standard input that was never open has ended too
        while os.read(_STDIN, 4096):
            pass
    with contextlib.suppress(RuntimeError):  # a signal came first, and the loop is closed
        loop.call_soon_threadsafe(ended.set)
