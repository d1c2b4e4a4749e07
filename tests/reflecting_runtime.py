"""A runtime that says the headers of a request back, in every place and encoding that there is."""

from __future__ import annotations

import base64
import http.server
import itertools
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

from recording_proxy import QuietServer


@contextmanager
def reflecting_runtime() -> Iterator[str]:
    """Run it and yield its URL; of its answers every sixth is good."""
    turns = itertools.count()
    executed = itertools.count(1)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def version_string(self) -> str:
            return self.told()

        def told(self) -> str:
            headers = ", ".join(f"{name}: {value}" for name, value in self.headers.items())
            return f"{headers} at {self.path}"

        def reply(self, status: int, body: str | bytes, kind: str = "application/json") -> None:
            data = body.encode() if isinstance(body, str) else body
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                label = json.dumps(self.told())
                count = next(executed) - 1
                self.reply(
                    200,
                    f"# HELP aether_executed_nodes_total {self.told()}\n# TYPE aether_executed_nodes_total counter\n"
                    f"aether_executed_nodes_total {count}\nother{{who={label}}} 1\n",
                    "text/plain",
                )
            else:
                self.reply(200, self.told(), "text/plain")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if body == b"{}":
                self.reply(422, f"missing field `dag` {self.told()}", "text/plain")
                return
            nodes = [node["id"] for node in json.loads(body)["dag"]["nodes"]]
            self.answer(nodes, next(turns) % 6)

        def answer(self, nodes: list[str], turn: int) -> None:
            told = self.told()
            encoded = base64.b64encode(told.encode()).decode()
            result = {"output": f"A {told}", "execution_time_ms": 1, "token_cost": 1, "cache_hit": False, "level": 0}
            whole = {
                "execution_id": "00000000-0000-4000-8000-000000000001",
                "results": [{"node_id": node, **result} for node in nodes],
                "total_execution_time_ms": len(nodes),
                "errors": [],
                "aborted": False,
                "node_status": {node: {"state": "succeeded", "attempts": 1} for node in nodes},
            }
            if turn == 0:
                self.reply(401, json.dumps({"error": told}))
            elif turn == 1:
                self.reply(200, json.dumps({**whole, "results": [], "errors": [f"Node {nodes[0]}: {quote(told)}"]}))
            elif turn == 2:
                self.reply(500, f"<p>{encoded}</p>", "text/html")
            elif turn == 3:
                self.reply(200, json.dumps({**whole, "total_execution_time_ms": told}))
            elif turn == 4:
                self.wfile.write(f"{told}\r\n\r\n".encode())
                self.close_connection = True
            else:
                self.reply(200, json.dumps(whole))

        def log_message(self, *_arguments: object) -> None:
            """Keep quiet."""

    server = QuietServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
