"""A target behind mutual TLS: what reaches it, and which option a refused handshake names."""

import json
import re
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aether_load.errors import TargetError, UsageError
from aether_load.evaluation.target import Target
from aether_load.load.http.connection import Connection
from aether_load.load.http.connection_stats import ConnectionStats
from aether_load.load.http.endpoint import Endpoint
from aether_load.load.http.errors import ConnectError, ConnectionLost
from aether_load.observer.scraper import MetricsReader
from aether_load.protocol import Generation
from aether_load.runtime_client import TargetFacts, probe
from aether_load.tls import TlsSettings
from processes import Finished, running_simulator
from recording_proxy import RecordingProxy, recording_proxy


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, the certificates of a server and of a client that it signed, and one that nobody signed."""
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    def files_of(name: str, kind: str) -> tuple[str, ...]:
        return ("-keyout", f"{name}.key", "-out", f"{name}.{kind}", "-subj", f"/CN={name}")

    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    try:
        for name in ("ca", "stranger"):
            openssl(
                "req",
                "-x509",
                *new,
                "-keyout",
                f"{name}.key",
                "-out",
                f"{name}.pem",
                "-days",
                "2",
                "-subj",
                f"/CN={name}",
            )
    except FileNotFoundError:
        pytest.skip("there is no openssl command to make certificates with")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1")
    for name in ("server", "client"):
        openssl("req", *new, *files_of(name, "csr"))
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
        openssl("x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", *signed)
    openssl("ec", "-in", "client.key", "-aes256", "-passout", "pass:secret", "-out", "encrypted.key")
    (folder / "both.pem").write_bytes((folder / "client.pem").read_bytes() + (folder / "client.key").read_bytes())
    (folder / "empty.pem").write_text("")
    return folder


@pytest.fixture(scope="module")
def runtime() -> Iterator[str]:
    with running_simulator("--latency", "constant:2ms") as simulator:
        yield simulator.url


@pytest.fixture(scope="module", params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["TLS 1.2", "TLS 1.3"])
def target(request: pytest.FixtureRequest, files: Path, runtime: str) -> Iterator[RecordingProxy]:
    """A runtime that asks for a client certificate; in TLS 1.3 it refuses after the handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = context.maximum_version = request.param
    context.load_cert_chain(files / "server.pem", files / "server.key")
    context.load_verify_locations(files / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    with recording_proxy(runtime, context) as proxy:
        yield proxy


def settings(files: Path, **given: str) -> TlsSettings:
    paths: dict[str, Any] = {key: str(files / value) for key, value in given.items()}
    return TlsSettings(**paths)


KNOWN = {"ca_file": "ca.pem", "client_cert": "client.pem", "client_key": "client.key"}
REFUSED = [
    ({}, "not trusted: .*; name its authority with --ca-file"),
    ({"ca_file": "stranger.pem"}, r"not trusted: .* \(--ca-file\)"),
    ({"ca_file": "ca.pem"}, "give --client-cert and --client-key"),
    (
        {"ca_file": "ca.pem", "client_cert": "stranger.pem", "client_key": "stranger.key"},
        "the target refuses the certificate of --client-cert",
    ),
]


def test_with_certificate_and_authority_every_client_is_let_in(files: Path, target: RecordingProxy) -> None:
    """The probe, the sender's connection, and an evaluation's; a certificate's file may hold its key."""
    for tls in (settings(files, **KNOWN), settings(files, ca_file="ca.pem", client_cert="both.pem")):
        assert probe(target.url, tls=tls).generation is Generation.V2
        endpoint = Endpoint.of(target.url, tls=tls)
        connection = Connection(endpoint, ConnectionStats(), connect_timeout_s=5, answer_timeout_s=5)
        assert connection.exchange(endpoint.request_bytes("GET", "/health"))[0] == 200
        connection.close()
        facts = TargetFacts(target.url, Generation.V2, True, None)
        client = Target(facts, {}, tls=tls, connect_timeout_s=5, request_timeout_s=5)
        text, reason = MetricsReader().text(client.metrics_target())
        assert (text is not None, reason) == (True, None)


@pytest.mark.parametrize(("given", "words"), REFUSED)
def test_a_refused_handshake_says_which_option_is_missing(
    files: Path, target: RecordingProxy, given: dict[str, str], words: str
) -> None:
    """Whether the client or the server refuses, and in both versions of TLS."""
    tls = settings(files, **given)
    with pytest.raises(TargetError, match=words):
        probe(target.url, tls=tls)
    endpoint = Endpoint.of(target.url, tls=tls)
    connection = Connection(endpoint, ConnectionStats(), connect_timeout_s=5, answer_timeout_s=5)
    with pytest.raises((ConnectError, ConnectionLost), match=words):
        connection.exchange(endpoint.request_bytes("GET", "/health"))
    facts = TargetFacts(target.url, Generation.V2, True, None)
    reason = Target(facts, {}, tls=tls, connect_timeout_s=5, request_timeout_s=5).execute(b"{}").reason
    assert re.search(words, reason), reason


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"ca_file": "none.pem"}, "--ca-file {}/none.pem: it cannot be read: No such file or directory."),
        ({"ca_file": "empty.pem"}, "--ca-file {}/empty.pem: it holds no certificate in PEM format."),
        ({"client_cert": "none.pem"}, "--client-cert {}/none.pem: it cannot be read: No such file or directory."),
        (
            {"client_cert": "client.pem", "client_key": "none.key"},
            "--client-key {}/none.key: it cannot be read: No such file or directory.",
        ),
        (
            {"client_cert": "client.pem"},
            (
                "--client-cert {}/client.pem: it does not hold a certificate and its key in PEM format; give the key "
                "with --client-key."
            ),
        ),
        (
            {"client_cert": "client.pem", "client_key": "server.key"},
            "--client-key {0}/server.key: it is not the key of --client-cert {0}/client.pem.",
        ),
        (
            {"client_cert": "client.pem", "client_key": "encrypted.key"},
            "--client-key {}/encrypted.key: the key is encrypted; give one without a passphrase.",
        ),
        (
            {"client_cert": "empty.pem", "client_key": "client.key"},
            (
                "--client-cert {0}/empty.pem and --client-key {0}/client.key: they do not hold a certificate and its "
                "key in PEM format."
            ),
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_one_sentence(files: Path, given: dict[str, str], sentence: str) -> None:
    """Nothing asks for a passphrase at the terminal."""
    with pytest.raises(UsageError) as raised:
        settings(files, **given).context()
    assert str(raised.value) == sentence.format(files)


@pytest.mark.slow
def test_a_run_shows_its_certificate_to_its_target_alone(
    files: Path, runtime: str, fork_locust: Callable[..., Finished]
) -> None:
    """From options or from a scenario's keys, whose paths are relative to it; the report names the files."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files / "server.pem", files / "server.key")
    context.load_verify_locations(files / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    (files / "own.toml").write_text('[target]\nca_file = "ca.pem"\n[[phases]]\nusers = 2\nrequests = 4\n')
    options = ("--scenario", str(files / "own.toml"), "--limit", "2", "--dataset", "piqa")
    with recording_proxy(runtime, context) as proxy:
        identity = ("--client-cert", str(files / "client.pem"), "--client-key", str(files / "client.key"))
        finished = fork_locust("--host", proxy.url, *options, *identity)
    report = json.loads(finished.nightly.read_bytes())
    assert (finished.code, report["phases"][0]["all"]["ok_total"]) == (0, 4), finished.err
    assert report["scenario"]["target"]["ca_file"] == str(files / "ca.pem")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--client-key", "x"), "target.client_key: a key goes with a certificate: give client_cert"),
        (("--ca-file", "x", "--insecure"), "target.ca_file: without verification"),
    ],
)
def test_options_that_do_not_go_together(
    fork_locust: Callable[..., Finished], options: tuple[str, ...], sentence: str
) -> None:
    finished = fork_locust("--host", "https://127.0.0.1:1", *options)
    assert finished.code == 2
    assert sentence in finished.err
