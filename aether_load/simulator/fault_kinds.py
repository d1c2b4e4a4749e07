"""The faults that can be ordered, as JSON objects with a `kind`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from aether_load.simulator.durations import parse_duration

Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=1)]
Path = Literal["/execute", "/metrics", "/health", "/cache/stats", "/cache/clear", "*"]


class Fault(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True, tag_field="kind"):
    """What every fault has: `after` is when it begins, counted from the order or, for a flag, from the start."""

    after: str = "0s"

    def __post_init__(self) -> None:
        """Check the durations; ValueError with a sentence."""
        for name in self.__struct_fields__:
            if name in {"after", "lasting", "delay", "every", "down"} and (text := getattr(self, name)) is not None:
                parse_duration(text)


class Drawn(Fault, frozen=True, kw_only=True, omit_defaults=True, rename={"lasting": "for"}):
    """A fault that strikes a share of what comes by, at most `count` times, for the time `for`."""

    share: Share = 1.0
    count: Count | None = None
    lasting: str | None = None


class OnAnswer(Drawn, frozen=True, kw_only=True, omit_defaults=True):
    """A fault of the answers of one path."""

    path: Path = "/execute"


class Close(OnAnswer, frozen=True, kw_only=True, omit_defaults=True, tag="close"):
    """Close the connection before the head, inside it, after it, or inside the body; with `reset` by RST."""

    at: Literal["before", "headers", "after_headers", "body"] = "before"
    reset: bool = False


class Truncate(OnAnswer, frozen=True, kw_only=True, omit_defaults=True, tag="truncate"):
    """Send half of the body as if it were all of it."""


class Garbage(OnAnswer, frozen=True, kw_only=True, omit_defaults=True, tag="garbage"):
    """Send a body of the same length that is neither JSON nor metrics."""


class Empty(OnAnswer, frozen=True, kw_only=True, omit_defaults=True, tag="empty"):
    """Send status 200 with an empty body."""


class Shape(OnAnswer, frozen=True, kw_only=True, omit_defaults=True, tag="shape"):
    """Send JSON of another shape than the contract's."""

    form: Literal["empty_object", "array", "null", "no_results", "results_object", "no_errors", "text_times"] = (
        "empty_object"
    )


class Status(OnAnswer, frozen=True, kw_only=True, omit_defaults=True, tag="status"):
    """Answer with an error status in place of running the request; with an HTML page as a proxy's."""

    code: Annotated[int, Meta(ge=400, le=599)] = 500


class Late(OnAnswer, frozen=True, kw_only=True, omit_defaults=True, tag="late"):
    """Hold the finished answer back."""

    delay: str = "1s"


class Slow(OnAnswer, frozen=True, kw_only=True, omit_defaults=True, tag="slow"):
    """Send the body in pieces of `chunk` bytes, one each `every`."""

    chunk: Annotated[int, Meta(ge=1)] = 64
    every: str = "50ms"


class NodeFailure(Drawn, frozen=True, kw_only=True, omit_defaults=True, tag="node_failure"):
    """Let the provider fail, after its time."""

    reason: str = "API request failed: simulated failure"


class GuardRefusal(Drawn, frozen=True, kw_only=True, omit_defaults=True, tag="guard_refusal"):
    """Let the guard refuse an LLM node's prompt as if it held the phrase."""

    phrase: str = "jailbreak"


class Panic(Drawn, frozen=True, kw_only=True, omit_defaults=True, tag="panic"):
    """Let an LLM node panic."""

    message: str = "simulated panic"


class Stall(Fault, frozen=True, kw_only=True, omit_defaults=True, tag="stall", rename={"lasting": "for"}):
    """Let nothing begin or end for a time."""

    lasting: str = "1s"


class Restart(Fault, frozen=True, kw_only=True, omit_defaults=True, tag="restart"):
    """Close all connections, forget the counters and the cache; refuse connections while `down`."""

    down: str = "0s"


class Exit(Fault, frozen=True, kw_only=True, omit_defaults=True, tag="exit"):
    """End the process at once."""

    code: Annotated[int, Meta(ge=0, le=255)] = 1


AnswerFault = Close | Truncate | Garbage | Empty | Shape | Status | Late | Slow
NodeFault = NodeFailure | GuardRefusal | Panic
ProcessFault = Stall | Restart | Exit
AnyFault = AnswerFault | NodeFault | ProcessFault

_one = msgspec.json.Decoder(AnyFault)
_many = msgspec.json.Decoder(list[AnyFault])


def read_faults(body: bytes) -> list[AnyFault]:
    """Read one fault or a list of them from JSON; ValueError with a sentence."""
    if body.lstrip()[:1] == b"[":
        return _many.decode(body)
    return [_one.decode(body)]


def parse_fault(text: str) -> AnyFault:
    """Read `kind:key=value,key=value` of `--fault`; ValueError with a sentence."""
    kind, _, rest = text.partition(":")
    fields: dict[str, Any] = {"kind": kind}
    for pair in filter(None, rest.split(",")):
        key, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"{pair!r} is no setting of a fault; write key=value")
        fields[key.strip()] = value.strip()
    fault: AnyFault = msgspec.convert(fields, AnyFault, strict=False)
    return fault
