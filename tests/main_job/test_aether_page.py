"""The Aether tab's routes on a real Locust process: live figures, start form, downloads, metrics, who may see them."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import urllib3

from aether_load.rundata.folder import RunFolder
from pages import LocustPage, a_free_port, assert_shown_as_reported
from processes import REPOSITORY, UNSEEN, Finished, LocustProcess, Simulator, running_simulator, wait_for
from recording_proxy import recording_proxy

if TYPE_CHECKING:
    from locust_forks import LocustFork

WITH_LOGIN = REPOSITORY / "tests" / "locustfiles" / "with_login.py"
FILES = ("report.html", "nightly.json", "summary.csv", "samples.arrow")
EVIL = "<script>window.harm=1</script><img src=x onerror='window.harm=1'>"


@pytest.fixture(scope="module")
def runtimes() -> Iterator[tuple[Simulator, Simulator]]:
    """Two simulated runtimes, of either generation."""
    with (
        running_simulator("--latency", "constant:40ms") as v2,
        running_simulator("--latency", "constant:40ms", "--generation", "v1") as v1,
    ):
        yield v2, v1


@pytest.fixture(scope="module")
def locust(
    tmp_path_factory: pytest.TempPathFactory, runtimes: tuple[Simulator, Simulator]
) -> Iterator[tuple[LocustProcess, LocustPage]]:
    """One Locust with its page, which the tests of this module start and stop in turn."""
    port = a_free_port()
    folder = tmp_path_factory.mktemp("page")
    header = ("--header", "X-Key: s3cr3t-7e1f")
    options = ("--web-port", str(port), "--host", runtimes[0].url, "--limit", "20", *UNSEEN, *header)
    process = LocustProcess(folder, options, {})
    try:
        yield process, LocustPage(port)
    finally:
        process.process.kill()
        process.process.communicate()


@pytest.fixture(scope="module")
def page(locust: tuple[LocustProcess, LocustPage]) -> LocustPage:
    return locust[1]


@pytest.fixture(scope="module")
def ended(
    locust: tuple[LocustProcess, LocustPage], page: LocustPage
) -> tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]], str]:
    """What was seen of a run of this page: while it ran, after it ended, and all its points."""
    page.start(users=4)
    during = page.wait_for_points(3)
    metrics = page.get("/aether/metrics").data.decode()
    page.stop()
    after = page.live()
    # Drawing it takes seconds and has tests of its own; here it is a file that is given away.
    RunFolder(folder_of(locust, after["run"]["id"])).page.write_text("<!doctype html><title>report</title>")
    return during, after, page.json("/aether/history")["points"], metrics


def folder_of(locust: tuple[LocustProcess, LocustPage], run_id: str) -> Path:
    return locust[0].folder / "results" / "runs" / run_id


def listening(process: LocustProcess) -> set[str]:
    found = psutil.Process(process.process.pid).net_connections("tcp")
    return {connection.laddr.ip for connection in found if connection.status == psutil.CONN_LISTEN}


def test_it_listens_on_this_machine_alone(locust: tuple[LocustProcess, LocustPage], page: LocustPage) -> None:
    """Without --web-host nobody but this machine reaches the page; Locust's own default is every interface."""
    assert listening(locust[0]) == {"127.0.0.1"}


def test_the_tab_is_in_locusts_own_page(page: LocustPage) -> None:
    """By its extension points: one more tab in what its page is told, and one script of ours."""
    html = page.get("/").data.decode()
    assert '{"key": "aether", "title": "Aether"}' in html
    assert html.count("./aether/static/tab.js") == 1


def test_figures_move_while_the_load_runs(
    ended: tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]], str],
) -> None:
    """Rate, percentiles, the server's side, parts, in flight, cache and CPU are there for a second of the run."""
    during, *_ = ended
    point = during["points"][-1]
    assert all(point[key] is not None for key in point if key != "target_rps"), point
    assert point["rate_rps"] > 50
    assert 0 < point["p50_ms"] <= point["p95_ms"] <= point["p99_ms"]
    assert sum(point["parts_ms"]) >= 0.9 * point["p50_ms"]
    assert during["figures"]["in_flight"] == 4
    assert (during["reconciliation"]["state"], during["reconciliation"]["difference_nodes"]) == ("agrees", 0)
    assert "simulated_target" in [warning["code"] for warning in during["warnings"]]
    assert (during["phase"]["name"], during["phase"]["users"]) == ("closed", 4)


