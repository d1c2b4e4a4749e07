"""A v2 runtime of chains of three nodes whose answers may be spoilt, each in the way that its number asks for."""

from __future__ import annotations

import json
import socketserver
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

NODE_MS = (2, 4, 6)
Answer = dict[str, Any]
Spoil = Callable[[Answer, bytes], "Answer | bytes"]
"""What becomes of an answer, given with the bytes of the last one: another content, or the bytes on the wire."""


def answer_to(request: Mapping[str, Any]) -> Answer:
    """Return the content of a good answer: 2, 4 and 6 ms, in the order of completion."""
    nodes = request["dag"]["nodes"]
    times = dict(zip([node["id"] for node in nodes], NODE_MS, strict=True))
    results = [
        {
            "node_id": node["id"], "output": "A", "execution_time_ms": times[node["id"]], "token_cost": 7,
            "cache_hit": False, "rendered_prompt": node["prompt_template"], "level": level,
        }
        for level, node in enumerate(nodes)
    ]  # fmt: skip
    return {
        "execution_id": str(uuid.uuid4()), "results": results[::-1], "errors": [], "aborted": False,
        "total_execution_time_ms": sum(NODE_MS), "total_token_cost": 21, "level_execution_times_ms": list(NODE_MS),
        "node_status": {node_id: {"state": "succeeded"} for node_id in times},
    }  # fmt: skip


def on_the_wire(body: bytes) -> bytes:
    """Return a whole HTTP answer of a body."""
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


@contextmanager
def misbehaving_runtime(spoilt: Mapping[int, Spoil], probed: bytes | None = None) -> Iterator[str]:
    """Run it and yield its URL; `spoilt` says what becomes of the answers to some of the requests, counted from 1.

    `probed` is what a probe with an empty object is answered, in place of a runtime's refusal.
    """
    lock = threading.Lock()
    state: dict[str, Any] = {"count": 0, "last": b""}

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                while (line := self.rfile.readline()).strip():
                    length = 0
                    while (header := self.rfile.readline().strip().lower()) != b"":
                        if header.startswith(b"content-length:"):
                            length = int(header.split(b":")[1])
                    self.wfile.write(self.reply(line.split()[1], self.rfile.read(length)))

        def reply(self, path: bytes, body: bytes) -> bytes:
            if path == b"/health":
                return on_the_wire(b"OK")
            if body == b"{}" and probed is not None:
                return probed
            if body == b"{}":
                refusal = b"missing field `dag`"
                return b"HTTP/1.1 422 No\r\nContent-Length: %d\r\n\r\n%b" % (len(refusal), refusal)
            if not path.startswith(b"/execute"):
                return b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"
            with lock:
                state["count"] += 1
                good = answer_to(json.loads(body))
                spoil = spoilt.get(state["count"])
                sent = good if spoil is None else spoil(good, state["last"])
                wire = sent if isinstance(sent, bytes) else on_the_wire(json.dumps(sent).encode())
                state["last"] = wire
            return wire

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
