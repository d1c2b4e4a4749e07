"""The same job from Locust's web page: each start is a run of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import pytest
import urllib3

from processes import UNSEEN, LocustProcess, Simulator, wait_for

if TYPE_CHECKING:
    from locust_forks import LocustFork


def open_page(url: str) -> urllib3.PoolManager:
    """A client of the page, once the page answers: it is there when the prompts are loaded."""
    http = urllib3.PoolManager(retries=False, timeout=30)

    def answers() -> bool:
        try:
            return http.request("GET", url).status == 200
        except urllib3.exceptions.HTTPError:
            return False

    wait_for(answers, "the web page")
    return http


def has_begun(process: LocustProcess, runs: int) -> bool:
    return process.runs_begun() == runs


def has_reports(process: LocustProcess, reports: int) -> bool:
    return bool(reports_of(process) == reports)


def starts(http: urllib3.PoolManager, url: str, form: dict[str, str]) -> bool:
    """Ask for a start, and return whether it was granted."""
    return bool(json.loads(http.request("POST", f"{url}/swarm", fields=form).data)["success"])


@pytest.mark.slow
def test_each_start_in_the_web_page_is_a_run_of_its_own(
    start_fork: Callable[..., LocustFork], simulator: Callable[..., Simulator], free_port: int
) -> None:
    """Start, stop, start, stop: two run folders, both closed in order and reconciled; the page lives on.

    A load without an end has the end that the page gives it; one that is stopped before its own was interrupted.
    """
    runtime = simulator("--latency", "constant:20ms")
    process = start_fork(
        "--web-host", "127.0.0.1", "--web-port", str(free_port), "--host", runtime.url, "--limit", "20", *UNSEEN,
    )  # fmt: skip
    url = f"http://127.0.0.1:{free_port}"
    http = open_page(url)
    form = {"user_count": "5", "spawn_rate": "5", "host": runtime.url}
    assert not json.loads(http.request("POST", f"{url}/swarm", fields=form | {"user_count": "0"}).data)["success"]
    # A stop that comes before the load has begun is one all the same.
    assert json.loads(http.request("POST", f"{url}/swarm", fields=form).data)["success"]
    assert json.loads(http.request("POST", f"{url}/stop").data)["success"]
    wait_for(lambda: reports_of(process) == 1, "the results")
    for number, more in ((2, {}), (3, {"run_time": "60s"})):
        # A start is refused, with a sentence, while results are still being written.
        wait_for(partial(starts, http, url, form | more), "a start")
        # Locust's table is that of the run before until the first of this one's requests is in it.
        wait_for(partial(has_begun, process, number), "the run's folder")
        wait_for(lambda: total_requests(http, url) > 50 and process.samples_written() > 20_000, "its samples")
        assert http.request("POST", f"{url}/stop").status == 200
        folders = list((process.folder / "results" / "runs").iterdir())
        assert len(folders) == number
        wait_for(partial(has_reports, process, number), "the results")
    process.send(2)
    finished = process.finish()
    reports = [json.loads((folder / "report.json").read_bytes()) for folder in folders]
    reports.sort(key=lambda report: report["run"]["began_utc"])
    assert reports.pop(0)["verdict"]["status"] != "passed"
    assert [(report["run"]["ended_as"], report["phases"][0]["ended_by"]) for report in reports] == [
        ("completed", "stopped"), ("interrupted", "stopped"),
    ]  # fmt: skip
    assert [report["verdict"]["exit_code"] for report in reports] == [0, 130]
    assert finished.code == 130
    assert [report["phases"][0]["reconciliation"]["trust"] for report in reports] == ["trusted", "trusted"]
    # The page said 5 users where the scenario says 8, and could have changed its mind.
    assert [report["phases"][0]["users"] for report in reports] == [None, None]
    assert all("users" in report["phases"][0]["reasons"] for report in reports)
    assert all(report["phases"][0]["correlation"]["littles_law_ratio"] is None for report in reports)
    assert "Traceback" not in finished.err


@pytest.mark.slow
def test_a_run_time_ends_the_pages_load_by_itself(start_fork: Callable[..., LocustFork], free_port: int) -> None:
    """With -t the load stops by itself, its results are written, and the page still answers."""
    process = start_fork("--web-host", "127.0.0.1", "--web-port", str(free_port), "--limit", "2", "-t", "1s")
    url = f"http://127.0.0.1:{free_port}"
    http = open_page(url)
    http.request("POST", f"{url}/swarm", fields={"user_count": "3", "spawn_rate": "3"})
    wait_for(lambda: json.loads(http.request("GET", f"{url}/stats/requests").data)["state"] == "stopped", "the end")
    (nightly,) = (process.folder / "results").glob("nightly_*.json")
    report = json.loads(nightly.read_bytes())
    assert (report["run"]["ended_as"], report["phases"][0]["ended_by"]) == ("completed", "duration")
    assert report["phases"][0]["window_s"] >= 1


def reports_of(process: LocustProcess) -> int:
    return len(list((process.folder / "results" / "runs").glob("*/report.json")))


def total_requests(http: urllib3.PoolManager, url: str) -> int:
    stats = json.loads(http.request("GET", f"{url}/stats/requests").data)["stats"]
    answer: int = next(row["num_requests"] for row in stats if row["name"] == "Aggregated")
    return answer
