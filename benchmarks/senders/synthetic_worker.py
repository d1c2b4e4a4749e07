"""Hand a real master records that were made beforehand, so that what it costs is the master's own.

The worker speaks Locust's protocol and the harness's, takes on no user, and hands in so many rows a second (0: as many
as the master confirms) while a stage lasts.

    python benchmarks/senders/synthetic_worker.py MASTER_PORT ROWS_PER_SECOND
"""

from __future__ import annotations

import os
import socket
import sys
import time
import uuid
from typing import Any

import zmq
from locust import rpc

from aether_load._version import __version__
from aether_load.load.distributed import messages as say
from aether_load.load.distributed.worker.parcel_queue import IN_FLIGHT_BYTES
from aether_load.protocol import NodeState, Outcome
from aether_load.rundata.records.record_buffer import BLOCK_ROWS, RecordBuffer
from aether_load.rundata.records.record_format import (
    BLOCK_HEAD_BYTES,
    NODE,
    Block,
    BlockHead,
    RequestRecord,
    read_block_head,
)

PARCEL_BLOCKS = 10
_HEARTBEAT_S = 1.0
_LATENCY_NS = 60_000_000
_NODE = NODE.pack(60, NodeState.SUCCEEDED, 0)


class SyntheticWorker:
    """One client of a master's socket; everything happens in its loop, one thing after the other."""

    def __init__(self, port: int, rows_rps: float) -> None:
        self._client = f"{socket.gethostname()}_{uuid.uuid4().hex}"
        self._socket = zmq.Context().socket(zmq.DEALER)
        self._socket.setsockopt(zmq.IDENTITY, self._client.encode())
        self._socket.connect(f"tcp://127.0.0.1:{port}")
        self._rows_rps = rows_rps
        self._state = "ready"
        self._user_count = 0
        self._run = ""
        self._number = 0
        self._worker = 0
        self._sent = self._confirmed = -1
        self._sizes: dict[int, int] = {}
        self._in_flight = 0
        self._rows = 0
        self._until_ns: int | None = None
        self._began_ns = self._ended_ns = 0
        self._next_heartbeat = 0.0
        self._blocks = _Blocks(0, "", 0)
        self._is_over = False

    def work(self) -> None:
        """Join, and do what the master says until it says that all is over."""
        self._locust("client_ready", _locust_version())
        self._say(say.Join(say.PROTOCOL, __version__, None, socket.gethostname(), os.getpid()))
        while not self._is_over:
            now = time.monotonic()
            if now >= self._next_heartbeat:
                self._next_heartbeat = now + _HEARTBEAT_S
                beat = {"state": self._state, "current_cpu_usage": 0, "current_memory_usage": 0}
                self._locust("heartbeat", beat)
            sent = self._until_ns is not None and self._send_what_is_due()
            while self._socket.poll(0 if sent else 2):
                self._take(_message(self._socket.recv()))

    def _take(self, message: Any) -> None:
        if message.type == "spawn":
            self._user_count = sum(message.data["user_classes_count"].values())
            self._state = "running"
            counts = {"user_classes_count": message.data["user_classes_count"], "user_count": self._user_count}
            self._locust("spawning_complete", counts)
        elif message.type == "quit":
            self._locust("quit", None)
            self._is_over = True
        elif message.type == say.LOCUST_TYPE:
            self._take_ours(say.decode(message.data))

    def _take_ours(self, message: say.Message) -> None:
        if isinstance(message, say.Ping):
            self._say(say.Pong(message.sent_ns, time.monotonic_ns(), time.time()))
        elif isinstance(message, say.Chunk):
            self._worker = message.worker
            if message.index == message.of - 1:
                self._say(say.Ready(message.handover))
        elif isinstance(message, say.Begin):
            self._run = message.run
        elif isinstance(message, say.AwaitUsers):
            self._say(say.UsersReady(message.number))
        elif isinstance(message, say.RunStage):
            self._begin(message)
        elif isinstance(message, say.Received):
            for number in range(self._confirmed + 1, message.number + 1):
                self._in_flight -= self._sizes.pop(number)
            self._confirmed = message.number
        elif isinstance(message, say.End):
            self._say(say.Drained(message.number, self._began_ns, self._ended_ns))
            self._say(say.RecordsSent(message.number))
        elif isinstance(message, say.Close):
            self._parcel(self._blocks.end(), 0)
            self._say(say.Closed(self._run, self._rows, 0, 0))
        elif isinstance(message, say.Refused):
            sys.exit(message.sentence)

    def _begin(self, message: say.RunStage) -> None:
        self._number = message.number
        self._began_ns = message.begin_ns or time.monotonic_ns()
        self._until_ns = self._began_ns + int((message.stage.duration_s or 1.0) * 1e9)
        self._blocks = _Blocks(self._worker, message.stage.name, self._began_ns)
        self._say(say.WindowOpened(self._number, self._began_ns))

    def _send_what_is_due(self) -> bool:
        assert self._until_ns is not None
        now_ns = time.monotonic_ns()
        if now_ns >= self._until_ns:
            self._ended_ns, self._until_ns = self._until_ns, None
            self._say(say.StageEnded(self._number, "duration", self._began_ns, self._ended_ns))
            return False
        due = max(0.0, (now_ns - self._began_ns) / 1e9) * self._rows_rps
        rows = PARCEL_BLOCKS * BLOCK_ROWS
        is_due = not self._rows_rps or self._rows + rows <= due
        if not is_due or self._in_flight >= IN_FLIGHT_BYTES or now_ns < self._began_ns:
            return False
        self._parcel(b"".join(self._blocks.take() for _ in range(PARCEL_BLOCKS)), rows)
        return True

    def _parcel(self, data: bytes, rows: int) -> None:
        self._sent += 1
        self._rows += rows
        self._sizes[self._sent] = len(data)
        self._in_flight += len(data)
        self._say(say.Parcel(self._run, self._sent, rows, data))

    def _say(self, message: say.Message) -> None:
        self._locust(say.LOCUST_TYPE, say.encode(message))

    def _locust(self, kind: str, data: Any) -> None:
        self._socket.send(_new_message(kind, data, self._client))


