"""A runtime behind a proxy that adds TLS and wants to know who asks."""

from __future__ import annotations

import http.server
import json
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import urllib3

from aether_load.errors import UsageError
from aether_load.scenario.command_line.headers import filled_in, hidden

if TYPE_CHECKING:
    from processes import Finished, Simulator

TOKEN = "s3cr3t-7e1f"


def proxy_handler(upstream: str) -> type[Any]:
    class Proxy(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        pool = urllib3.PoolManager(maxsize=16)

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                self.reply(401, b"who are you?", "text/plain")
                return
            answer = self.pool.request(
                self.command, upstream + self.path, body=body, headers={"Content-Type": "application/json"}
            )
            self.reply(answer.status, answer.data, answer.headers["content-type"])

        do_GET = do_POST = forward  # noqa: N815 -- names of the base class

        def reply(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: str) -> None:
            """Keep quiet."""

    return Proxy


@pytest.fixture
def proxy(simulator: Callable[..., Simulator], tmp_path: Path) -> Iterator[str]:
    """The URL of a proxy with a certificate that nobody vouches for, before a simulated runtime."""
    files = ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")]
    subject = ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *files, *subject], check=True, capture_output=True
    )
    runtime = simulator("--latency", "constant:2ms")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), proxy_handler(runtime.url))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"https://localhost:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.mark.slow
def test_a_secret_reaches_the_proxy_and_nothing_else(run_locust: Callable[..., Finished], proxy: str) -> None:
    """The header opens the proxy; its secret stands in no file and in no output. Unverified TLS is said."""
    finished = run_locust(
        "--host", proxy, "--limit", "4", "--insecure", "--header", "Authorization: Bearer ${TOKEN}", TOKEN=TOKEN
    )
    report = json.loads(finished.nightly.read_bytes())
    assert finished.code == 0, finished.err
    assert report["phases"][0]["all"]["ok_total"] == 20
    assert report["phases"][0]["reconciliation"]["trust"] == "trusted"
    assert "tls_not_verified" in [warning["code"] for warning in report["warnings"]]
    assert report["scenario"]["target"]["headers"] == {"Authorization": "${TOKEN}"}
    written = b"".join(path.read_bytes() for path in finished.results.rglob("*") if path.is_file())
    assert TOKEN.encode() not in written + finished.out.encode() + finished.err.encode()


@pytest.mark.slow
def test_a_secret_that_the_shell_filled_in_is_not_written_down_either(
    fork_locust: Callable[..., Finished], proxy: str
) -> None:
    """A --header whose value came in as it is stands in the manifest's command without it."""
    finished = fork_locust("--host", proxy, "--limit", "1", "--insecure", "--header", f"Authorization: Bearer {TOKEN}")
    assert finished.code == 0, finished.err
    written = b"".join(path.read_bytes() for path in finished.results.rglob("*") if path.is_file())
    assert TOKEN.encode() not in written + finished.out.encode() + finished.err.encode()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--header", f"Authorization: Bearer {TOKEN}"), "certificate"),
        (("--insecure",), "GET /health answered 401"),
    ],
)
@pytest.mark.slow
def test_without_trust_or_token_there_is_no_run(
    fork_locust: Callable[..., Finished], proxy: str, options: tuple[str, ...], words: str
) -> None:
    """A certificate that nobody vouches for, or a proxy that refuses, is exit 3 with the reason."""
    finished = fork_locust("--host", proxy, *options)
    assert finished.code == 3, finished.err
    assert words in finished.err
    assert TOKEN not in finished.err


@pytest.mark.slow
def test_what_is_written_of_headers() -> None:
    """Names and variables, never a value."""
    assert hidden({"A": "Bearer ${T}", "B": "plain"}) == {"A": "${T}", "B": "***"}


@pytest.mark.parametrize(
    ("headers", "sentence"),
    [
        ({"A": "${NOT_THERE}"}, "Header A: the environment has no variable NOT_THERE."),
        ({"A b": "x"}, "--header: a header's name holds a character that no name has; expected 'Name: value'."),
        ({"Host": "x"}, "Header Host: aether-load writes it itself; leave it away."),
        ({"A": "x\r\nB: y"}, "Header A: its value holds a character that a header cannot hold."),
    ],
)
@pytest.mark.slow
def test_a_header_that_cannot_be_sent_is_refused(headers: dict[str, str], sentence: str) -> None:
    """The sentence names the header and quotes nothing of its value."""
    with pytest.raises(UsageError) as raised:
        filled_in(headers)
    assert str(raised.value) == sentence
