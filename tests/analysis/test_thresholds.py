"""Thresholds held against whole runs: each phase by itself, undecided without data, with every reason."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from aether_load.analysis.report import Report, build_report
from aether_load.analysis.verdict.thresholds import asked_of_run
from aether_load.analysis.verdict.verdict import Verdict
from aether_load.compare.comparable import obstacles
from aether_load.errors import UsageError
from aether_load.outputs.formats import formatted
from aether_load.protocol import Outcome
from aether_load.rundata.manifest import AbortRecord, ProbeRecord, SearchRecord
from aether_load.scenario.load import load_scenario
from aether_load.schedule.search import Found
from folders import answered, counted, failed, make_run, times_of
from processes import call_command
from rich_run import SCENARIO, make_rich_run
from schemas import assert_keeps_to

PHASE = {"name": "closed", "users": 1, "duration": 1.0}
OK = [answered(10 * place, 60 + place % 20) for place in range(100)]


def made(conditions: Sequence[Any], **more: list[dict[str, Any]]) -> dict[str, Any]:
    """A scenario of one phase with these thresholds."""
    plans = [{"condition": plan} if isinstance(plan, str) else plan for plan in conditions]
    return {"name": "made", "thresholds": plans, "phases": [PHASE], **more}


def verdict_of(
    tmp_path: Path, requests: list[dict[str, Any]], *conditions: str, scenario: Any = None, **more: Any
) -> Verdict:
    scenario = {**made(conditions), **(scenario or {})}
    return build_report(make_run(tmp_path, requests, scenario=scenario, **more)).verdict


def states(report: Report) -> dict[str, Any]:
    return {
        asked.condition: (asked.state, [(found.phase, found.dataset, found.state) for found in asked.findings])
        for asked in report.thresholds
    }


UNSCORED = "no answer was scored: none came, or the rows do not say which option is right"
OVER = "and the limit lies in that interval"
FEW = f"{OVER}; more requests make it narrower"


@pytest.mark.parametrize(
    ("condition", "status", "code", "why"),
    [
        ("p(95)<500", "passed", 0, None),
        ("p(50)<65", "threshold_failed", 4, "phase closed: broken: 69 [67, 72]"),
        ("p(50)<70", "inconclusive", 5, f"phase closed: undecided: 69 [67, 72], {FEW}"),
        ("accuracy>0.5", "inconclusive", 5, f"phase closed: undecided: nothing to decide on: {UNSCORED}"),
        ("closed:piqa:max<70", "threshold_failed", 4, "phase closed, piqa: broken: 79"),
        ("reconciliation.unexplained_nodes_total==0", "passed", 0, None),
        ("server.node_time_mean_ms<61", "passed", 0, None),
        ("server.node_time_mean_ms<60.5", "inconclusive", 5, f"phase closed: undecided: [60, 61), {OVER}"),
        ("error_rate<=0.05", "passed", 0, None),
        ("error_rate<0.01", "inconclusive", 5, f"phase closed: undecided: 0 [0, 0.036993], {FEW}"),
    ],
)
def test_a_threshold_decides_the_verdict(
    tmp_path: Path, condition: str, status: str, code: int, why: str | None
) -> None:
    """Broken is 4, undecided is 5, and each has its reason with the number and its interval."""
    verdict = verdict_of(tmp_path, OK, condition)
    reasons = () if why is None else (f"threshold {condition}: {why}",)
    assert (verdict.status, verdict.exit_code, verdict.reasons) == (status, code, reasons)


def test_what_fails_comes_first_then_what_is_broken_then_what_decides_nothing(tmp_path: Path) -> None:
    """1, 4, 5, 130: the deciding reason first, and all the others behind it."""
    bad = [failed(10 * place, 60, Outcome.HTTP_ERROR) for place in range(10)]
    asked = ("accuracy>0.5", "p(50)<5")
    foreign = counted([*times_of(OK), 60, 60])
    verdicts = {
        "failed": verdict_of(tmp_path / "a", [*OK, *bad], *asked),
        "threshold_failed": verdict_of(
            tmp_path / "b", OK, *asked, readings=[counted([]), foreign], ended_as="interrupted"
        ),
        "invalid": verdict_of(tmp_path / "c", OK, asked[0], readings=[counted([]), foreign], ended_as="interrupted"),
        "inconclusive": verdict_of(tmp_path / "d", OK, asked[0], ended_as="interrupted"),
        "interrupted": verdict_of(tmp_path / "e", OK, "p(50)<500", ended_as="interrupted"),
        "nothing": verdict_of(tmp_path / "f", bad),
    }
    told = {name: (verdict.status, verdict.exit_code) for name, verdict in verdicts.items()}
    assert told == {
        "failed": ("failed", 1), "threshold_failed": ("threshold_failed", 4), "invalid": ("invalid", 5),
        "inconclusive": ("inconclusive", 5), "interrupted": ("interrupted", 130), "nothing": ("failed", 1),
    }  # fmt: skip
    begins = [reason.split(":")[0] for reason in verdicts["threshold_failed"].reasons]
    assert begins == ["threshold p(50)<5", "phase closed", "threshold accuracy>0.5", ("the run was interrupted; the "
                      "results are of a part")]  # fmt: skip


def test_each_phase_is_decided_by_itself(tmp_path: Path) -> None:
    """Nothing is averaged: one phase may hold what another breaks, and the worst is the threshold's state."""
    conditions = [
        "request_throughput_rps>50", "load:request_throughput_rps>10", "load-2:request_throughput_rps>10",
        "open:arc_easy:response_latency_ms:p(75)<200", "arc_easy:load:accuracy>0.99", "open_load.achieved_share>=0.9",
    ]  # fmt: skip
    scenario = SCENARIO | {"thresholds": [{"condition": condition} for condition in conditions]}
    report = build_report(make_rich_run(tmp_path, scenario=scenario))
    loads = [f"load-{users}" for users in (2, 4, 8, 16, 32)]
    found = states(report)
    assert found[conditions[0]] == ("broken", [
        ("load-2", "all", "broken"), *((load, "all", "holds") for load in loads[1:]), ("open", "all", "broken"),
    ])  # fmt: skip
    assert found[conditions[1]] == ("holds", [(load, "all", "holds") for load in loads])
    assert found[conditions[2]] == ("holds", [("load-2", "all", "holds")])
    assert found[conditions[3]] == ("holds", [("open", "arc_easy", "holds")])
    assert found[conditions[4]] == ("broken", [(load, "arc_easy", "broken") for load in loads])
    # A closed phase has no open load: there is nothing to decide on there, which does not pass.
    assert found[conditions[5]] == (
        "undecided", [*((load, "all", "undecided") for load in loads), ("open", "all", "holds")],
    )  # fmt: skip
    value = next(phase for phase in report.phases if phase.name == "open").datasets[1].response_latency_ms
    (one,) = report.thresholds[3].findings
    assert value is not None
    assert value.p50.value is not None
    assert one.low is not None
    assert one.value is not None
    assert one.high is not None
    assert value.p99.value is not None
    assert value.p50.value < one.low <= one.value <= one.high < value.p99.value