def test_what_was_shown_is_what_the_report_says(
    locust: tuple[LocustProcess, LocustPage], ended: tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]], str]
) -> None:
    """At the end the live figures are the report's own: requests, reconciliation, parts, histogram, warnings."""
    _, after, points, _ = ended
    report = json.loads((folder_of(locust, after["run"]["id"]) / "report.json").read_bytes())
    assert_shown_as_reported(after, points, report)
    assert after["state"] == "ended"
    assert after["runs"][0]["verdict"] == report["verdict"]["status"] == "passed"
    assert after["runs"][0]["trust"] == ["trusted"]


@pytest.mark.slow
def test_a_reset_begins_the_charts_anew_and_a_start_does_too(
    page: LocustPage, ended: tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]], str]
) -> None:
    """Locust's Reset empties what is shown, as it does its own table; the reconciliation goes on."""
    page.start(users=2)
    before = page.wait_for_points(2)
    assert before["epoch"] > ended[1]["epoch"]
    assert before["run"]["id"] != ended[1]["run"]["id"]
    page.reset()
    after = page.live()
    assert after["epoch"] == before["epoch"] + 1
    assert after["figures"]["requests_total"] < before["figures"]["requests_total"]
    later = page.wait_for_points(1)
    assert later["reconciliation"]["state"] == "agrees"
    assert later["reconciliation"]["lines"][0]["ours"] > later["figures"]["requests_total"]
    page.stop()


@pytest.mark.slow
def test_a_change_of_host_is_followed(
    page: LocustPage,
    ended: tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]], str],
    runtimes: tuple[Simulator, Simulator],
) -> None:
    """The form's host is the next run's target, of whichever generation; then back again."""
    page.start(users=2, host=runtimes[1].url)
    during = page.wait_for_points(1)
    assert (during["run"]["target"], during["run"]["generation"]) == (runtimes[1].url, "v1")
    page.stop()
    assert page.live()["runs"][0]["trust"] == ["trusted"]
    page.start(users=2, host=runtimes[0].url)
    assert page.wait_for_points(0)["run"]["generation"] == "v2"
    page.stop()


