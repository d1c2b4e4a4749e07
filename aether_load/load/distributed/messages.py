"""Define the messages between a master and its workers, which travel inside Locust's own.

Instants are monotonic ns of the worker that a message goes to or comes from: the master translates.
"""

from __future__ import annotations

import msgspec

from aether_load.dag.sent_dag import WorkloadDag
from aether_load.load.sending.sender_context import Tally
from aether_load.scenario.stage import Stage
from aether_load.schedule.shard import Share

LOCUST_TYPE = "aether_load"
PROTOCOL = 7
"""Rises with every change to what is said here; a worker of another one is refused."""


class _Said(msgspec.Struct, frozen=True, tag=True):
    """The base of all messages; the class's name says which one it is."""


class _Numbered(_Said, frozen=True):
    """The base of a question that the master asks of all workers, and of its answers."""

    number: int


# From a worker to its master


class Join(_Said, frozen=True):
    """Asks to be taken on.

    `scenario` is the hash of what the worker's command line names, None where it names none; `forked_from` the process
    that it is a child of by --processes, None of one that was started by itself.
    """

    protocol: int
    version: str
    scenario: str | None
    host: str
    pid: int
    forked_from: int | None = None


class Ready(_Said, frozen=True):
    """Has what was handed over, and reaches the target."""

    handover: str


class Unable(_Said, frozen=True):
    """Cannot work, for a reason that its user can mend, and ends."""

    sentence: str
    exit_code: int


class Pong(_Said, frozen=True):
    """Answers a ping, with both clocks."""

    sent_ns: int
    there_ns: int
    there_utc_s: float


class UsersReady(_Numbered, frozen=True):
    """So many users as were asked for stand ready."""


class Warmed(_Numbered, frozen=True):
    """Its part of the prompts has been sent off the record."""


class Idle(_Numbered, frozen=True):
    """Nothing is in flight between the ramp and a cold window."""


class WindowOpened(_Numbered, frozen=True):
    """The stage's window is open here."""

    began_ns: int


class StageEnded(_Numbered, frozen=True):
    """The stage is over here: what ended it, and when its window was open."""

    ended_by: str
    window_began_ns: int | None
    window_ended_ns: int | None


class Drained(_Numbered, frozen=True):
    """Nothing is in flight here."""

    window_began_ns: int | None
    window_ended_ns: int | None


class RecordsSent(_Numbered, frozen=True):
    """Every sample of what was drained has been confirmed."""


class Announced(_Said, frozen=True):
    """May take on requests of an index below this one before it says more."""

    upto: int


class WorkerStats(_Said, frozen=True):
    """How things stand."""

    tally: Tally


class ProcessUsage(_Said, frozen=True):
    """What the process has taken so far."""

    at_ns: int
    cpu_s: float
    resident_bytes: int


class Parcel(_Said, frozen=True):
    """The next bytes of the worker's records: whole blocks with `rows` requests in them."""

    run: str
    number: int
    rows: int
    data: bytes


class Noted(_Said, frozen=True):
    """What a reader of the results has to know."""

    sentence: str


class NewDag(_Said, frozen=True):
    """A DAG that requests are sent in from now on, as this worker lists its nodes."""

    dag: WorkloadDag


class Closed(_Said, frozen=True):
    """The run is over here: the last parcel has been sent."""

    run: str
    requests_total: int
    connections_opened: int
    stale_connections_reopened: int


class Leaving(_Said, frozen=True):
    """Is about to end in order, in the middle of a run."""


class Left(_Said, frozen=True):
    """Has handed in every sample, and ends."""


# From the master to a worker


class Refused(_Said, frozen=True):
    """Is not to work here, and to end."""

    sentence: str
    exit_code: int


class Chunk(_Said, frozen=True):
    """A part of what is handed over before the first run."""

    handover: str
    worker: int
    index: int
    of: int
    data: bytes


class Ping(_Said, frozen=True):
    """Is to be answered at once."""

    sent_ns: int


class Begin(_Said, frozen=True):
    """A run begins: its users are spawned from now on."""

    run: str
    follow_user_count: bool


class AwaitUsers(_Numbered, frozen=True):
    """Reply when so many users are ready, each with its connection open."""

    users: int


class Warm(_Numbered, frozen=True):
    """Send a part of the stage's prompts off the record."""

    stage: Stage
    share: Share


class RunStage(_Numbered, frozen=True):
    """Drive a part of a stage, from an instant on, or (None) at once."""

    stage: Stage
    share: Share
    begin_ns: int | None


class OpenWindow(_Numbered, frozen=True):
    """The cache is empty: open the window."""


class Stop(_Said, frozen=True):
    """End the stage that is under way."""

    why: str


class End(_Numbered, frozen=True):
    """Stop sending, and reply when nothing is in flight."""


class Cancel(_Said, frozen=True):
    """Give up what is in flight."""


class Received(_Said, frozen=True):
    """The parcels up to this number are written."""

    run: str
    number: int


class Close(_Said, frozen=True):
    """The run is over: send what is left."""

    run: str


Message = (
    Join | Ready | Unable | Pong | UsersReady | Warmed | Idle | WindowOpened | StageEnded | Drained | RecordsSent
    | Announced | WorkerStats | ProcessUsage | Parcel | Noted | NewDag | Closed | Leaving | Left | Refused | Chunk
    | Ping | Begin | AwaitUsers | Warm | RunStage | OpenWindow | Stop | End | Cancel | Received | Close
)  # fmt: skip


_DECODER: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)
_ENCODER = msgspec.msgpack.Encoder()


def encode(message: Message) -> bytes:
    """Return a message as bytes."""
    return _ENCODER.encode(message)


def decode(data: bytes) -> Message:
    """Return the message in bytes; raises msgspec.MsgspecError for those of another release."""
    return _DECODER.decode(data)
