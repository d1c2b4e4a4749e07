"""Define what a sender and its observer say to each other, as length-prefixed msgpack.

The sender commands, the observer answers; an answer carries the `id` of its command. Other words of the observer
come by themselves.
"""

from __future__ import annotations

import struct
from typing import Literal

import msgspec

from aether_load.rundata.manifest import AbortRecord
from aether_load.rundata.process_usage import SenderReading
from aether_load.schedule.probe import Judgement
from aether_load.text import with_encodable_texts
from aether_load.tls import TlsSettings

LENGTH = struct.Struct("<I")
MOST_BYTES = 256 << 20


class Command(msgspec.Struct, frozen=True, kw_only=True, tag_field="do"):
    """A word of the sender; `id` is 0 where no answer is waited for."""

    id: int = 0


class MetricsTarget(msgspec.Struct, frozen=True):
    """Where one runtime's metrics are read, with the headers that go there, and where the runtime listens."""

    url: str
    headers: dict[str, str]
    tls: TlsSettings
    host: str
    port: int
    timeout_s: float = 2.0


class Begin(Command, frozen=True, kw_only=True, tag=True):
    """Observe a run from now on; its run.json has been written.

    `folder` is a path, which may hold any bytes. `targets` is empty where nothing is scraped.
    `sender_number` is the sender's among the workers, `MASTER` of one that sends nothing itself.
    With `locust` the observer sends counts for Locust's statistics, with `live` it keeps figures for the page.
    """

    folder: bytes
    sender_pid: int
    sender_number: int
    targets: tuple[MetricsTarget, ...]
    scrapes: bool
    locust: bool
    live: bool
    secrets: tuple[str, ...] = ()


class Save(Command, frozen=True, kw_only=True, tag=True):
    """Write run.json with this content."""

    content: bytes


class Turn(Command, frozen=True, kw_only=True, tag=True):
    """Read and scrape this one of the targets from now on, and look for its process; nothing is in flight."""

    target: int


class Scrape(Command, frozen=True, kw_only=True, tag=True):
    """Read /metrics now; answered by `Scraped`."""

    phase: str
    role: Literal["before", "after", "during"]


class Watch(Command, frozen=True, kw_only=True, tag=True):
    """Scrape once a second under this phase's name, or (None) no longer."""

    phase: str | None


class StageNow(Command, frozen=True, kw_only=True, tag=True):
    """Say which stage is under way, None between stages; `planned` is how many requests it will send, where known."""

    name: str | None
    load: str = "closed"
    users: int = 0
    cache: Literal["keep", "cold", "warm"] = "keep"
    sequential: bool = False
    rate_rps: float | None = None
    duration_s: float | None = None
    planned: int | None = None
    began_ns: int = 0
    window_began_ns: int | None = None
    window_ended_ns: int | None = None
    number: int = 0
    of: int = 0


class Gauges(Command, frozen=True, kw_only=True, tag=True):
    """Say how things stand with the users: see `load.sending.sender_context.Tally`."""

    done: int
    failed: int
    active: int
    thinking: int
    waiting: int
    cpu_s: float

    @property
    def in_flight(self) -> int:
        """Return how many requests were sent and not answered."""
        return self.active - self.thinking


class ReadProcesses(Command, frozen=True, kw_only=True, tag=True):
    """Note now what the processes have taken, at an edge of a window."""


class Usage(Command, frozen=True, kw_only=True, tag=True):
    """Write down what another sending process has taken."""

    reading: SenderReading


class Judge(Command, frozen=True, kw_only=True, tag=True):
    """Judge a phase of a search; answered by `Judged`."""

    phase: str


class Ask(Command, frozen=True, kw_only=True, tag=True):
    """Say what the page shows; answered by `PageData`."""

    what: Literal["snapshot", "history", "metrics"]


class Reset(Command, frozen=True, kw_only=True, tag=True):
    """Begin the live figures anew."""


class Refuse(Command, frozen=True, kw_only=True, tag=True):
    """Show on the page why no run could begin."""

    sentence: str


class Flush(Command, frozen=True, kw_only=True, tag=True):
    """Read all records that are written, and write all lines; answered by `Flushed`."""