class _Blocks:
    """Blocks of a record file whose rows are the same in each; the first one has the texts that they cite."""

    def __init__(self, worker: int, phase: str, began_ns: int) -> None:
        """Make a first block and a further one."""
        buffer = RecordBuffer([f"piqa/{number}" for number in range(80)], ["piqa"] * 80, worker)
        place = buffer.phases.place(phase)
        self._waiting: list[tuple[BlockHead, bytes]] = []
        for number in range(2):
            for row in range(BLOCK_ROWS):
                buffer.add(_record(buffer, number * BLOCK_ROWS + row, place, began_ns + row * 1000), _NODE)
            self._waiting.append(_whole(buffer.take()))
        self._number = 0

    def take(self) -> bytes:
        """Return the next block."""
        head, body = self._waiting.pop(0) if len(self._waiting) > 1 else self._waiting[0]
        head = head._replace(number=self._number, first_row=self._number * BLOCK_ROWS)
        self._number += 1
        return head.pack() + body

    def end(self) -> bytes:
        """Return the empty block that ends a file."""
        return b"".join(Block(b"", b"", b"", b"", b"", b"", self._number, self._number * BLOCK_ROWS).pieces())


def _record(buffer: RecordBuffer, index: int, phase: int, sent_ns: int) -> RequestRecord:
    return RequestRecord(
        index, sent_ns, sent_ns, sent_ns + _LATENCY_NS, 116, 61, index % 80, 1, phase=phase, worker=buffer.worker,
        http_status=200, answer=buffer.answers.place("A"), outcome=Outcome.OK, answer_state=0, correct=1,
        execution_id=uuid.uuid4().bytes,
    )  # fmt: skip


def _whole(block: Block | None) -> tuple[BlockHead, bytes]:
    assert block is not None
    raw = b"".join(block.pieces())
    head = read_block_head(memoryview(raw[:BLOCK_HEAD_BYTES]))
    assert head is not None
    return head, raw[BLOCK_HEAD_BYTES:]


_rpc: Any = rpc


def _new_message(kind: str, data: Any, client: str) -> bytes:
    serialized: bytes = _rpc.Message(kind, data, client).serialize()
    return serialized


def _message(data: bytes) -> Any:
    return _rpc.Message.unserialize(data)


def _locust_version() -> str:
    import locust  # noqa: PLC0415 -- it patches what is imported before it

    return str(locust.__version__)


if __name__ == "__main__":
    SyntheticWorker(int(sys.argv[1]), float(sys.argv[2])).work()
