"""Our PromQL figure beside a real Prometheus, which scrapes the simulated runtime."""

import math
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from aether_load.analysis.server.scrape import Scrape, difference, parse_scrape
from aether_load.analysis.statistics.histogram import promql_quantile, quantile_interval
from aether_load.protocol import DagRequest, Generation, LlmNode, encode_request
from processes import Simulator, wait_for

pytestmark = pytest.mark.prometheus
QUANTILES = (0.0, 0.1, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0)
BUCKET = "aether_execution_time_seconds_bucket"


@pytest.fixture
def prometheus(tmp_path: Path, simulator: Callable[..., Simulator], free_port: int) -> Iterator[Any]:
    """A simulated runtime with varied node times, and the URL of a Prometheus that scrapes it five times a second."""
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is not installed (apt-get install prometheus)")
    runtime = simulator("--latency", "lognormal:20ms,1.2", "--seed", "7")
    target = runtime.url.removeprefix("http://")
    (tmp_path / "prometheus.yml").write_text(
        "global: {scrape_interval: 200ms, scrape_timeout: 200ms}\n"
        f"scrape_configs: [{{job_name: aether, static_configs: [{{targets: ['{target}']}}]}}]\n"
    )
    log = (tmp_path / "prometheus.log").open("wb")
    process = subprocess.Popen(
        [
            "prometheus", f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/tsdb",
            f"--web.listen-address=127.0.0.1:{free_port}",
        ],
        stdout=log, stderr=log,
    )  # fmt: skip
    try:
        yield runtime, f"http://127.0.0.1:{free_port}"
    finally:
        process.kill()
        process.wait()
        log.close()


def ask(url: str, query: str) -> float | None:
    """The value of an instant query that has one answer, or None while there is none."""
    try:
        answer = urllib3.request("GET", f"{url}/api/v1/query", fields={"query": query}, retries=False, timeout=5)
    except urllib3.exceptions.HTTPError:
        return None
    result = answer.json().get("data", {}).get("result", [])
    return float(result[0]["value"][1]) if result else None


def send(runtime: Any, count: Any) -> None:
    for _ in range(count):
        node = LlmNode("a", f"prompt {uuid.uuid4()}", "m")
        body = encode_request(DagRequest("t", (node,)), Generation.V2)
        answer = urllib3.request(
            "POST", f"{runtime.url}/execute", body=body, headers={"Content-Type": "application/json"}
        )  # fmt: skip
        assert answer.status == 200


def reading(runtime: Any) -> Scrape:
    return parse_scrape(urllib3.request("GET", f"{runtime.url}/metrics").data.decode())


def has_counted(url: str, count: Any) -> Any:
    """Return Prometheus's own time of the first reading that it has with so many nodes."""
    return ask(url, f"timestamp({BUCKET}{{le='+Inf'}} == {count})")


def test_our_promql_figure_is_prometheus_own(prometheus: Any) -> None:
    """`histogram_quantile` over all that was counted and over a difference of two readings is ours to 12 digits."""
    runtime, url = prometheus
    send(runtime, 60)
    first = reading(runtime)
    early = wait_for(lambda: has_counted(url, first.node_count), "Prometheus to have scraped the first nodes")
    send(runtime, 90)
    last = reading(runtime)
    late = wait_for(lambda: has_counted(url, last.node_count), "Prometheus to have scraped the last nodes")
    counted = difference(first, last)
    at = f"@ {late:.3f}"
    window = f"({BUCKET} {at} - {BUCKET} @ {early:.3f})"
    compared = 0
    for q in QUANTILES:
        whole = ask(url, f"histogram_quantile({q}, {BUCKET} {at})")
        part = ask(url, f"histogram_quantile({q}, {window})")
        assert whole is not None
        assert promql_quantile(last.buckets, q) == pytest.approx(whole * 1000, rel=1e-12)
        assert part is not None
        assert promql_quantile(counted.buckets, q) == pytest.approx(part * 1000, rel=1e-12)
        compared += 1
    assert compared == len(QUANTILES)
    assert counted.node_count == 90


def test_the_interval_holds_what_the_point_misses(prometheus: Any) -> None:
    """The true quantile, known from the simulator's record, lies in our interval; PromQL's point need not."""
    runtime, _ = prometheus
    send(runtime, 120)
    record = urllib3.request("GET", f"{runtime.url}/_sim/record").data.decode().splitlines()
    import json

    times = sorted(node["ms"] for entry in map(json.loads, record) for node in entry["nodes"])
    counted = reading(runtime)
    assert len(times) == counted.node_count == 120
    for q in (0.5, 0.9, 0.95, 0.99):
        true = times[max(1, math.ceil(q * len(times))) - 1]
        interval = quantile_interval(counted.buckets, counted.node_time_sum_ms, q)
        assert interval is not None
        assert interval.low <= true < interval.high
