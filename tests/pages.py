"""Locust's page as a test drives it without a browser."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest
import urllib3

from processes import wait_for


def a_free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class LocustPage:
    """The page of a Locust process on 127.0.0.1, once it answers: it is there when the prompts are loaded."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.http = urllib3.PoolManager(retries=False, timeout=30)
        wait_for(self._answers, "the web page")

    def _answers(self) -> bool:
        try:
            return self.get("/").status < 400
        except urllib3.exceptions.HTTPError:
            return False

    def get(self, path: str, **headers: str) -> urllib3.BaseHTTPResponse:
        return self.http.request("GET", self.url + path, headers=headers, redirect=False)

    def json(self, path: str) -> Any:
        answer = self.get(path)
        assert answer.status == 200, answer.data
        return json.loads(answer.data)

    def swarm(self, users: int = 4, **fields: str) -> Any:
        """Press Start with these fields in the form; return what the page is told."""
        answer = self.http.request(
            "POST", f"{self.url}/swarm", fields={"user_count": str(users), "spawn_rate": "100", **fields}
        )
        assert answer.status == 200, answer.data
        return json.loads(answer.data)

    def start(self, users: int = 4, **fields: str) -> None:
        """Press Start, which is to succeed."""
        said = self.swarm(users, **fields)
        assert said["success"], said

    def refusal(self, **fields: Any) -> str:
        """Press Start, which is to be refused; return the sentence."""
        said = self.swarm(**fields)
        assert not said["success"], said
        return str(said["message"])

    def stop(self) -> None:
        """Stop as the page does, and wait until the results are written, which the page need not."""
        assert self.http.request("POST", f"{self.url}/stop").status == 200
        assert self.live()["state"] in {"writing", "ended"}
        wait_for(lambda: self.live()["state"] == "ended", "the results")

    def reset(self) -> None:
        assert self.http.request("POST", f"{self.url}/stats/reset").status == 200

    def live(self) -> Any:
        return self.json("/aether/live")

    def wait_for_points(self, more_than: int) -> Any:
        """Return the live figures when there are enough points of the run that is under way."""
        return wait_for(
            lambda: (now := self.live())["state"] == "running" and len(now["points"]) > more_than and now, "points"
        )


def assert_shown_as_reported(after: Any, points: list[Any], report: Any) -> None:
    """Hold a page's last figures, and all its points, against the report of the one phase that they are of."""
    (phase,) = report["phases"]
    figures = after["figures"]
    everything = phase["all"]["requests_total"] + phase["requests_outside_window_total"]
    assert sum(count for _, _, count in figures["outcomes"]) == figures["requests_total"] == everything
    assert round(sum(point["rate_rps"] * (point["ended_s"] - point["began_s"]) for point in points)) == everything
    ours = {line["name"]: (line["ours"], line["theirs"]) for line in after["reconciliation"]["lines"]}
    theirs = {line["name"]: line for line in phase["reconciliation"]["lines"]}
    assert after["reconciliation"]["at_rest"]
    assert ours["nodes"] == (theirs["executed_nodes_total"]["ours"], theirs["executed_nodes_total"]["theirs"])
    assert ours["node time, ms"] == (theirs["node_time_ms"]["ours"], theirs["node_time_ms"]["theirs"])
    assert ours["tokens"] == (theirs["tokens_total"]["ours"], theirs["tokens_total"]["theirs"])
    assert figures["server_buckets"] == [bucket["counted"] for bucket in phase["reconciliation"]["buckets"]]
    for place, name in enumerate(figures["parts"]):
        shown = sum(
            point["parts_ms"][place] * point["rate_rps"] * (point["ended_s"] - point["began_s"])
            for point in points if point["parts_ms"] is not None
        ) / everything  # fmt: skip
        # The live figures leave what the sender's own loop held in the overhead.
        reported = [phase["decomposition"][part] for part in (name, *(["sender_hold"] if name == "overhead" else []))]
        expected = sum(part["mean_contribution_ms"] for part in reported if part is not None)
        assert shown == pytest.approx(expected, abs=0.02), name
    for name in ("p50", "p99"):
        # Where the sender held answers up the report has bounds; the live figure is the upper one.
        bounds = phase["all"]["service_latency_ms"][name]
        assert 0.99 * bounds["at_least"] <= figures[f"{name}_ms"] <= 1.01 * bounds["at_most"]
    assert [warning["code"] for warning in after["warnings"]] == [w["code"] for w in report["warnings"]]