def test_a_phase_that_never_began_decides_nothing(tmp_path: Path) -> None:
    """In a run that was interrupted what is there is judged, and what is named and is not there is said."""
    scenario = made(["p(95)<500", "later:p(95)<500", "later:piqa:max<500"], phases=[PHASE, PHASE | {"name": "later"}])
    report = build_report(make_run(tmp_path, OK, scenario=scenario, ended_as="interrupted"))
    assert states(report) == {
        "p(95)<500": ("holds", [("closed", "all", "holds")]),
        "later:p(95)<500": ("undecided", [(None, "all", "undecided")]),
        "later:piqa:max<500": ("undecided", [(None, "piqa", "undecided")]),
    }
    assert report.verdict.reasons[0] == (
        "threshold later:p(95)<500: the run: undecided: nothing to decide on: phase later never began"
    )


def search_run(tmp_path: Path, conditions: list[str], found: Found, **more: Any) -> Report:
    """A run of one search, of which one probe held and one did not."""
    scenario = made(conditions, phases=[{"name": "most", "find": "max_users", "slo": ["p(50)<70"]}])
    folder = make_run(tmp_path, OK, scenario=scenario, phase="most", search="most", **more)
    manifest = folder.read_manifest()
    manifest.searches = [
        SearchRecord(
            name="most", kind="users", slo=("p(50)<70",), found=found,
            probes=[ProbeRecord(phase="closed", purpose="double", load=4, duration_s=1, holds=True, against=())],
        )
    ]  # fmt: skip
    folder.write_manifest(manifest)
    return build_report(folder)