@pytest.mark.usefixtures("ended")
class TestTheStartForm:
    def test_it_asks_for_what_a_run_is_made_of(self, page: LocustPage) -> None:
        """Dataset, DAG, scenario and cache are menus, sequential is a box, numbers have their words of help."""
        html = page.get("/").data.decode()
        match = re.search(r"templateArgs = (.*)", html)
        assert match is not None
        options = json.loads(match[1])["extra_options"]
        asked = {name: option["choices"] for name, option in options.items()}
        assert set(asked) == {"scenario", "dataset", "limit", "dag", "dag_nodes", "cache", "sequential"}
        assert asked["cache"] == ["as in the scenario", "keep", "cold", "warm"]
        assert asked["dag"][:3] == ["as in the scenario", "single", "chain"]
        assert {"eval", "open", "spike"} <= set(asked["scenario"])
        assert asked["dataset"][:2] == ["as in the scenario", "hellaswag"]
        assert options["sequential"]["default_value"] is False
        assert options["limit"]["default_value"] == 20
        assert all(option["help_text"] for option in options.values())

    @pytest.mark.parametrize(
        ("fields", "sentence"),
        [
            ({"limit": "many"}, "Limit: 'many' is no whole number; leave it empty for the scenario's own."),
            ({"limit": "0"}, "--limit 0: at least one row of each dataset is needed."),
            ({"dag": "chain", "dag_nodes": "1000"}, "workload.dag_nodes"),
            ({"dag": "circle"}, "workload.dag"),
            ({"cache": "hot"}, "Cache: 'hot' is none of keep, cold, warm."),
            ({"dataset": EVIL}, "no dataset"),
            ({"scenario": "nope"}, "--scenario nope: no scenario of that name ships"),
            ({"host": "http://127.0.0.1:9"}, "http://127.0.0.1:9"),
            ({"host": "ftp://x"}, "ftp://x"),
            ({"run_time": "soon"}, "Run time: 'soon' is no time; write it as 20, 20s, 3m, 2h or 1h20m."),
        ],
    )
    def test_a_wrong_value_is_refused_with_a_sentence(
        self, page: LocustPage, fields: dict[str, str], sentence: str
    ) -> None:
        """The page is told what is wrong, nothing is started, and what was asked before stands."""
        assert sentence in page.refusal(**fields)
        assert page.live()["state"] == "ended"

    def test_what_a_v1_runtime_has_not_is_refused(
        self, page: LocustPage, runtimes: tuple[Simulator, Simulator]
    ) -> None:
        """A cold cache is of v2."""
        assert "which has no cache and no parallel mode" in page.refusal(host=runtimes[1].url, cache="cold")

    @pytest.mark.slow
    def test_what_it_asks_for_is_what_is_run(
        self, locust: tuple[LocustProcess, LocustPage], page: LocustPage, runtimes: tuple[Simulator, Simulator]
    ) -> None:
        """Another dataset, DAG, limit, cache and mode, for a time that the run keeps to; then the old ones."""
        page.start(
            users=3, host=runtimes[0].url, dataset="piqa", dag="fan_out", dag_nodes="3", limit="7", cache="cold",
            sequential="true", run_time="3s", scenario="eval",
        )  # fmt: skip
        page.wait_for_points(0)
        assert "press Stop first to change" in page.refusal(limit="8")
        wait_for(lambda: page.live()["state"] == "ended", "the end of the run time")
        now = page.live()
        report = json.loads((folder_of(locust, now["run"]["id"]) / "report.json").read_bytes())
        (phase,) = report["phases"]
        assert (report["run"]["ended_as"], phase["ended_by"]) == ("completed", "duration")
        assert [row["dataset"] for row in phase["datasets"]] == ["piqa"]
        assert (phase["cache"], phase["sequential"]) == ("cold", True)
        assert (now["run"]["dag"], now["figures"]["nodes_per_request"]) == ("fan_out", 4)
        wait_for(lambda: page.json("/stats/requests")["state"] == "stopped", "Locust to know it")
        page.start(users=1, dataset="as in the scenario", dag="", dag_nodes="", limit="", cache="", sequential="false")
        now = page.wait_for_points(0)
        assert (now["run"]["dag"], len(now["run"]["datasets"])) == ("single", 5)
        page.stop()

    @pytest.mark.slow
    def test_a_scenario_of_several_phases_is_driven_from_the_page(self, page: LocustPage) -> None:
        """Its loads are its own, and it ends by itself."""
        page.start(users=1, scenario="smoke", limit="2")
        now = page.wait_for_points(0)
        assert now["run"]["scenario"] == "smoke"
        page.stop()


class TestDownloads:
    def test_four_files_of_a_run_can_be_taken_away(
        self,
        locust: tuple[LocustProcess, LocustPage],
        page: LocustPage,
        ended: tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]], str],
    ) -> None:
        """Each is the file in the run's folder, byte for byte, under a name that says which run it is of."""
        run_id = ended[1]["run"]["id"]
        names = {"report.html": "report.html", "nightly.json": "report.json", "summary.csv": "summary.csv",
                 "samples.arrow": "samples.arrow"}  # fmt: skip
        for name in FILES:
            answer = page.get(f"/aether/runs/{run_id}/{name}?download")
            assert answer.data == (folder_of(locust, run_id) / names[name]).read_bytes()
            assert answer.headers["Content-Disposition"] == f"attachment; filename={run_id}-{name}"

    def test_a_report_is_shown_as_a_stranger(
        self, page: LocustPage, ended: tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]], str]
    ) -> None:
        """It runs its own script, in a sandbox that reaches nothing of the page it came from."""
        answer = page.get(f"/aether/runs/{ended[1]['run']['id']}/report.html")
        assert answer.headers["Content-Security-Policy"] == "sandbox allow-scripts allow-downloads"
        assert answer.headers["Content-Disposition"].startswith("inline")

    @pytest.mark.parametrize(
        "path",
        [
            "{id}/run.json", "{id}/..%2f..%2fsummary.csv", "{id}/%2e%2e/%2e%2e/summary.csv", "../summary.csv",
            "..%2f..%2f..%2fetc%2fpasswd", "%2e%2e/report.html", "./report.html", "{id}%00/report.html",
            "20260101T000000Z-eval-0000/report.html", "{id}/report.html%00.csv", "%2fetc/passwd",
        ],
    )  # fmt: skip
    def test_nothing_else_can_be(
        self, page: LocustPage, ended: tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]], str], path: str
    ) -> None:
        """Neither another file of the folder, nor a way out of it, nor another run."""
        wanted = "/aether/runs/" + path.format(id=ended[1]["run"]["id"])
        with socket.create_connection(("127.0.0.1", int(page.url.rsplit(":", 1)[1]))) as raw:
            # By hand, since clients tidy such paths up.
            raw.sendall(f"GET {wanted} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            assert raw.makefile("rb").readline().split()[1] in {b"404", b"400", b"308"}

    def test_a_link_out_of_the_folder_is_no_file_of_it(
        self,
        locust: tuple[LocustProcess, LocustPage],
        page: LocustPage,
        ended: tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]], str],
    ) -> None:
        """A file that was replaced by a link to elsewhere is not served."""
        run_id = ended[1]["run"]["id"]
        summary = folder_of(locust, run_id) / "summary.csv"
        kept = summary.rename(summary.with_name("kept.csv"))
        try:
            summary.symlink_to("/etc/hostname")
            assert page.get(f"/aether/runs/{run_id}/summary.csv").status == 404
        finally:
            summary.unlink()
            kept.rename(summary)


