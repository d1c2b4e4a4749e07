"""One rule for the characters of a URL: the probe, the load, the metrics and an evaluation ask for the same bytes."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aether_load.errors import UsageError
from aether_load.evaluation import target as evaluation
from aether_load.load.http.connection import Connection
from aether_load.load.http.connection_stats import ConnectionStats
from aether_load.load.http.endpoint import Endpoint
from aether_load.load.sending.prepared_requests import PreparedRequests
from aether_load.load.sending.target_client import TargetClient
from aether_load.observer.scraper import MetricsReader
from aether_load.protocol import Generation
from aether_load.runtime_client import TargetFacts, check_url, encoded_url, probe
from aether_load.scenario.check import metrics_url_mistake
from aether_load.scenario.scenario import Target
from aether_load.tls import TlsSettings

PATHS = [
    ("", ""),
    ("/", ""),
    ("/a/b/", "/a/b"),
    ("/with a space", "/with%20a%20space"),
    ("/größe/日本", "/gr%C3%B6%C3%9Fe/%E6%97%A5%E6%9C%AC"),
    ("/a/../b/./c", "/b/c"),
    ("/a|b\\c", "/a%7Cb%5Cc"),
    ("/%7euser/%2f", "/%7Euser/%2F"),
    ("/100%", "/100%25"),
    ('/<>"{}^`[]', "/%3C%3E%22%7B%7D%5E%60%5B%5D"),
]
ANSWERS = {
    "/health": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK",
    "/execute": b"HTTP/1.1 422 U\r\nContent-Length: 19\r\n\r\nmissing field `dag`",
    "/metrics": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
}


@pytest.fixture
def asked() -> Iterator[list[str]]:
    """A server that answers by the end of the path, and the request lines that came, as they came."""
    lines: list[str] = []

    def serve(connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream:
            while line := stream.readline():
                length = 0
                while (header := stream.readline().strip()) != b"":
                    if header.lower().startswith(b"content-length:"):
                        length = int(header.partition(b":")[2])
                stream.read(length)
                lines.append(line.decode("latin-1").strip())
                connection.sendall(ANSWERS["/" + lines[-1].split()[-2].rpartition("/")[2]])

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        lines.append(f"http://127.0.0.1:{listener.getsockname()[1]}")
        yield lines
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


@pytest.mark.parametrize(("path", "encoded"), PATHS)
def test_every_client_asks_for_the_same_path(asked: list[str], path: str, encoded: str) -> None:
    """Whoever sends it, a request's line is the same, and it is encoded once."""
    url = asked.pop()
    facts = probe(url + path)
    assert facts == TargetFacts(url + encoded, Generation.V2, simulated=False, server=None)
    endpoint = Endpoint.of(url + path)
    connection = Connection(endpoint, ConnectionStats(), connect_timeout_s=5, answer_timeout_s=5)
    connection.exchange(endpoint.request_bytes("POST", "/execute", b"{}"))
    connection.close()
    reader = MetricsReader()
    for source in (
        TargetClient(endpoint, Target(), PreparedRequests(endpoint, [], [], "")),
        TargetClient(
            Endpoint.of(url),
            Target(server_metrics_url=f"{url}{path.rstrip('/')}/metrics"),
            PreparedRequests(endpoint, [], [], ""),
        ),
    ):
        assert reader.text(source.metrics_target()) == ("", None)
    client = evaluation.Target(facts, {}, tls=TlsSettings(), connect_timeout_s=5, request_timeout_s=5)
    client.execute(b"{}")
    assert reader.text(client.metrics_target()) == ("", None)
    assert asked == [
        f"{method} {encoded}/{end} HTTP/1.1"
        for method, end in [
            ("GET", "health"), ("POST", "execute"), ("POST", "execute"), ("GET", "metrics"),
            ("GET", "metrics"), ("POST", "execute"), ("GET", "metrics"),
        ]
    ]  # fmt: skip


@given(st.text(st.characters(exclude_categories=("Cs", "Cc"))))
def test_encoding_twice_changes_nothing(path: str) -> None:
    """A URL that has been encoded is its own encoding, in ASCII, and the load sends it as it stands."""
    path = re.split("[?#]", path, maxsplit=1)[0]
    try:
        url = check_url(f"http://h/{path}")
    except UsageError:
        return
    assert url.isascii()
    assert check_url(url) == url
    assert Endpoint.of(url).base_path == url.removeprefix("http://h")


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:3000", "h", "", "ftp://h", "http://", "http://h:0", "http://h:70000", "http://a b/", "http://h/a\nb"],
)
def test_what_is_no_url_is_refused_with_its_option(host: str) -> None:
    """The sentence names the option and shows what a URL looks like."""
    with pytest.raises(UsageError) as refusal:
        check_url(host, "--base")
    assert str(refusal.value) == (f"--base {host}: not a URL of a runtime; give one such as http://127.0.0.1:3000.")
    assert metrics_url_mistake(f"{host}/metrics") is not None


@pytest.mark.parametrize("host", ["http://h/a?b=c", "http://h/#x", "http://user:word@h/"])
def test_a_base_url_has_no_query_and_no_user(host: str) -> None:
    """Credentials belong into a header, and a query into no base."""
    with pytest.raises(UsageError, match="only scheme, host, port and path belong there"):
        check_url(host)


def test_hosts_are_written_in_one_way() -> None:
    """Case, IDNA and brackets as they go into the Host header."""
    assert check_url(" HTTP://Bücher.Example:80/ ") == "http://xn--bcher-kva.example:80"
    assert Endpoint.of("http://[::1]:3000/").authority == "[::1]:3000"
    assert Endpoint.of("http://[::1]:3000/").host == "::1"
    assert encoded_url("http://h/metrics?of=a b").request_uri == "/metrics?of=a%20b"
