"""The dashboard's queries and the example configuration, on a real Prometheus beside a real load."""

import json
import math
import re
import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import urllib3

from pages import a_free_port
from processes import REPOSITORY, LocustProcess, Simulator, wait_for

EXAMPLE = REPOSITORY / "docs" / "prometheus.yml"
DASHBOARD = json.loads((REPOSITORY / "docs" / "grafana" / "aether-load.json").read_bytes())
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


def test_each_panel_has_a_place_of_its_own() -> None:
    """What Grafana needs to import it: ids that differ, places that do not overlap, a source that is asked for."""
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in DASHBOARD["panels"]}
    assert len(places) == len(DASHBOARD["panels"])
    assert [variable["type"] for variable in DASHBOARD["templating"]["list"]] == ["datasource"]
    assert all(target["datasource"]["uid"] == "${datasource}" for p in DASHBOARD["panels"] for target in p["targets"])


def values(url: str, query: str) -> list[Any]:
    """Return the values of an instant query that are numbers; none while Prometheus is not there."""
    try:
        answer = urllib3.request("GET", f"{url}/api/v1/query", fields={"query": query}, retries=False, timeout=5)
    except urllib3.exceptions.HTTPError:
        return []
    if answer.status == 503:
        return []
    answer = answer.json()
    assert answer["status"] == "success", answer
    found = [float(series["value"][1]) for series in answer["data"]["result"]]
    return [value for value in found if math.isfinite(value)]


@pytest.mark.prometheus
def test_every_query_has_an_answer_while_a_load_runs(
    start_locust: Callable[..., LocustProcess], simulator: Callable[..., Simulator], tmp_path: Path
) -> None:
    """With the example's configuration, but for ports and interval, no panel is empty and no query is wrong."""
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is not installed (apt-get install prometheus)")
    subprocess.run(["promtool", "check", "config", str(EXAMPLE)], check=True, capture_output=True)
    runtime = simulator("--latency", "lognormal:20ms,0.5")
    metrics, port = a_free_port(), a_free_port()
    text = EXAMPLE.read_text().replace("127.0.0.1:8089", f"127.0.0.1:{metrics}").replace("5s", "1s")
    (tmp_path / "prometheus.yml").write_text(text.replace("127.0.0.1:3000", runtime.url.removeprefix("http://")))
    process = start_locust(
        "--headless", "--host", runtime.url, "--scenario", "open", "--set", "phases.0.duration=40s",
        "--prometheus-port", str(metrics), "--limit", "20",
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    prometheus = subprocess.Popen(
        [
            "prometheus", f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/tsdb",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        for query in QUERIES:
            now = query.replace("$__rate_interval", "5s")
            assert not re.search(r"\$\w", now)
            wait_for(partial(values, url, now), f"an answer to {now}")
        assert values(url, "aether_load_running") == [1.0]
        # What Prometheus makes of the client's histogram and of its sums is what there was: 100 requests a second.
        counted = "sum(rate(aether_load_requests_total[5s]))"
        wait_for(lambda: 80 < sum(values(url, counted)) < 120, "Prometheus to see 100 requests a second")
    finally:
        prometheus.kill()
        prometheus.wait()
        process.send(2)
        process.finish()
