"""The Aether tab of a master: the figures of all its workers, through start, stop, reset and another host."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from pages import LocustPage, a_free_port, assert_shown_as_reported
from processes import UNSEEN, LocustProcess, Simulator, running_simulator, wait_for


@pytest.fixture(scope="module")
def locust(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[LocustProcess, LocustPage, Simulator, Simulator]]:
    """A master with its page and two workers, and the two runtimes that it is used against."""
    with (
        running_simulator("--latency", "constant:20ms") as v2,
        running_simulator("--latency", "constant:20ms", "--generation", "v1") as v1,
    ):
        web, own = (str(a_free_port()) for _ in range(2))
        ports = ("--web-port", web, "--master-bind-port", own, "--master-port", own)
        options = ("--processes", "2", *ports, "--host", v2.url, "--limit", "20", *UNSEEN)
        process = LocustProcess(tmp_path_factory.mktemp("page"), options, {})
        try:
            page = LocustPage(int(web))
            wait_for(lambda: len(page.json("/stats/requests")["workers"]) == 2, "both workers")
            yield process, page, v2, v1
        finally:
            process.process.kill()
            process.process.communicate()


def report_of(process: LocustProcess, run_id: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads((process.folder / "results" / "runs" / run_id / "report.json").read_bytes())
    return answer


def has_a_whole_point(shown: Any) -> bool:
    """Say whether there is a second with every figure; on a busy machine one may pass without a reading."""
    return any(
        all(value is not None for name, value in point.items() if name != "target_rps") for point in shown["points"]
    )


@pytest.mark.slow
def test_figures_of_all_workers_are_shown_and_are_what_the_report_says(
    locust: tuple[LocustProcess, LocustPage, Simulator, Simulator],
) -> None:
    process, page, *_ = locust
    page.start(users=4)
    during: Any = wait_for(lambda: has_a_whole_point(now := page.live()) and now, "a second with every figure")
    page.stop()
    after = page.live()
    assert during["figures"]["in_flight"] == 4
    assert during["phase"]["users"] == 4
    assert (during["reconciliation"]["state"], during["reconciliation"]["difference_nodes"]) == ("agrees", 0)
    report = report_of(process, after["run"]["id"])
    assert [worker["requests_total"] > 50 for worker in report["workers"]] == [True, True]
    assert_shown_as_reported(after, page.json("/aether/history")["points"], report)
    assert after["runs"][0]["trust"] == ["trusted"]


@pytest.mark.slow
def test_another_start_another_host_another_scenario(
    locust: tuple[LocustProcess, LocustPage, Simulator, Simulator],
) -> None:
    """What the form changes is handed to the workers anew; a reset empties what is shown and goes on."""
    process, page, v2, v1 = locust
    page.start(users=3, host=v1.url)
    before = page.wait_for_points(1)
    assert (before["run"]["target"], before["run"]["generation"]) == (v1.url, "v1")
    page.reset()
    after = page.live()
    assert after["epoch"] == before["epoch"] + 1
    assert page.wait_for_points(1)["reconciliation"]["state"] == "agrees"
    page.stop()
    page.start(users=2, host=v2.url, dag="chain", dag_nodes="3", limit="5")
    shown = page.wait_for_points(1)
    assert (shown["run"]["dag"], shown["run"]["generation"]) == ("chain", "v2")
    page.stop()
    runs = page.live()["runs"]
    assert [run["trust"] for run in runs[:2]] == [["trusted"], ["trusted"]]
    (phase,) = report_of(process, runs[0]["id"])["phases"]
    assert [node["id"] for node in phase["nodes"]] == ["step_1", "step_2", "answer"] or len(phase["nodes"]) == 3