def test_a_search_has_a_largest_load_and_its_probes_are_no_phases(tmp_path: Path) -> None:
    """The largest load that held is a number; one that was not confirmed decides nothing."""
    found = Found(end="found", largest_held=4.0, smallest_not_held=5.0, against=("x",))
    asked = ["search.largest_held>=4", "most:search.largest_held>4", "p(50)<1"]
    report = search_run(tmp_path / "a", asked, found)
    assert states(report) == {
        asked[0]: ("holds", [("most", "all", "holds")]),
        asked[1]: ("broken", [("most", "all", "broken")]),
        asked[2]: ("undecided", [(None, "all", "undecided")]),
    }
    assert report.thresholds[2].findings[0].reason is not None
    assert report.thresholds[2].findings[0].reason.startswith("every phase is a search")
    unsure = msgspec_replace(found, end="out_of_time")
    report = search_run(tmp_path / "b", asked[:1], unsure)
    assert (
        report.thresholds[0].findings[0].sentence.startswith("undecided: nothing to decide on: 4 users held, 5 did not")
    )


def msgspec_replace(found: Found, **more: str) -> Found:
    return Found(**{name: getattr(found, name) for name in found.__struct_fields__} | more)


def test_a_threshold_that_ended_the_run_is_broken_whatever_came_later(tmp_path: Path) -> None:
    """Its reason is what was seen then; what the whole window says stands beside it."""
    plan = {"condition": "piqa:p(50)<70", "abort_on_fail": True, "delay_abort_eval": 0.5}
    folder = make_run(tmp_path, OK, scenario=made([plan]), ended_as="aborted")
    manifest = folder.read_manifest()
    manifest.aborted = AbortRecord(
        condition="piqa:p(50)<70", phase="closed", dataset="piqa", shown="75 [71, 79]", confidence=0.999, after_s=0.61
    )
    folder.write_manifest(manifest)
    report = build_report(folder)
    assert (report.verdict.status, report.verdict.exit_code) == ("threshold_failed", 4)
    assert report.verdict.reasons == (
        (
            "threshold piqa:p(50)<70: phase closed, piqa: broken 0.61 s into the window, which ended the run early: "
            "75 [71, 79] (99.9% interval)"
        ),
        f"threshold piqa:p(50)<70: phase closed, piqa: undecided: 69 [67, 72], {FEW}",
    )
    assert report.thresholds[0].state == "broken"
    assert obstacles([report, report])[0] == "run A was ended early by a threshold"
    assert "ended the run" in formatted(report, "text")
    assert_keeps_to("nightly.schema.json", formatted(report, "json"))


def test_junit_has_a_case_for_each_threshold(tmp_path: Path) -> None:
    """Broken is a failure, undecided an error, whatever else is in the run; the phase's own case is left alone."""
    asked = ["p(50)<500", "p(50)<5", "accuracy>0.5"]
    folder = make_run(tmp_path, OK, scenario=made(asked), readings=[counted([]), counted([*times_of(OK), 60])])
    root = ET.fromstring(formatted(build_report(folder), "junit"))
    cases = {case.get("name"): [(mark.tag, mark.get("type")) for mark in case] for case in root.iter("testcase")}
    assert cases == {
        "run": [],
        "phase closed": [("error", "invalid")],
        "threshold p(50)<500": [],
        "threshold p(50)<5": [("failure", "threshold_failed")],
        "threshold accuracy>0.5": [("error", "inconclusive")],
    }
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("5", "1", "2")


def test_thresholds_are_no_load_and_hide_no_invalid_run(tmp_path: Path) -> None:
    """Runs of the same load are ranked whatever they are held against; one with foreign nodes is not, broken or not."""
    runs = [
        build_report(make_run(tmp_path / str(place), OK, scenario=made(asked), machine={"cpu": "x", "memory_bytes": 1}))
        for place, asked in enumerate([["p(50)<5"], ["accuracy>0.5"], []])
    ]
    assert obstacles(runs) == ()
    foreign = [counted([]), counted([*times_of(OK), 60])]
    bad = build_report(make_run(tmp_path / "bad", OK, scenario=made(["p(50)<5"]), readings=foreign))
    assert bad.verdict.status == "threshold_failed"
    void = next(why for why in obstacles([bad, bad]) if "contaminated" in why)
    assert void.startswith("run A is invalid: phase closed")


