"""nightly.yml from its first step to its last: what passes, what does not, and what then is not touched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from processes import running_simulator
from workflows.job import Ended, Machine, Step, read, run_job
from workflows.runtime_repository import DIES, HEALTHY_STRANGER, NEVER_LISTENS

if TYPE_CHECKING:
    from workflows.pages_repository import PagesRepository
    from workflows.stand_ins import GitHub

NIGHTLY = read("nightly.yml")
SCHEDULED = {"github": {"repository": "aether/aether-load", "token": "", "event_name": "schedule"}}
INSTALL = "Install the harness"
TINY = """\
[workload]
datasets = ["piqa"]
limit = 20

[[phases]]
name = "closed"
users = 4
passes = 1
"""
CLAIMS = """\
[[runs]]
scenario = "tiny.toml"

[[claims]]
id = "answers"
claim = "Requests that succeed"
source = "our page"
published = "100 %"
quantity = "success_rate"
of = "tiny/closed"
at_least = 0.9
"""
EXECUTED = {
    ("nightly.yml", "load"): {
        "Build the runtime",
        "Start the runtime",
        "Wait for /health",
        "Run the scenario",
        "Measure the published claims",
        "Summary",
        "Stop the runtime",
        "Trend",
    },
    ("nightly.yml", "charts"): {"Publish the trend"},
}


def night(github: GitHub, port: int | str, **given: str) -> Ended:
    """Run the job `load` with a scenario of one second on a free port."""
    scenario = github.folder / "tiny.toml"
    scenario.write_text(TINY)
    claims = github.folder / "claims.toml"
    claims.write_text(CLAIMS)
    # Page and self-check take seconds of a run and have tests of their own.
    options = "--no-page --no-self-check"
    given = {
        "RUNTIME_PORT": str(port),
        "PAGES": github.pages.path.as_uri(),
        "SCENARIO": str(scenario),
        "LOAD_OPTIONS": options,
        "CLAIMS_OPTIONS": f"--claims {claims} --no-page",
        **given,
    }
    return run_job(NIGHTLY, "load", github.machine("load", INSTALL), SCHEDULED, given)


def charts(github: GitHub, load: Ended) -> Ended:
    needs = {"load": {"result": load.conclusion, "outputs": load.outputs}}
    given = {"PAGES": github.pages.path.as_uri()}
    return run_job(NIGHTLY, "charts", github.machine("charts"), {**SCHEDULED, "needs": needs}, given)


@pytest.fixture(scope="module")
def passed(github_of_the_module: GitHub, free_port_of_the_module: int) -> Ended:
    github_of_the_module.pages.begin()
    return night(github_of_the_module, free_port_of_the_module)


@pytest.mark.slow
def test_a_night_that_passes_executes_every_step(passed: Ended) -> None:
    """All but the installation; each ends with 0."""
    assert {step.name: step.code for step in passed.steps if step.code != 0} == {
        step.name: None for step in passed.steps if step.name not in EXECUTED["nightly.yml", "load"]
    }, [step.text for step in passed.steps]
    assert passed.conclusion == "success"
    assert passed.scripts == EXECUTED["nightly.yml", "load"]


@pytest.mark.slow
def test_the_artifact_has_the_run_and_the_log(passed: Ended, github_of_the_module: GitHub) -> None:
    """The run's folder, the results beside it, and what the runtime said."""
    artifact = github_of_the_module.artifact("nightly")
    (run,) = (artifact / "runs").iterdir()
    (nightly,) = artifact.glob("nightly_*.json")
    assert {"run.json", "samples.arrow", "report.md", "junit.xml"} <= {path.name for path in run.iterdir()}
    assert "listening on" in (artifact / "runtime.log").read_text()
    report = json.loads(nightly.read_bytes())
    assert report["verdict"]["status"] == "passed"
    # The commit that was measured is the runtime's, and nothing that was built counts as a change of it.
    git = report["environment"]["git"]
    assert (git["commit"], git["dirty"]) == (github_of_the_module.runtime.first, False)


