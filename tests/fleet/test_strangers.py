"""Who is none of a master's workers reaches its port: nothing of what they send changes a run, or is answered."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import msgpack
import psutil
import pytest
import zmq

from aether_load._version import __version__
from aether_load.load.distributed import messages as say
from processes import UNSEEN, LocustProcess, Simulator, wait_for

if TYPE_CHECKING:
    from locust_forks import LocustFork

TOKEN = "a token of this test alone"


def join(master_pid: int) -> bytes:
    """The words of a worker that claims to be a child of that process."""
    return say.encode(say.Join(say.PROTOCOL, __version__, None, "elsewhere", 4711, master_pid))


def frames_of(master_pid: int) -> list[bytes]:
    """Return what strangers may send: no message at all, Locust's with a content that it cannot handle, ours forged."""
    messages = [
        ("client_ready", 7), ("client_ready", "9.9"), ("heartbeat", {}), ("stats", {"stats": 3}), ("stats", None),
        ("spawning_complete", []), ("exception", {}), ("locustfile", None), ("client_stopped", {"a": 1}), ("quit", [1]),
        (say.LOCUST_TYPE, b"\xff"), (say.LOCUST_TYPE, {"type": "Join"}), (say.LOCUST_TYPE, join(master_pid)),
        (7, None), (None, None),
    ]  # fmt: skip
    packed = [msgpack.packb((kind, data, "stranger")) for kind, data in messages]
    # Under another's name than the sender's.
    packed.append(msgpack.packb((say.LOCUST_TYPE, join(master_pid), "somebody else")))
    return [b"\x00", b"", b"\xc1", b"GET / HTTP/1.1\r\n\r\n", msgpack.packb([1, 2]), msgpack.packb({"a": 1}), *packed]


class Stranger:
    """A peer that speaks ZeroMQ, and is no worker."""

    def __init__(self, port: int) -> None:
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.IDENTITY, b"stranger")
        self.socket.connect(f"tcp://127.0.0.1:{port}")

    def close(self) -> list[Any]:
        """Return what it was answered."""
        answers = []
        while self.socket.poll(200):
            answers.append(self.socket.recv())
        self.socket.close(linger=0)
        self.context.term()
        return answers


@pytest.fixture
def strangers(free_port: int) -> Iterator[Stranger]:
    stranger = Stranger(free_port)
    yield stranger
    if not stranger.socket.closed:
        stranger.close()


def ports(free_port: int) -> tuple[str, ...]:
    return ("--master-bind-port", str(free_port), "--master-port", str(free_port))


@pytest.mark.slow
def test_a_master_of_processes_listens_on_this_machine_and_to_its_children_alone(
    start_locust: Callable[..., LocustProcess], simulator: Callable[..., Simulator], free_port: int, strangers: Stranger
) -> None:
    """Nothing of a stranger's gets in, nothing comes out, and the run is as it would have been."""
    runtime = simulator("--latency", "constant:20ms")
    master = start_locust(
        "--headless", "--host", runtime.url, "--processes", "2", *ports(free_port), "-t", "3s", *UNSEEN
    )
    wait_for(lambda: master.samples_written() > 2_000, "the load")
    listening = [
        one.laddr.ip
        for process in (psutil.Process(master.process.pid), *psutil.Process(master.process.pid).children())
        for one in process.net_connections("tcp")
        if one.status == psutil.CONN_LISTEN and one.laddr.port == free_port
    ]
    assert listening == ["127.0.0.1"]
    frames = frames_of(master.process.pid)
    for frame in frames:
        strangers.socket.send(frame)
    finished = master.finish()
    assert strangers.close() == []
    assert finished.code == 0, finished.err
    assert "Traceback" not in finished.err
    assert finished.err.count("a message was dropped that is not of this master's workers") == 1
    report = json.loads((finished.run_folder / "report.json").read_bytes())
    assert [worker["ended"] for worker in report["workers"]] == ["finished", "finished"]
    assert report["phases"][0]["reconciliation"]["trust"] == "trusted"
    notes = json.loads((finished.run_folder / "run.json").read_bytes())["notes"]
    assert f"{len(frames)} messages at the master's port were dropped: they were not its workers'." in notes


@pytest.mark.slow
def test_without_a_token_what_is_no_message_ends_nothing(
    start_fork: Callable[..., LocustFork], simulator: Callable[..., Simulator], free_port: int, strangers: Stranger
) -> None:
    """An open master takes who speaks as a worker does; what nobody says is dropped."""
    runtime = simulator("--latency", "constant:20ms")
    master = start_fork("--headless", "--master", "--host", runtime.url, *ports(free_port), "-t", "2s", *UNSEEN)
    start_fork("--worker", "--master-port", str(free_port))
    wait_for(lambda: master.samples_written() > 2_000, "the load")
    for frame in frames_of(os.getpid()):
        if b"client_ready" not in frame and say.LOCUST_TYPE.encode() not in frame:
            strangers.socket.send(frame)
    finished = master.finish()
    assert finished.code == 0, finished.err
    assert "Traceback" not in finished.err
    assert "were dropped: they were not its workers'." in (finished.run_folder / "run.json").read_text()


@pytest.mark.slow
def test_a_token_lets_in_who_knows_it(
    start_fork: Callable[..., LocustFork], simulator: Callable[..., Simulator], free_port: int
) -> None:
    """The worker without it, and the one with another, wait; the one with it carries the load."""
    runtime = simulator("--latency", "constant:20ms")
    environment = {"AETHER_LOAD_CLUSTER_TOKEN": TOKEN}
    master = start_fork(
        "--headless", "--master", "--host", runtime.url, *ports(free_port), "-t", "2s", *UNSEEN, **environment
    )
    for other in ({}, {"AETHER_LOAD_CLUSTER_TOKEN": TOKEN + "!"}):
        start_fork("--worker", "--master-port", str(free_port), **other)
    start_fork("--worker", "--master-port", str(free_port), **environment)
    finished = master.finish()
    assert finished.code == 0, finished.err
    report = json.loads((finished.run_folder / "report.json").read_bytes())
    assert [worker["ended"] for worker in report["workers"]] == ["finished"]
    assert finished.err.count("a message was dropped") == 1
    assert TOKEN not in finished.err + (finished.run_folder / "run.json").read_text()


@pytest.mark.parametrize("options", [("--headless", "--master"), ("--worker",)])
def test_a_token_that_can_be_guessed_is_refused(
    start_fork: Callable[..., LocustFork], simulator: Callable[..., Simulator], free_port: int, options: tuple[str, ...]
) -> None:
    finished = start_fork(
        *options, "--host", simulator().url, *ports(free_port), AETHER_LOAD_CLUSTER_TOKEN="secret"
    ).finish()
    assert (finished.code, "AETHER_LOAD_CLUSTER_TOKEN has 6 characters" in finished.err) == (2, True), finished.err
    assert "Traceback" not in finished.err
