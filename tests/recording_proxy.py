"""A proxy before a runtime that keeps the headers of every request."""

from __future__ import annotations

import http.server
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import urllib3


@dataclass
class RecordingProxy:
    """Where it listens, and what it was sent: path and headers of each request."""

    url: str
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def values_of(self, header: str) -> set[str | None]:
        """Return the values that a header came with, None for requests without it."""
        return {headers.get(header.lower()) for _, headers in self.seen}


class QuietServer(http.server.ThreadingHTTPServer):
    """A server to which a client that goes away is nothing to speak of."""

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep quiet."""


@contextmanager
def recording_proxy(upstream: str, context: ssl.SSLContext | None = None) -> Iterator[RecordingProxy]:
    """Run the proxy, with TLS where a context is given."""
    pool = urllib3.PoolManager(maxsize=16)
    proxy = RecordingProxy("")

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            proxy.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer = pool.request(
                self.command, upstream + self.path, body=body, headers={"Content-Type": "application/json"},
                redirect=False,
            )  # fmt: skip
            self.send_response(answer.status)
            for name in ("content-type", "x-aether-load-simulator"):
                if name in answer.headers:
                    self.send_header(name, answer.headers[name])
            self.send_header("Content-Length", str(len(answer.data)))
            self.end_headers()
            self.wfile.write(answer.data)

        do_GET = do_POST = forward  # noqa: N815 -- names of the base class

        def log_message(self, *_arguments: object) -> None:
            """Keep quiet."""

    server = QuietServer(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    proxy.url = f"{'http' if context is None else 'https'}://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
