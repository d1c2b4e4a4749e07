"""Read the CPU time and memory of the target's process, where it runs on this machine."""

from __future__ import annotations

import ipaddress
import socket
from contextlib import suppress
from time import monotonic_ns
from typing import Any

import psutil

from aether_load.rundata.process_usage import ServerReading


class ServerWatch:
    """Finds the processes that listen at an address, once a phase, and reads them each second.

    Looking for them walks through every process of the machine, which takes too long to be done under load. They
    are all that hold a listening socket there, and their descendants: a server may fork after it began to listen.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._found: list[psutil.Process] = []
        self._names: tuple[str, ...] = ()
        self._reason: str | None = None
        self._said: str | None = None

    def find(self) -> None:
        """Look for the processes anew."""
        self._found, self._names = [], ()
        try:
            addresses = _local_addresses(self._host)
        except OSError as error:
            self._reason = f"the name {self._host} could not be looked up: {error.strerror or error}"
            return
        if not addresses:
            self._reason = "the target runs on another machine"
            return
        try:
            self._found, self._reason = _listeners(addresses, self._port)
            self._names = tuple(sorted({process.name() for process in self._found}))
        except (psutil.Error, OSError) as error:
            self._found = []
            self._reason = f"the target's process could not be looked for: {error}"

    def read(self) -> ServerReading | None:
        """Return what the processes have taken so far; a reason why not is returned once, then None."""
        cpu_s = 0.0
        resident = 0
        try:
            for process in self._found:
                with process.oneshot():
                    times = process.cpu_times()
                    cpu_s += times.user + times.system
                    resident += process.memory_info().rss
        except psutil.NoSuchProcess:
            self._found, self._reason = [], "the target's process ended"
        except psutil.AccessDenied:
            self._found, self._reason = [], "this user may not read the target's process"
        if self._found:
            self._said = None
            return ServerReading(
                at_ns=monotonic_ns(),
                cpu_s=round(cpu_s, 3),
                resident_bytes=resident,
                processes=len(self._found),
                names=self._names,
            )
        if self._reason == self._said:
            return None
        self._said = self._reason
        return ServerReading(at_ns=monotonic_ns(), reason=self._reason)


def _local_addresses(host: str) -> set[str]:
    """Return those of a host's addresses that are this machine's own."""
    own = {address.address.split("%")[0] for interface in psutil.net_if_addrs().values() for address in interface}
    found = {str(info[4][0]).split("%")[0] for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    return {address for address in found if address in own or ipaddress.ip_address(address).is_loopback}


def _listeners(addresses: set[str], port: int) -> tuple[list[psutil.Process], str | None]:
    """Return the processes that listen on a port of these addresses, or none and why."""
    everywhere = {"0.0.0.0", "::", *addresses, *(f"::ffff:{address}" for address in addresses)}  # noqa: S104
    there = [
        connection
        for connection in psutil.net_connections("tcp")
        if _listens(connection, port) and connection.laddr and connection.laddr.ip in everywhere
    ]
    holders = {connection.pid for connection in there if connection.pid is not None}
    if not holders:
        why = "this user may not see whose socket it is" if there else "no process of this machine listens there"
        return [], why
    found = {}
    for pid in sorted(holders):
        with suppress(psutil.NoSuchProcess):
            first = _first_of(psutil.Process(pid), port)
            for process in (first, *first.children(recursive=True)):
                found[process.pid] = process
    return list(found.values()), None


def _first_of(process: psutil.Process, port: int) -> psutil.Process:
    """Return the ancestor that a listening socket came from: of those who share one, the system names any."""
    with suppress(psutil.AccessDenied):
        while (parent := process.parent()) is not None and any(
            _listens(connection, port) for connection in parent.net_connections("tcp")
        ):
            process = parent
    return process


def _listens(connection: Any, port: int) -> bool:
    return connection.status == psutil.CONN_LISTEN and bool(connection.laddr) and connection.laddr.port == port