@pytest.mark.parametrize(
    ("phases", "plan", "sentence"),
    [
        ("[[phases]]\npasses = 1", '"xyz:max_ms:p(95)<1"', "no dataset and no distribution 'max_ms'; there are"),
        ("[[phases]]\npasses = 1", '"piqa:request_latency:p(95)<1"', "did you mean 'request_latency_ms'"),
        ("[[phases]]\npasses = 1", '"piqa:correlation.littles_law_ratio>1"', "is of a whole phase: leave the dataset"),
        ("[[phases]]\npasses = 1", '"search.largest_held>1"', "is of a search, and no phase of the scenario has find."),
        ('[[phases]]\nname = "piqa"\npasses = 1', '"piqa:error_rate<1"', "'piqa' is a phase and a dataset;"),
        (
            '[[phases]]\nname = "m"\nfind = "max_users"\nslo = ["p(50)<9"]', '"m:p(95)<1"',
            "phase 'm' is a search, whose probes are judged by its slo; of a search there is search.largest_held.",
        ),
        ('[[phases]]\nfind = "max_users"\nslo = ["p(50)<9"]', '"p(95)<1"', "every phase is a search"),
        (
            "[[phases]]\npasses = 1", '{condition = "sender.cpu_share_max<1", abort_on_fail = true}',
            "sender.cpu_share_max is known only when its phase is over, so it cannot end the run early",
        ),
    ],
)  # fmt: skip
def test_what_no_run_of_a_scenario_could_answer_is_refused(
    tmp_path: Path, phases: str, plan: str, sentence: str
) -> None:
    """Before any load: the scenario, the condition, and what is wrong with it."""
    path = tmp_path / "x.toml"
    path.write_text(f"thresholds = [{plan}]\n{phases}\n")
    with pytest.raises(UsageError) as refusal:
        load_scenario(path)
    assert str(refusal.value).startswith(f"Scenario {path}: thresholds.0.condition = '")
    assert sentence in str(refusal.value)


def test_a_run_that_has_been_is_held_against_new_conditions(tmp_path: Path) -> None:
    """`report --threshold` judges and writes; without it the results are again what they were."""
    folder = make_run(tmp_path / "results", OK, scenario=made(["p(95)<500"]))
    before = call_command("report", str(folder.path), "--no-page", cwd=tmp_path)
    first = folder.report.read_bytes()
    asked = ("--threshold", "p(50)<5", "--threshold", "piqa:error_rate<0.5", "--threshold", "p(95)<500")
    after = call_command("report", str(folder.path), "--no-page", *asked, cwd=tmp_path)
    assert (before.returncode, after.returncode) == (0, 4)
    assert "threshold p(50)<5: phase closed: broken: 69 [67, 72]" in after.stdout
    said = [(asked["condition"], asked["state"]) for asked in json.loads(folder.report.read_bytes())["thresholds"]]
    assert said == [("p(95)<500", "holds"), ("p(50)<5", "broken"), ("piqa:error_rate<0.5", "holds")]
    assert call_command("report", str(folder.path), "--no-page", cwd=tmp_path).returncode == 0
    assert folder.report.read_bytes() == first


@pytest.mark.parametrize(
    ("condition", "sentence"),
    [
        ("p(95)<", "--threshold 'p(95)<': expected a metric and a limit"),
        ("x" * 10_000, f"--threshold '{'x' * 40}…': it has 10000 characters, of 200 that a condition may have."),
        ("eror_rate<1", "--threshold 'eror_rate<1': there is no metric 'eror_rate'; did you mean"),
        ("close:p(5)<1", "'close:p(5)<1': there is no phase and no dataset 'close'; did you mean 'closed'?"),
        ("close:accuracy>0", "'close:accuracy>0': there is no phase and no dataset 'close'; did you mean 'closed'?"),
        ("xyz:p(5)<1", "there is no phase, no dataset and no distribution 'xyz'; there are arc_challenge,"),
        ("p95<1", "'p95<1': there is no metric 'p95'; did you mean 'p(95)'?"),
        ("close:error_rate<1", "there is no phase and no dataset 'close'; did you mean 'closed'?"),
    ],
)
def test_a_new_condition_that_the_run_cannot_answer_is_exit_2(tmp_path: Path, condition: str, sentence: str) -> None:
    """Nothing is written."""
    folder = make_run(tmp_path / "results", OK)
    done = call_command("report", str(folder.path), "--threshold", condition, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr
    assert len(done.stderr) < 600
    assert not folder.report.exists()


def test_a_scenarios_threshold_that_this_release_does_not_know_is_undecided(tmp_path: Path) -> None:
    """A folder of another release is reported on all the same, and passes nothing."""
    verdict = verdict_of(tmp_path, OK, "lost_figure>1", "p(95)<500")
    assert (verdict.status, verdict.exit_code) == ("inconclusive", 5)
    assert "there is no metric 'lost_figure'" in verdict.reasons[0]


def test_conditions_asked_of_an_older_run(tmp_path: Path) -> None:
    """A phase that only the run's own folder tells is a name as well."""
    manifest = make_run(tmp_path, OK, scenario={"name": "made", "phases": [PHASE | {"name": "other"}]}).read_manifest()
    (plan,) = asked_of_run(manifest, ["closed:piqa:p(95)<9"])
    assert str(plan.condition) == "closed:piqa:p(95)<9"