def test_no_other_page_may_read_or_start_anything(
    page: LocustPage, ended: tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]], str]
) -> None:
    """Whether it comes by its own name or by ours; Locust's routes are guarded as ours are."""
    for path in ("/aether/", "/aether/live", "/aether/metrics", "/stats/requests", "/",
                 f"/aether/runs/{ended[1]['run']['id']}/nightly.json"):  # fmt: skip
        assert page.get(path, Origin="http://elsewhere.example").status == 403
        assert page.get(path, Host="elsewhere.example").status == 403
        answer = page.get(path)
        assert answer.status == 200
        assert answer.headers["Access-Control-Allow-Origin"] == page.url
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert page.get("/aether/").headers["Content-Security-Policy"].startswith("default-src 'none'")
    form = {"user_count": "1", "spawn_rate": "1"}
    before = page.live()["run"]["id"]
    for headers in ({"Origin": "http://elsewhere.example"}, {"Host": "elsewhere.example"}):
        for path in ("/swarm", "/stop", "/stats/reset"):
            assert page.http.request("POST", page.url + path, fields=form, headers=headers).status == 403
    assert page.live()["run"]["id"] == before


@pytest.mark.slow
def test_secret_headers_go_to_the_command_lines_target_only(
    locust: tuple[LocustProcess, LocustPage], page: LocustPage, runtimes: tuple[Simulator, Simulator]
) -> None:
    """A host that is typed into the form gets none, form and report say so; the command line's gets them again."""
    said = "The headers of the command line (X-Key) are sent to {} only; a runtime elsewhere gets none."
    with recording_proxy(runtimes[0].url) as elsewhere:
        assert f'data-headers="{said.format(runtimes[0].url)}"' in page.get("/").data.decode()
        page.start(users=1, host=elsewhere.url)
        page.wait_for_points(0)
        page.stop()
        assert len(elsewhere.seen) > 3
        assert elsewhere.values_of("X-Key") == {None}
    run = page.live()["runs"][0]["id"]
    notes = json.loads((folder_of(locust, run) / "run.json").read_bytes())["notes"]
    assert notes == [said.format(runtimes[0].url)]
    page.start(users=1, host=runtimes[0].url)
    page.stop()


def test_ten_who_ask_within_a_second_get_the_same_bytes(
    page: LocustPage, ended: tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]], str]
) -> None:
    """The figures are written once a tick, for however many."""
    assert len({page.get("/aether/live").data for _ in range(10)}) == 1


