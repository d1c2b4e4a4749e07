"""Define the kinds of faults, as JSON objects with a `kind`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from aether_load.simulator.durations import parse_duration

Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=1)]
Path = Literal["/execute", "/metrics", "/health", "/cache/stats", "/cache/clear", "*"]


class Fault(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True, tag_field="kind"):
    """What every fault has: it begins `after` a time, counted from when it is added."""

    after: str = "0s"

    def __post_init__(self) -> None:
        """Check the durations; raises ValueError with a sentence."""
        for name in self.__struct_fields__:
            if name in {"after", "lasting", "delay", "every", "down"} and (text := getattr(self, name)) is not None:
                parse_duration(text)


class DrawnFault(Fault, frozen=True, kw_only=True, omit_defaults=True, rename={"lasting": "for"}):
    """A fault of a `share` of all answers or nodes, of at most `count` of them, in force for the time `for`."""

    share: Share = 1.0
    count: Count | None = None
    lasting: str | None = None


class AnswerFault(DrawnFault, frozen=True, kw_only=True, omit_defaults=True):
    """A fault of the answers of one path."""

    path: Path = "/execute"


class Close(AnswerFault, frozen=True, kw_only=True, omit_defaults=True, tag="close"):
    """Close the connection before the head, inside it, after it, or inside the body; with `reset` by RST."""

    at: Literal["before", "headers", "after_headers", "body"] = "before"
    reset: bool = False


class Truncate(AnswerFault, frozen=True, kw_only=True, omit_defaults=True, tag="truncate"):
    """Send half of the body as if it were all of it."""


class Garbage(AnswerFault, frozen=True, kw_only=True, omit_defaults=True, tag="garbage"):
    """Send a body of the same length that is neither JSON nor metrics."""


class Empty(AnswerFault, frozen=True, kw_only=True, omit_defaults=True, tag="empty"):
    """Send status 200 with an empty body."""


class Shape(AnswerFault, frozen=True, kw_only=True, omit_defaults=True, tag="shape"):
    """Send JSON of another shape than the contract's."""

    form: Literal["empty_object", "array", "null", "no_results", "results_object", "no_errors", "text_times"] = (
        "empty_object"
    )


class Status(AnswerFault, frozen=True, kw_only=True, omit_defaults=True, tag="status"):
    """Answer with an error status and an HTML page, as a proxy does; the DAG does not run."""

    code: Annotated[int, Meta(ge=400, le=599)] = 500


class Late(AnswerFault, frozen=True, kw_only=True, omit_defaults=True, tag="late"):
    """Hold the finished answer back."""

    delay: str = "1s"


class Slow(AnswerFault, frozen=True, kw_only=True, omit_defaults=True, tag="slow"):
    """Send the body in pieces of `chunk` bytes, one each `every`."""

    chunk: Annotated[int, Meta(ge=1)] = 64
    every: str = "50ms"


class NodeFailure(DrawnFault, frozen=True, kw_only=True, omit_defaults=True, tag="node_failure"):
    """Let the provider fail, after its time."""

    reason: str = "API request failed: simulated failure"


class GuardRefusal(DrawnFault, frozen=True, kw_only=True, omit_defaults=True, tag="guard_refusal"):
    """Let the guard refuse an LLM node's prompt as if it held the phrase."""

    phrase: str = "jailbreak"


class Panic(DrawnFault, frozen=True, kw_only=True, omit_defaults=True, tag="panic"):
    """Let an LLM node panic."""

    message: str = "simulated panic"


class ProcessFault(Fault, frozen=True, kw_only=True, omit_defaults=True):
    """A fault of the whole process."""


class Stall(ProcessFault, frozen=True, kw_only=True, omit_defaults=True, tag="stall", rename={"lasting": "for"}):
    """Let nothing begin or end for a time."""

    lasting: str = "1s"


class Restart(ProcessFault, frozen=True, kw_only=True, omit_defaults=True, tag="restart"):
    """Close all connections, forget the counters and the cache; refuse connections while `down`."""

    down: str = "0s"


class Exit(ProcessFault, frozen=True, kw_only=True, omit_defaults=True, tag="exit"):
    """End the process at once."""

    code: Annotated[int, Meta(ge=0, le=255)] = 1


AnyFault = (
    Close | Truncate | Garbage | Empty | Shape | Status | Late | Slow
    | NodeFailure | GuardRefusal | Panic
    | Stall | Restart | Exit
)  # fmt: skip

_decode_one = msgspec.json.Decoder(AnyFault).decode
_decode_many = msgspec.json.Decoder(list[AnyFault]).decode


def read_faults(body: bytes) -> list[AnyFault]:
    """Read one fault or a list of them from JSON; raises ValueError with a sentence."""
    return _decode_many(body) if body.lstrip()[:1] == b"[" else [_decode_one(body)]


def parse_fault(text: str) -> AnyFault:
    """Read `kind:key=value,key=value` of `--fault`; raises ValueError with a sentence."""
    kind, _, rest = text.partition(":")
    fields: dict[str, Any] = {"kind": kind}
    for pair in filter(None, rest.split(",")):
        key, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"{pair!r} is no setting of a fault; write key=value")
        fields[key.strip()] = value.strip()
    fault: AnyFault = msgspec.convert(fields, AnyFault, strict=False)
    return fault