@pytest.mark.slow
def test_the_summary_is_the_report(passed: Ended, github_of_the_module: GitHub) -> None:
    """What was measured, the report in Markdown, and the table of claims."""
    first, _, rest = passed.summary.partition("\n")
    assert first == f"Runtime: sowadalmughni/aether-lang at {github_of_the_module.runtime.first}"
    artifact = github_of_the_module.artifact("nightly")
    (run,) = (artifact / "runs").iterdir()
    report, claims = (run / "report.md").read_text(), (artifact / "claims.md").read_text()
    trend = (artifact / "trend" / "trend.md").read_text()
    assert rest.strip() == (report + claims + trend).strip()
    assert "| Requests that succeed | 100 % | 100.0%" in claims


@pytest.fixture(scope="module")
def charted(github_of_the_module: GitHub, passed: Ended) -> Ended:
    return charts(github_of_the_module, passed)


@pytest.mark.slow
def test_the_charts_get_one_direction_each(charted: Ended, github_of_the_module: GitHub) -> None:
    """Two steps, a file and a name each; what should fall is not in what should rise."""
    assert charted.conclusion == "success", charted["Publish the trend"].text
    (smaller, bigger) = github_of_the_module.charts
    assert smaller[:2] == ("customSmallerIsBetter", "Aether, smaller is better")
    assert bigger[:2] == ("customBiggerIsBetter", "Aether, bigger is better")
    assert "error rate" in smaller[2]
    assert "throughput of good answers" in bigger[2]
    assert smaller[2] & bigger[2] == set()


@pytest.mark.slow
def test_the_trend_is_published_night_by_night(charted: Ended, github_of_the_module: GitHub, tmp_path: Path) -> None:
    """The first night begins it; the next one reads the branch and adds its own row and report."""
    assert charted.conclusion == "success", charted["Publish the trend"].text
    pages = github_of_the_module.pages
    (run,) = (github_of_the_module.artifact("nightly") / "runs").iterdir()
    published = {f"nightly/trend/{name}" for name in ("summary.csv", "trend.html", "trend.md", "trend.json")}
    assert pages.names() == published
    assert pages.read("nightly/trend/summary.csv").count(run.name) == 2
    step = next(step for step in NIGHTLY["jobs"]["load"]["steps"] if step.get("name") == "Trend")
    again = second_night(tmp_path, step["run"], pages, run)
    lines = (again / "results" / "trend" / "summary.csv").read_text().splitlines()
    assert [line.split(",")[3] for line in lines] == ["run_id", run.name, run.name, "tonight", "tonight"]
    assert (again / "results" / "trend" / "runs" / "tonight" / "report.html").is_file()


def second_night(folder: Path, script: str, pages: PagesRepository, run: Path) -> Path:
    """Run the step `Trend` on the results of another night, which has a page."""
    results = folder / "results"
    (results / "runs" / "tonight").mkdir(parents=True)
    (results / "runs" / "tonight" / "report.html").write_text("<p>tonight</p>")
    (results / "summary.csv").write_text((run / "summary.csv").read_text().replace(run.name, "tonight"))
    job = {
        "steps": [{"name": "Trend", "run": script}],
        "env": {"TOKEN": "", "PAGES": pages.path.as_uri(), "PAGES_KEPT": "1"},
    }
    ended = run_job({"jobs": {"trend": job}}, "trend", Machine(folder, folder / "temp", {}), SCHEDULED, {})
    assert ended.conclusion == "success", ended["Trend"].text
    return folder


@pytest.mark.slow
def test_the_runtime_is_ended(passed: Ended, free_port_of_the_module: int) -> None:
    """Nobody answers at its port when the job is over."""
    import socket

    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", free_port_of_the_module)) != 0


