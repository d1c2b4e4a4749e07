"""The simulator's own endpoints: what it is, its faults, its record."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from aether_load._version import __version__
from aether_load.simulator.fault_kinds import read_faults
from aether_load.simulator.http.messages import JSON, Answer, Request, text
from aether_load.simulator.wire import encode

if TYPE_CHECKING:
    from aether_load.simulator.runtime_state import RuntimeState

_FORBIDDEN = "Faults are ordered only from a simulator that was started with --allow-faults."


def answer(request: Request, world: RuntimeState) -> Answer:
    """Answer a request under `/_sim`; these answers are not held up by stalls and not struck by faults."""
    reads = request.method in {"GET", "HEAD"}
    match request.path:
        case "/_sim" if reads:
            about = {"simulator": "aether-load", "version": __version__, "generation": world.options.generation}
            return Answer(200, JSON, encode(about))
        case "/_sim/record" if reads:
            if "summary=true" in request.query.split("&"):
                return Answer(200, JSON, encode(world.record.summary()))
            return Answer(200, "application/x-ndjson", world.record.lines(), f"x-dropped: {world.record.dropped}\r\n")
        case "/_sim/faults" if reads:
            return Answer(200, JSON, encode(world.faults.active()))
        case "/_sim/faults" if request.method in {"POST", "DELETE"}:
            return _order(request, world)
        case "/_sim" | "/_sim/record":
            return Answer(405, headers="allow: GET,HEAD\r\n")
        case "/_sim/faults":
            return Answer(405, headers="allow: GET,HEAD,POST,DELETE\r\n")
    return text(404, "The simulator has /_sim, /_sim/record and /_sim/faults.")


def _order(request: Request, world: RuntimeState) -> Answer:
    if not world.options.allow_faults:
        return text(403, _FORBIDDEN)
    if request.method == "DELETE":
        world.faults.clear()
        world.clock.end_stall()
    else:
        try:
            faults = read_faults(request.body)
        except msgspec.ValidationError as error:
            return text(422, f"This is no fault: {error}.")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return text(400, f"This is no JSON: {error}.")
        world.faults.order(faults)
    return Answer(200, JSON, encode(world.faults.active()))