class TestMetrics:
    def test_they_are_what_the_run_was(
        self, ended: tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]], str], page: LocustPage
    ) -> None:
        """Requests by dataset and outcome, the histogram with the server's edges, what it is now."""
        text = page.get("/aether/metrics").data.decode()
        assert 'aether_load_requests_total{dataset="piqa",outcome="ok"}' in text
        for edge in ("0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf", "0.03"):
            assert f'aether_load_request_latency_seconds_bucket{{le="{edge}"}}' in text
            assert f'aether_load_overhead_seconds_bucket{{le="{edge}"}}' in text
        running = ended[3]
        assert "aether_load_requests_in_flight 4.0" in running
        assert "aether_load_running 1.0" in running
        assert "aether_load_reconciliation_difference_nodes 0.0" in running
        assert "aether_load_achieved_requests_per_second" in running
        # In closed load no rate is asked for; what was not asked is absent, not zero.
        assert "aether_load_target_requests_per_second" not in running
        assert "aether_load_generator_cpu_seconds_total" in running

    def test_promtool_has_nothing_to_say(
        self, ended: tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]], str]
    ) -> None:
        """Names, types and help keep to Prometheus's conventions."""
        if shutil.which("promtool") is None:
            pytest.skip("promtool is not installed (apt-get install prometheus)")
        checked = subprocess.run(
            ["promtool", "check", "metrics"], input=ended[3], capture_output=True, text=True, check=False
        )
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


@pytest.mark.slow
def test_the_login_covers_our_routes(start_fork: Callable[..., LocustFork], free_port: int) -> None:
    """With --web-login nothing of ours is shown or started before one has logged in, and all of it after."""
    process = start_fork("-f", str(WITH_LOGIN), "--web-login", "--web-port", str(free_port), "--limit", "2")
    page = LocustPage(free_port)
    paths = ("/aether/", "/aether/live", "/aether/history", "/aether/metrics", "/aether/static/live.js",
             "/aether/static/colours.css", "/aether/runs/x/report.html")  # fmt: skip
    for path in paths:
        answer = page.get(path)
        assert (answer.status, answer.headers["Location"].split("?")[0]) == (302, "/login"), path
    form = {"user_count": "1", "spawn_rate": "1", "limit": "many"}
    refused = page.http.request("POST", f"{page.url}/swarm", fields=form, redirect=False)
    assert (refused.status, refused.headers["Location"].split("?")[0]) == (302, "/login")
    cookie = page.http.request(
        "POST", f"{page.url}/let_in", fields={"username": "x"}, redirect=False
    ).headers["Set-Cookie"].split(";")[0]  # fmt: skip
    assert [page.get(path, Cookie=cookie).status for path in paths] == [200] * 6 + [404]
    said = page.http.request("POST", f"{page.url}/swarm", fields=form, headers={"Cookie": cookie})
    assert json.loads(said.data)["message"].startswith("Limit: 'many'")
    process.send(2)
    assert "Traceback" not in process.finish().err


@pytest.mark.slow
def test_a_headless_run_has_metrics_on_a_port_of_their_own(
    start_fork: Callable[..., LocustFork], free_port: int
) -> None:
    """--prometheus-port serves them on 127.0.0.1, open load with the rate that is asked for, and nothing else."""
    process = start_fork(
        "--headless", "--limit", "4", "--prometheus-port", str(free_port), "--scenario", "open",
        "--set", "phases.0.duration=3s", "--set", "phases.0.warmup=0s",
    )  # fmt: skip
    http = urllib3.PoolManager(retries=False)

    def text() -> str | None:
        try:
            answer = http.request("GET", f"http://127.0.0.1:{free_port}/metrics")
        except urllib3.exceptions.HTTPError:
            return None
        return answer.data.decode() if b'outcome="ok"' in answer.data else None

    exposition = str(wait_for(text, "metrics of the run"))
    assert "aether_load_target_requests_per_second 100.0" in exposition
    assert 'outcome="ok"' in exposition
    assert http.request("GET", f"http://127.0.0.1:{free_port}/").status == 404
    assert listening(process) == {"127.0.0.1"}
    finished = process.finish()
    assert finished.code == 0, finished.err


def test_a_port_that_is_taken_is_a_sentence(fork_locust: Callable[..., Finished], free_port: int) -> None:
    """Exit code 2 and what to change, before any load."""
    with socket.create_server(("127.0.0.1", free_port)):
        finished = fork_locust("--limit", "1", "--prometheus-port", str(free_port))
    assert finished.code == 2
    assert finished.err.endswith(
        f"aether-load: --prometheus-port {free_port}: it cannot be had on 127.0.0.1: Address already in use.\n"
    )
    assert not list((finished.results / "runs").glob("*"))