@pytest.mark.slow
def test_a_trial_of_another_commit_draws_no_chart(passed: Ended, github: GitHub) -> None:
    """Charts are of the runtime's main branch."""
    needs = {"load": {"result": "success", "outputs": {}}}
    contexts = {**SCHEDULED, "needs": needs, "inputs": {"runtime-ref": "v0.2"}}
    assert run_job(NIGHTLY, "charts", github.machine("charts"), contexts, {}).conclusion == "skipped"


def failed_at(ended: Ended, name: str) -> Step:
    """Check that a job failed at this step and that no later step passed but those that tidy up; return the step."""
    assert ended.conclusion == "failure"
    names = [step.name for step in ended.steps]
    assert [step.name for step in ended.steps if step.outcome == "failure"] == [name]
    after = [step for step in ended.steps[names.index(name) + 1 :] if step.outcome != "skipped"]
    tidy = {"Summary", "Stop the runtime", "Keep the run's folder, the results and the runtime's log"}
    assert {step.name for step in after} <= tidy
    return ended[name]


@pytest.mark.parametrize(
    ("start", "limit_s", "sentence"),
    [
        (DIES, "60", "::error::The runtime ended before it was healthy; its last lines:\nno provider is configured\n"),
        (
            NEVER_LISTENS,
            "1",
            "::error::The runtime did not answer /health with 200 within 1 s; its last lines:\nloading\n",
        ),
    ],
)
def test_a_runtime_that_does_not_come_up_fails_the_night(
    github: GitHub, free_port: int, start: str, limit_s: str, sentence: str
) -> None:
    """Within its limit and with its own last words; nothing is run, nothing is charted."""
    github.runtime.commit(start)
    ended = night(github, free_port, START_LIMIT_S=limit_s)
    step = failed_at(ended, "Wait for /health")
    assert (step.code, step.text) == (1, sentence)
    assert ended["Run the scenario"].outcome == ended["Summary"].outcome == "skipped"
    assert [path.name for path in github.artifact("nightly").iterdir()] == ["runtime.log"]
    assert charts(github, ended).conclusion == "skipped"
    assert github.charts == []


def test_somebody_else_at_the_port_is_not_measured(github: GitHub) -> None:
    """A server that is there before the runtime is refused before it is taken for the runtime."""
    with running_simulator() as stranger:
        port = stranger.url.rsplit(":", 1)[1]
        step = failed_at(night(github, port), "Start the runtime")
    assert step.text == (
        f"::error::Something listens on port {port} already, and would be measured in the runtime's place.\n"
    )


def test_a_runtime_that_cannot_be_built_fails_the_night(github: GitHub, free_port: int) -> None:
    """At the step that builds it."""
    (github.runtime.path / "aether-runtime" / "Cargo.toml").unlink()
    github.runtime.commit("")
    failed_at(night(github, free_port), "Build the runtime")


@pytest.mark.slow
def test_the_verdict_of_the_night_is_the_runs_exit_code(github: GitHub, free_port: int) -> None:
    """Healthy, but no Aether runtime: exit code 3; the charts' files are not there and not touched."""
    github.runtime.commit(HEALTHY_STRANGER)
    ended = night(github, free_port)
    step = failed_at(ended, "Run the scenario")
    assert step.code == 3
    assert "is not an Aether runtime" in step.text
    assert ended["Summary"].outcome == ended["Stop the runtime"].outcome == "success"
    assert charts(github, ended).conclusion == "skipped"
    assert github.charts == []


def test_the_scenario_of_the_night_is_the_one_that_ships() -> None:
    """`nightly` is a scenario, and the limit of the job leaves room for it."""
    from aether_load.scenario.load import load_scenario, shipped_scenarios

    scenario = load_scenario(shipped_scenarios()[NIGHTLY["env"]["SCENARIO"]])
    seconds = sum(phase.warmup + (phase.duration or 0.0) for phase in scenario.phases)
    assert seconds < NIGHTLY["jobs"]["load"]["timeout-minutes"] * 60 / 4
