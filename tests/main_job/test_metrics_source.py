"""Metrics behind another URL, missing, stale or partial: each works, or says exactly what is void."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import urllib3

if TYPE_CHECKING:
    from processes import Finished, Simulator

FEW = ("--limit", "4", "-u", "4")


@contextmanager
def metrics_page(text_of: Callable[..., Any]) -> Iterator[tuple[str, list[Any]]]:
    """A server that answers every GET with what `text_of` gives for its path; yields its URL and what it was sent."""
    seen = []

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append((self.path, dict(self.headers)))
            body = text_of(len(seen)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: str) -> None:
            """Keep quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", seen
    finally:
        server.shutdown()
        server.server_close()


def metrics_of(runtime: Simulator) -> str:
    return urllib3.request("GET", f"{runtime.url}/metrics").data.decode()


def report_of(finished: Finished) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(finished.nightly.read_bytes())
    return answer


@pytest.mark.slow
def test_metrics_behind_another_url_are_read_there(
    fork_locust: Callable[..., Finished], simulator: Callable[..., Simulator]
) -> None:
    """The reconciliation agrees as it does with the target's own, and no secret goes to the other place."""
    runtime = simulator("--latency", "constant:5ms")
    with metrics_page(lambda _: metrics_of(runtime)) as (url, seen):
        finished = fork_locust(
            "--host", runtime.url, *FEW, "--server-metrics-url", f"{url}/inside/metrics?of=aether",
            "--header", "Authorization: Bearer s3cr3t",
        )  # fmt: skip
    report = report_of(finished)
    assert finished.code == 0, finished.err
    assert report["phases"][0]["reconciliation"]["trust"] == "trusted"
    assert report["phases"][0]["reconciliation"]["counted_nodes_total"] == 20
    assert {path for path, _ in seen} == {"/inside/metrics?of=aether"}
    assert not any("Authorization" in headers for _, headers in seen)
    assert report["scenario"]["target"]["server_metrics_url"] == f"{url}/inside/metrics?***"


@pytest.mark.slow
def test_readings_that_never_change_say_so(
    fork_locust: Callable[..., Finished], simulator: Callable[..., Simulator]
) -> None:
    """A page out of a cache is no data: void, exit 5, and the client's side stands."""
    runtime = simulator("--latency", "constant:5ms")
    stale = metrics_of(runtime)
    with metrics_page(lambda _: stale) as (url, _):
        finished = fork_locust("--host", runtime.url, *FEW, "--server-metrics-url", f"{url}/metrics")
    (phase,) = report_of(finished)["phases"]
    assert (finished.code, phase["reconciliation"]["trust"]) == (5, "no_server_data"), finished.err
    assert "readings of /metrics are the same, though 20 nodes were answered" in phase["reconciliation"]["reason"]
    assert phase["decomposition"]["divided_requests_total"] == 20


def test_a_partial_last_reading_voids_the_server_and_nothing_else(
    fork_locust: Callable[..., Finished], simulator: Callable[..., Simulator]
) -> None:
    """The text breaks off among the buckets: that is no reading."""
    runtime = simulator("--latency", "constant:5ms")
    with metrics_page(lambda number: metrics_of(runtime) if number == 1 else metrics_of(runtime)[:700]) as (url, _):
        finished = fork_locust("--host", runtime.url, *FEW, "--server-metrics-url", f"{url}/metrics")
    (phase,) = report_of(finished)["phases"]
    assert finished.code == 5, finished.err
    assert phase["reconciliation"]["trust"] == "no_server_data"
    assert phase["reconciliation"]["reason"].startswith("/metrics (after the load): ")
    assert (phase["server"], phase["decomposition"]["divided_requests_total"]) == (None, 20)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            ("--server-metrics-url", "localhost:9100"),
            "target.server_metrics_url = 'localhost:9100': that is no URL of metrics; give",
        ),
        (("--server-metrics-url", "http://localhost:9100"), "its path is missing, which is /metrics most likely"),
        (
            ("--server-metrics-url", "http://me:it@localhost/metrics"),
            "a user, a password or a fragment does not belong there",
        ),
        (
            ("--server-metrics-url", "http://localhost/metrics", "--set", "target.server_metrics=false"),
            "target.server_metrics_url and server_metrics = false contradict each other",
        ),
        (("--fail-on-warning", "contaminted"), "fail_on_warning.0 = 'contaminted': did you mean 'contaminated'?"),
        (("--set", "fail_on_warning=['droped']"), "fail_on_warning.0 = 'droped': did you mean 'dropped'?"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_any_load(
    fork_locust: Callable[..., Finished], options: tuple[str, ...], sentence: str
) -> None:
    """Exit 2, one sentence with key, value and the nearest right word."""
    finished = fork_locust(*options)
    assert finished.code == 2
    assert sentence in finished.err
    assert "Traceback" not in finished.err


def test_a_forbidden_warning_is_exit_five(
    fork_locust: Callable[..., Finished], simulator: Callable[..., Simulator]
) -> None:
    """The run is as good as without, and invalid all the same; the reason stands on the terminal."""
    runtime = simulator("--latency", "constant:5ms")
    finished = fork_locust("--host", runtime.url, *FEW, "--fail-on-warning", "contaminated,few_samples")
    report = report_of(finished)
    assert (finished.code, report["verdict"]["status"]) == (5, "invalid"), finished.err
    assert report["scenario"]["fail_on_warning"] == ["contaminated", "few_samples"]
    assert "phase closed: forbidden warning few_samples: 20 samples" in finished.out
    assert finished.out.index("forbidden warning") < finished.out.index("\nwarnings\n")


@pytest.mark.slow
def test_the_servers_process_stands_beside_the_senders(
    fork_locust: Callable[..., Finished], simulator: Callable[..., Simulator]
) -> None:
    """Where the target runs on this machine, its CPU and memory are in the report and in the time series."""
    runtime = simulator("--latency", "constant:5ms")
    finished = fork_locust(
        "--host", runtime.url, "-u", "4", "--scenario", "smoke", "--set", "phases.0.duration='1500ms'"
    )
    (phase,) = report_of(finished)["phases"]
    process = phase["server_process"]
    assert process is not None, (finished.err, phase["reasons"])
    assert process["processes"] == 1
    assert process["names"][0].startswith("python")
    assert process["resident_max_bytes"] > 5_000_000
    assert 0 < process["cpu_share_mean"] <= process["cpu_share_max"] < 1.5
    assert any(share is not None for share in phase["series"]["server_cpu_share"])
