"""Runs of every schema version that there was, and of runs that crashed, are reported on."""

import json
import shutil
from pathlib import Path

import msgspec
import pytest

from aether_load.errors import ExitCode
from aether_load.outputs.charts.report_charts import report_charts
from aether_load.outputs.page import page_html
from aether_load.analysis.report import REPORT_SCHEMA_VERSION, build_report
from aether_load.rundata.folder import RunFolder
from aether_load.outputs.summary import SUMMARY_COLUMNS
from folders import answered, make_run
from processes import REPOSITORY, call_command, run_command

OLD = REPOSITORY / "tests" / "old_runs"
VERSIONS = sorted(path.name.removeprefix("report_").replace("_", ".") for path in OLD.iterdir())


def old_run(version, results: Path) -> RunFolder:
    shutil.copytree(OLD / f"report_{version.replace('.', '_')}", results)
    (path,) = (results / "runs").iterdir()
    return RunFolder.open(path)


def test_there_is_a_run_of_every_version_before_this_one():
    """A new version leaves a run of the one before it here."""
    major, minor = map(int, REPORT_SCHEMA_VERSION.split("."))
    assert [f"{major}.{number}" for number in range(minor)] == VERSIONS


@pytest.mark.parametrize("version", VERSIONS)
def test_a_report_is_made_again_and_says_the_same(version, tmp_path):
    """What the release that made the run said of it still holds; a page is made of it."""
    folder = old_run(version, tmp_path / "results")
    before = json.loads(folder.report.read_bytes())
    assert before["schema_version"] == version
    with_page = version == VERSIONS[0]
    call = run_command if with_page else call_command
    done = call("report", str(folder.path), *(() if with_page else ("--no-page",)), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (before["verdict"]["exit_code"], "")
    after = json.loads(folder.report.read_bytes())
    assert after["schema_version"] == REPORT_SCHEMA_VERSION
    for old, new in zip(before["phases"], after["phases"], strict=True):
        for row_before, row_after in zip([old["all"], *old["datasets"]], [new["all"], *new["datasets"]], strict=True):
            assert {key: row_after[key] for key in row_before if key != "reasons"} == {
                key: value for key, value in row_before.items() if key != "reasons"
            }
        assert new["server"] | old["server"] == new["server"]
        assert new["reconciliation"]["trust"] == old["reconciliation"]["trust"] == "trusted"
    assert not with_page or folder.page.stat().st_size > 20_000
    assert after["phases"][0]["name"] in page_html(build_report(folder), [], {}, None)
    assert (folder.results / "summary.csv").is_file()


def test_an_old_run_beside_a_summary_of_its_time(tmp_path):
    """Other columns are refused in a sentence that says what to do; all else is written, and the table stays whole."""
    folder = old_run("1.0", tmp_path / "results")
    everything = folder.results / "summary.csv"
    everything.write_bytes(folder.summary.read_bytes())
    before = everything.read_bytes()
    done = call_command("report", str(folder.path), "--no-page", cwd=tmp_path)
    assert done.returncode == ExitCode.INVALID
    assert done.stderr == (
        f"aether-load: {everything} has other columns than this version of aether-load writes; move it away, and a "
        "new one is begun.\n"
    )
    assert everything.read_bytes() == before
    assert folder.report.is_file()
    assert folder.summary.read_text().split("\n")[0] == ",".join(SUMMARY_COLUMNS)
    assert "PASSED" in done.stdout


def test_runs_of_two_releases_are_compared(tmp_path):
    """A setting that the older release did not have is its default; the same load is the same load."""
    folders = [old_run(version, tmp_path / version) for version in VERSIONS]
    done = call_command("compare", *(str(folder.path) for folder in folders), "--format", "json", cwd=tmp_path)
    said = json.loads(done.stdout)
    assert [why for why in said["obstacles"] if why.startswith("scenario")] == []


@pytest.mark.parametrize("damage", ["none", "torn", "no phase"])
def test_a_crashed_run_has_every_result(tmp_path, damage):
    """Cut off by force, with a torn tail or before its first phase: each file is written and says so."""
    requests = [answered(100 * place, 62) for place in range(10)]
    folder = make_run(tmp_path, requests * 20, ended_as="running", window_ms=(0, None))
    if damage == "torn":
        folder.samples.write_bytes(folder.samples.read_bytes()[:-1000])
    if damage == "no phase":
        manifest = folder.read_manifest()
        manifest.phases = []
        folder.write_manifest(manifest)
        folder.samples.unlink()
    done = call_command("report", str(folder.path), "--format", "markdown", "--no-page", cwd=tmp_path)
    report = build_report(folder)
    assert done.returncode == report.verdict.exit_code != 0
    assert "cut off by force" in done.stdout
    assert "cut off by force" in page_html(report, report_charts(report), {}, None)
    assert "cut off by force" in folder.junit.read_text()
    assert msgspec.json.decode(folder.report.read_bytes())["run"]["ended_as"] == "running"
    assert (tmp_path / "results_smaller_is_better.json").is_file()


def test_a_report_goes_to_the_file_that_is_named(tmp_path):
    """--output is exactly that file, replaced; a form that is named goes there and to standard output."""
    folder = make_run(tmp_path / "results", [answered(100 * place, 62) for place in range(10)])
    output = tmp_path / "performance_test.json"
    output.write_text("what was there")
    done = call_command("report", str(folder.path), "--no-page", "--output", str(output), cwd=tmp_path)
    assert not folder.page.exists()
    assert done.returncode == 0
    assert output.read_bytes() == folder.report.read_bytes()
    form = ("--format", "junit", "--output", "j.xml", "--no-page")
    done = call_command("report", str(folder.path), *form, cwd=tmp_path)
    assert done.stdout == (tmp_path / "j.xml").read_text() == folder.junit.read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["j.xml", "performance_test.json", "results"]


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        (".", "--output .: that is a folder; give the name of a file."),
        ("no/where.json", "--output no/where.json: there is no folder no; make it first."),
    ],
)
def test_an_output_that_cannot_be_written_is_refused(tmp_path, output, sentence):
    """Before anything is done, in a sentence."""
    folder = make_run(tmp_path / "results", [answered(0, 62)])
    done = call_command("report", str(folder.path), "--output", output, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (ExitCode.USAGE, f"aether-load: {sentence}\n")
    assert not folder.report.exists()
