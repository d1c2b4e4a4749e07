"""Run the simulator as a server, and as a process."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import threading

from aether_load.errors import AetherLoadError, UsageError
from aether_load.simulator import fault_kinds as kinds
from aether_load.simulator.durations import parse_duration
from aether_load.simulator.http.connection import Connection
from aether_load.simulator.http.listener import Listener
from aether_load.simulator.options import Options
from aether_load.simulator.runtime_state import RuntimeState
from aether_load.simulator.service import Service

_STDIN, _STDOUT = 0, 1


class Server:
    """One simulated runtime on one port; `ended` is done when it is to end, with an error if there is one."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._state = RuntimeState(options, self._apply, self._fail)
        self._service = Service(self._state)
        self._listener = Listener(lambda: Connection(self._service))
        self._address = (options.bind, options.port)
        self._restarting: asyncio.Task[None] | None = None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def start(self) -> str:
        """Listen; return the URL. Raises UsageError when the address cannot be had."""
        self._address = host, port = self._listener.open(*self._address)
        self._state.faults.add(self._options.faults)
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def end(self) -> None:
        """Ask for the end."""
        if not self.ended.done():
            self.ended.set_result(None)

    async def stop(self) -> None:
        """Close everything."""
        await self._listener.close()
        self._break_off("exit")

    def _break_off(self, reason: str) -> None:
        for connection in list(self._service.connections):
            connection.break_off(reason)

    def _apply(self, fault: kinds.ProcessFault) -> None:
        match fault:
            case kinds.Stall():
                self._state.clock.stall(parse_duration(fault.lasting))
            case kinds.Restart():
                self._break_off("restart")
                self._state.restart()
                if down := parse_duration(fault.down):
                    self._restarting = asyncio.get_running_loop().create_task(self._stay_down(down))
            case kinds.Exit():
                os._exit(fault.code)

    async def _stay_down(self, seconds: float) -> None:
        await self._listener.close()
        await asyncio.sleep(seconds)
        try:
            self._listener.open(*self._address)
        except UsageError as error:  # another process has taken the port meanwhile
            self._fail(error)

    def _fail(self, error: AetherLoadError) -> None:
        if not self.ended.done():
            self.ended.set_exception(error)


async def serve(options: Options) -> None:
    """Run a simulated runtime until SIGTERM, SIGINT, or the parent's end if it is watched."""
    loop = asyncio.get_running_loop()
    server = Server(options)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.end)
    url = server.start()
    if options.exit_with_parent:
        threading.Thread(target=_watch_parent, args=(loop, server), daemon=True).start()
    gc.collect()
    gc.freeze()  # what exists now stays, and the collector need not look at it again
    line = f"simulated Aether runtime {options.generation} listening on {url}\n"
    with contextlib.suppress(OSError):  # nobody reads standard output, or it is closed
        os.write(_STDOUT, line.encode())  # in one piece, into which no other process writes
    await server.ended
    await server.stop()


def _watch_parent(loop: asyncio.AbstractEventLoop, server: Server) -> None:
    """Wait for the end of standard input, which comes when the parent closes it or is gone, however it went."""
    with contextlib.suppress(OSError):  # a standard input that was never open has ended too
        while os.read(_STDIN, 4096):
            pass
    with contextlib.suppress(RuntimeError):  # a signal came first, and the loop is closed
        loop.call_soon_threadsafe(server.end)