class Finish(Command, frozen=True, kw_only=True, tag=True):
    """Write the results of the run, whose run.json is final but for the counts of lines; answered by `Finished`.

    Without `report` the folder is closed and nothing is computed. With `charts` the page's charts are drawn as files
    too. `output` is a path; `verbose` and `width` are of the summary.
    """

    content: bytes
    report: bool
    output: bytes | None
    page: bool
    charts: bool = False
    verbose: bool = False
    width: int | None = None


class Abandon(Command, frozen=True, kw_only=True, tag=True):
    """Forget the run: what came of it is shown with a sentence."""

    sentence: str


class Quit(Command, frozen=True, kw_only=True, tag=True):
    """End."""


class Answer(msgspec.Struct, frozen=True, kw_only=True, tag_field="is"):
    """A word of the observer; `id` is that of the command it answers, 0 where it answers none."""

    id: int = 0


class Ready(Answer, frozen=True, kw_only=True, tag=True):
    """The observer listens."""


class Scraped(Answer, frozen=True, kw_only=True, tag=True):
    """A reading was taken, or `error` says why not."""

    error: str | None = None


class Judged(Answer, frozen=True, kw_only=True, tag=True):
    """What a phase came to."""

    judgement: Judgement


class Broken(Answer, frozen=True, kw_only=True, tag=True):
    """A threshold that ends the run is broken."""

    record: AbortRecord


class PageData(Answer, frozen=True, kw_only=True, tag=True):
    """What was asked for, as JSON or as Prometheus's text."""

    body: bytes


class Flushed(Answer, frozen=True, kw_only=True, tag=True):
    """All is read and written."""


class Refused(Answer, frozen=True, kw_only=True, tag=True):
    """The disk takes no more; the sentence is the system's."""

    reason: str


class LocustEntry(msgspec.Struct, frozen=True):
    """Successes of one name that ended in some seconds: what Locust's statistics keep of them, to be added.

    Times are in ms; `response_times` counts them rounded as Locust rounds them, `per_second` by UTC second.
    """

    name: str
    count: int
    total_ms: float
    least_ms: float
    most_ms: float
    length: int
    last_s: float
    response_times: dict[int, int]
    per_second: dict[int, int]


class Counted(Answer, frozen=True, kw_only=True, tag=True):
    """What Locust's statistics are to be fed with."""

    entries: tuple[LocustEntry, ...]


class Finished(Answer, frozen=True, kw_only=True, tag=True):
    """The results are written: the files, the exit code, and the summary for the terminal."""

    exit_code: int
    summary: str
    files: tuple[str, ...]


class PageMade(Answer, frozen=True, kw_only=True, tag=True):
    """The page of the last run has been made, or could not be."""


class Failed(Answer, frozen=True, kw_only=True, tag=True):
    """The results could not be written, or a command could not be carried out; the sentence says why."""

    sentence: str
    exit_code: int
    defect: bool = False


AnyCommand = (
    Begin | Save | Turn | Scrape | Watch | StageNow | Gauges | ReadProcesses | Usage | Judge | Ask | Reset | Refuse
    | Flush | Finish | Abandon | Quit
)  # fmt: skip
AnyAnswer = Ready | Scraped | Judged | Broken | PageData | Flushed | Refused | Counted | Finished | PageMade | Failed

_encoder = msgspec.msgpack.Encoder()
decode_command = msgspec.msgpack.Decoder(AnyCommand).decode
decode_answer = msgspec.msgpack.Decoder(AnyAnswer).decode


def frame(message: Command | Answer) -> bytes:
    """Return a message as bytes, its length first."""
    try:
        content = _encoder.encode(message)
    except UnicodeEncodeError:
        # Sentences name files.
        content = _encoder.encode(with_encodable_texts(message))
    return LENGTH.pack(len(content)) + content


class Frames:
    """Cuts a stream of bytes into messages."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take in bytes; return the messages that are whole now."""
        self._bytes += data
        found = []
        while len(self._bytes) >= LENGTH.size:
            (length,) = LENGTH.unpack_from(self._bytes)
            if length > MOST_BYTES:
                raise ValueError(f"a message of {length} bytes")
            if len(self._bytes) < LENGTH.size + length:
                break
            found.append(bytes(self._bytes[LENGTH.size : LENGTH.size + length]))
            del self._bytes[: LENGTH.size + length]
        return found
