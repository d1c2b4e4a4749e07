"""The main job as a new user runs it: no option but --headless."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest

from aether_load.analysis.report import build_report
from aether_load.analysis.server.scrape import parse_scrape
from aether_load.outputs.results import report_json
from aether_load.outputs.schema import schema_text
from aether_load.outputs.summary import SUMMARY_COLUMNS
from aether_load.rundata.folder import RunFolder
from aether_load.rundata.scrapes import RawScrape
from processes import EVAL, REPOSITORY, Finished, LocustProcess, Simulator, run_command
from schemas import assert_keeps_to

DATASETS = ["hellaswag", "piqa", "winogrande", "arc_easy", "arc_challenge"]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[LocustProcess, Finished]:
    """One plain run, looked at from many sides."""
    folder = tmp_path_factory.mktemp("plain")
    (folder / "performance_test.json").write_text("of an earlier run")
    options = ("--headless", "--csv", "table", "--html", "page.html", "--json-file", "table")
    process = LocustProcess(folder, (*options, "--output", "performance_test.json"), {}, page=True)
    finished = process.finish()
    return process, finished


def test_the_main_job_passes_and_leaves_no_process(plain: tuple[LocustProcess, Finished]) -> None:
    """It ends by itself with exit code 0, and the simulated runtime with it."""
    process, finished = plain
    assert (finished.code, process.left_behind()) == (0, []), finished.err
    assert "Traceback" not in finished.err + finished.out


def test_every_prompt_is_sent_once_and_every_node_is_accounted_for(plain: tuple[LocustProcess, Finished]) -> None:
    """The nightly JSON has each of the 400 bundled prompts once, and nothing unexplained on the server's side."""
    _, finished = plain
    report = json.loads(finished.nightly.read_bytes())
    (phase,) = report["phases"]
    assert [row["dataset"] for row in phase["datasets"]] == DATASETS
    assert [row["outcomes"]["ok"] for row in [phase["all"], *phase["datasets"]]] == [400, 80, 80, 80, 80, 80]
    reconciliation = phase["reconciliation"]
    assert (reconciliation["trust"], reconciliation["reason"], reconciliation["unexplained_nodes_total"]) == (
        "trusted",
        None,
        0,
    )
    assert (reconciliation["answered_nodes_total"], reconciliation["counted_nodes_total"]) == (400, 400)
    assert reconciliation["unexplained_node_time_ms"] == 0
    assert [bucket["unexplained"] for bucket in reconciliation["buckets"]] == [0] * 12
    table = pa.ipc.open_stream(finished.run_folder / "samples.arrow").read_pandas()
    assert sorted(table["prompt_id"]) == sorted(f"{name}/{row}" for name in DATASETS for row in range(80))
    assert sorted(table["request_index"]) == list(range(400))


def test_every_output_says_that_the_target_was_simulated(plain: tuple[LocustProcess, Finished]) -> None:
    """Nobody takes a simulated figure for a real one: terminal, JSON, CSV and manifest all say it."""
    _, finished = plain
    report = json.loads(finished.nightly.read_bytes())
    manifest = json.loads((finished.run_folder / "run.json").read_bytes())
    rows = list(csv.DictReader((finished.results / "summary.csv").open()))
    assert "SIMULATED runtime v2" in finished.out
    assert report["target"]["kind"] == manifest["target"]["kind"] == rows[0]["target_kind"] == "simulated"
    assert report["warnings"][0]["code"] == "simulated_target"


def test_the_accuracy_of_a_mock_is_absent_and_says_why(plain: tuple[LocustProcess, Finished]) -> None:
    """The mock's fixed text answers nothing: null with a reason, not zero."""
    _, finished = plain
    report = json.loads(finished.nightly.read_bytes())
    row = report["phases"][0]["all"]
    assert row["accuracy"] is None
    assert row["reasons"]["accuracy"] == (
        "400 of 400 answers are the mock provider's fixed text, which answers nothing"
    )


def test_the_nightly_json_keeps_to_its_published_schema(plain: tuple[LocustProcess, Finished]) -> None:
    """docs/nightly.schema.json is what the code writes, and the file validates against it."""
    _, finished = plain
    published = (REPOSITORY / "docs" / "nightly.schema.json").read_text()
    assert published == schema_text()
    assert_keeps_to("nightly.schema.json", finished.nightly.read_bytes())


def test_locusts_own_tables_show_the_same_requests(plain: tuple[LocustProcess, Finished]) -> None:
    """--csv, --html and --json-file count what our samples count, by dataset."""
    process, _ = plain
    with (process.folder / "table_stats.csv").open() as file:
        by_csv = {row["Name"]: int(row["Request Count"]) for row in csv.DictReader(file)}
    by_json = {row["name"]: row["num_requests"] for row in json.loads((process.folder / "table.json").read_text())}
    assert by_csv == {**dict.fromkeys(DATASETS, 80), "Aggregated": 400}
    assert by_json == dict.fromkeys(DATASETS, 80)
    page = (process.folder / "page.html").read_text()
    assert all(name in page for name in DATASETS)


