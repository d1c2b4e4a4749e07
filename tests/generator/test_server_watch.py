"""The target's process is found by who listens at its address, on this machine and nowhere else."""

import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from aether_load.observer.server_watch import ServerWatch
from aether_load.rundata.process_usage import ServerReading
from processes import running_simulator, wait_for

# Listens, and then forks a worker that shares the socket, as servers with several processes do.
FORKING = """
import os, socket, sys
listening = socket.create_server(("127.0.0.1", 0))
if os.fork() == 0:
    sys.stdin.read()
    os._exit(0)
print(listening.getsockname()[1], flush=True)
sys.stdin.read()
os.wait()
"""


def reading_of(host: str, port: int) -> tuple[ServerWatch, ServerReading]:
    watch = ServerWatch(host, port)
    watch.find()
    reading = watch.read()
    assert reading is not None
    return watch, reading


def test_a_server_on_this_machine_is_read(tmp_path: Path) -> None:
    """Its CPU time and memory are the process's own; when it has ended, that is said once."""
    with running_simulator() as runtime:
        port = int(runtime.url.rsplit(":", 1)[1])
        watch, first = reading_of("localhost", port)
        process = psutil.Process(runtime.process.pid)
        assert (first.processes, first.names, first.reason) == (1, (process.name(),), None)
        assert first.cpu_s is not None
        assert 0 < first.cpu_s <= round(sum(process.cpu_times()[:2]), 3)
        assert first.resident_bytes == pytest.approx(process.memory_info().rss, rel=0.2)
    found = watch.read()
    assert found is not None
    assert found.reason == "the target's process ended"
    assert watch.read() is None


def test_processes_that_share_a_socket_are_added_up() -> None:
    """A server and the worker that it forked are two processes of one target."""
    process = subprocess.Popen([sys.executable, "-c", FORKING], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        wait_for(lambda: psutil.Process(process.pid).children(), "the worker")
        _, found = reading_of("127.0.0.1", port)
        assert found.processes == 2
        assert found.cpu_s is not None
        assert found.cpu_s >= sum(psutil.Process(process.pid).cpu_times()[:2]) * 0.5
    finally:
        process.communicate()


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("192.0.2.1", "the target runs on another machine"),
        ("nobody.invalid", "the name nobody.invalid could not be looked up: "),
        ("127.0.0.1", "no process of this machine listens there"),
    ],
)
def test_where_there_is_no_process_there_is_a_reason(host: str, reason: str, free_port: int) -> None:
    """Null with a reason, told once."""
    watch, found = reading_of(host, free_port)
    assert (found.cpu_s, found.processes) == (None, None)
    assert found.reason is not None
    assert found.reason.startswith(reason)
    assert watch.read() is None


def test_a_process_of_somebody_else_may_not_be_seen(monkeypatch: pytest.MonkeyPatch, free_port: int) -> None:
    """A socket whose owner the system does not tell us of is there, and not permitted."""
    with socket.create_server(("127.0.0.1", free_port)):
        seen = psutil.net_connections
        hidden = [connection._replace(pid=None) for connection in seen("tcp")]
        monkeypatch.setattr(psutil, "net_connections", lambda _kind: hidden)
        _, found = reading_of("127.0.0.1", free_port)
    assert found.reason == "this user may not see whose socket it is"
