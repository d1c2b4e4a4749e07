"""Deliver answers, as they are or as a fault changes them."""

from __future__ import annotations

import math
import socket
import struct
from typing import Any

import msgspec

from aether_load.simulator import fault_kinds as kinds
from aether_load.simulator.clock import Clock
from aether_load.simulator.durations import parse_duration
from aether_load.simulator.http.connection import Connection
from aether_load.simulator.http.messages import Answer, Request, render_head

WHOLE = "whole"


async def deliver(
    answer: Answer, fault: kinds.AnswerFault | None, request: Request, connection: Connection, clock: Clock
) -> str:
    """Send an answer, changed by the fault if there is one; return `whole`, or how it was broken off."""
    match fault:
        case None:
            pass
        case kinds.Close():
            return _close(answer, fault, request, connection)
        case kinds.Slow():
            await _send_slowly(answer, fault, request, connection, clock)
            return WHOLE
        case kinds.Late():
            await clock.pause(parse_duration(fault.delay))
        case kinds.Truncate():
            answer = answer._replace(body=answer.body[: len(answer.body) // 2])
        case kinds.Empty():
            answer = answer._replace(status=200, body=b"")
        case kinds.Garbage():
            answer = answer._replace(
                body=(b"}{ \x00 not what was asked for " * (len(answer.body) // 27 + 1))[: max(1, len(answer.body))]
            )
        case kinds.Shape():
            answer = answer._replace(body=_reshape(answer.body, fault.form))
        case kinds.Status():
            answer = error_page(fault.code)
    await connection.send(answer, request)
    return WHOLE


def error_page(code: int) -> Answer:
    """Return a proxy's page for an error status."""
    phrase = {500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Temporarily Unavailable"}.get(
        code, "Error"
    )
    title = f"{code} {phrase}"
    page = f"<html><head><title>{title}</title></head><body><center><h1>{title}</h1></center></body></html>\r\n"
    return Answer(code, "text/html", page.encode())


def _close(answer: Answer, fault: kinds.Close, request: Request, connection: Connection) -> str:
    head = render_head(answer, request)
    pieces = {
        "before": b"",
        "headers": head[: len(head) // 2],
        "after_headers": head,
        "body": head + answer.body[: len(answer.body) // 2],
    }
    transport = connection.transport
    if pieces[fault.at]:
        connection.write(pieces[fault.at])
    if fault.reset:
        # With a linger time of 0, the kernel sends RST instead of FIN.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    else:
        transport.close()
    return f"closed_{fault.at}"


async def _send_slowly(
    answer: Answer, fault: kinds.Slow, request: Request, connection: Connection, clock: Clock
) -> None:
    head = render_head(answer, request)
    connection.write(head)
    every = parse_duration(fault.every)
    for piece in range(math.ceil(len(answer.body) / fault.chunk)):
        await clock.pause(every)
        connection.write(answer.body[piece * fault.chunk : (piece + 1) * fault.chunk])
    await connection.drained()


def _reshape(body: bytes, form: str) -> bytes:
    """Return JSON like the answer's that breaks the contract; a body that is no JSON object counts as an empty one."""
    try:
        whole: Any = msgspec.json.decode(body)
    except msgspec.DecodeError:
        whole = None
    shape: Any = whole if isinstance(whole, dict) else {}
    match form:
        case "empty_object":
            shape = {}
        case "array":
            shape = [shape]
        case "null":
            shape = None
        case "no_results":
            shape.pop("results", None)
        case "no_errors":
            shape.pop("errors", None)
        case "results_object":
            shape["results"] = {result["node_id"]: result for result in shape.get("results", [])}
        case "text_times":
            shape["total_execution_time_ms"] = str(shape.get("total_execution_time_ms"))
            for result in shape.get("results", []):
                result["execution_time_ms"] = str(result["execution_time_ms"])
    return msgspec.json.encode(shape)
