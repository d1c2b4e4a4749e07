"""Serve the simulator's control endpoints: its record and its faults."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

import msgspec

from aether_load.simulator.fault_kinds import read_faults
from aether_load.simulator.http.messages import JSON, TEXT, Answer, Request
from aether_load.simulator.runtime_state import RuntimeState
from aether_load.simulator.wire import encode

_FORBIDDEN = "Only programs on the simulator's own machine may use /_sim, by a loopback address, and no web page may."


def answer(request: Request, peer: str, state: RuntimeState) -> Answer:
    """Answer a request under `/_sim`; stalls do not delay these answers, and faults do not change them."""
    if not _is_allowed(request, peer):
        return _text(403, _FORBIDDEN)
    reads = request.method in {"GET", "HEAD"}
    match request.path:
        case "/_sim/record" if reads:
            if "summary=true" in request.query.split("&"):
                return Answer(200, JSON, encode(state.record.summary()), "")
            return Answer(200, "application/x-ndjson", state.record.lines(), f"x-dropped: {state.record.dropped}\r\n")
        case "/_sim/faults" if reads:
            return Answer(200, JSON, encode(state.faults.active()), "")
        case "/_sim/faults" if request.method in {"POST", "DELETE"}:
            return _change_faults(request, state)
        case "/_sim/record":
            return Answer(405, headers="allow: GET,HEAD\r\n")
        case "/_sim/faults":
            return Answer(405, headers="allow: GET,HEAD,POST,DELETE\r\n")
    return _text(404, "The simulator has /_sim/record and /_sim/faults.")


def _is_allowed(request: Request, peer: str) -> bool:
    """Refuse other machines, names that a foreign DNS server could point here, and web pages."""
    host = request.headers.get(b"host", b"localhost").decode("latin-1")
    return _is_loopback(peer) and _is_loopback(_host_name(host)) and b"origin" not in request.headers


def _host_name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.removeprefix("::ffff:")).is_loopback
    except ValueError:
        return False


def _change_faults(request: Request, state: RuntimeState) -> Answer:
    if request.method == "DELETE":
        state.faults.clear()
        state.clock.end_stall()
    else:
        try:
            faults = read_faults(request.body)
        except msgspec.ValidationError as error:
            return _text(422, f"This is no fault: {error}.")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return _text(400, f"This is no JSON: {error}.")
        state.faults.add(faults)
    return Answer(200, JSON, encode(state.faults.active()), "")


def _text(status: int, sentence: str) -> Answer:
    return Answer(status, TEXT, sentence.encode(), "")