def test_locusts_table_outlasts_being_written_as_json(
    fork_locust: Callable[..., Finished], simulator: Callable[..., Simulator], tmp_path: Path
) -> None:
    """Locust itself empties its statistics with the first JSON: what is written after it would be of zeros."""
    finished = fork_locust("--host", simulator().url, "--limit", "2", "--json", "--json-file", "table")
    printed, written = json.loads(finished.out), json.loads((tmp_path / "table.json").read_text())
    assert [row["num_requests"] for row in printed] == [2] * len(DATASETS)
    assert written == printed


def test_metrics_are_read_at_rest_and_each_second_between(plain: tuple[LocustProcess, Finished]) -> None:
    """The first reading is before any request, the last after every answer, and their difference is the run."""
    _, finished = plain
    scrapes = [msgspec.json.decode(line, type=RawScrape) for line in (finished.run_folder / "scrapes.jsonl").open()]
    table = pa.ipc.open_stream(finished.run_folder / "samples.arrow").read_pandas()
    roles = [scrape.role for scrape in scrapes]
    assert (roles[0], roles[-1]) == ("before", "after")
    assert roles[1:-1].count("during") == len(roles) - 2 >= 2
    assert scrapes[0].ended_ns <= table["sent_ns"].min()
    assert scrapes[-1].began_ns >= table["ended_ns"].max()
    counts = [parse_scrape(scrape.text or "").node_count for scrape in scrapes]
    assert (counts[0], counts[-1]) == (0, 400)
    assert counts == sorted(counts)


def test_the_summary_has_a_row_a_dataset_and_one_for_the_run(plain: tuple[LocustProcess, Finished]) -> None:
    """The run's own summary.csv has all and each dataset, and the summary of all runs the same rows."""
    _, finished = plain
    own = list(csv.DictReader((finished.run_folder / "summary.csv").open()))
    every = list(csv.DictReader((finished.results / "summary.csv").open()))
    assert tuple(own[0]) == tuple(every[0]) == SUMMARY_COLUMNS
    assert [row["dataset"] for row in own] == ["all", *DATASETS]
    assert every == own
    assert (every[0]["requests_total"], every[0]["accuracy"]) == ("400", "")


def test_the_page_is_written_and_pictures_are_not(plain: tuple[LocustProcess, Finished]) -> None:
    """report.html lies in the run's folder, with charts and the ten slowest requests; charts as files are asked for."""
    _, finished = plain
    run = finished.run_folder
    page = (run / "report.html").read_text()
    assert page.count(" data-chart=") == 4
    assert page.count("of-all of-") >= 10
    assert "SIMULATED" in page
    assert not (run / "charts").exists()
    assert f"{run.name}/report.html" in finished.out


def test_the_report_goes_to_the_file_that_output_names(plain: tuple[LocustProcess, Finished]) -> None:
    """--output PATH is exactly that file, in place of what was there, with the nightly JSON's bytes."""
    process, finished = plain
    assert (process.folder / "performance_test.json").read_bytes() == finished.nightly.read_bytes()


def test_quiet_where_nobody_watches(plain: tuple[LocustProcess, Finished]) -> None:
    """Without a terminal there is no progress line and no cursor play in the log."""
    _, finished = plain
    assert "\x1b" not in finished.err + finished.out
    assert "left" not in finished.err


def test_report_makes_the_same_bytes_again(plain: tuple[LocustProcess, Finished]) -> None:
    """`aether-load report RUN` on the folder alone gives the nightly JSON byte for byte, in its own place."""
    process, finished = plain
    before = {path.name: path.read_bytes() for path in finished.results.glob("*.*")}
    finished.nightly.unlink()
    done = run_command("report", str(finished.run_folder), "--no-page", cwd=process.folder)
    after = {path.name: path.read_bytes() for path in finished.results.glob("*.*")}
    assert (done.returncode, after) == (0, before), done.stderr
    assert "\nPASSED (exit code 0): " in done.stdout
    assert report_json(build_report(RunFolder.open(finished.run_folder))) == finished.nightly.read_bytes()


def test_another_runs_files_are_never_overwritten(
    plain: tuple[LocustProcess, Finished], fork_locust: Callable[..., Finished]
) -> None:
    """A second run of the same day gets a second nightly file and a second row; the first stay as they are."""
    process, finished = plain
    first = finished.nightly.read_bytes()
    second = fork_locust("--limit", "2", folder=process.folder)
    files = sorted(path.name for path in finished.results.glob("nightly_*.json"))
    stem = Path(files[0]).stem
    assert (second.code, files) == (0, [f"{stem}.json", f"{stem}_2.json"])
    assert (finished.results / files[0]).read_bytes() == first
    rows = csv.DictReader((finished.results / "summary.csv").open())
    ids = list(dict.fromkeys(row["run_id"] for row in rows))
    assert ids == sorted(path.name for path in (finished.results / "runs").iterdir())


def test_the_locustfile_is_thin() -> None:
    """A locustfile of one's own takes about ten lines."""
    code = [line for line in EVAL.read_text().splitlines() if line.strip()]
    assert len(code) <= 10
