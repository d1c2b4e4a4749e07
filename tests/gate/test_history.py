"""A candidate against stored reports: weak, said so, and never across what makes two runs two things."""

import io
import json
import re

import msgspec
import pytest

from aether_load.analysis.report import build_report
from aether_load.gate.history_report import against_history, metric_of_history, write_history
from aether_load.outputs.results import report_json
from folders import make_run
from gate_folders import one_user
from processes import call_command

MACHINE = {"cpu": "a CPU", "cores": 2, "memory_bytes": 8_000_000_000}
OTHER_SCENARIO = {"name": "x", "seed": 7, "phases": [{"name": "closed", "users": 1, "duration": 1.0}]}
AS_BEFORE = (
    "  phase closed, ok_throughput_rps: 20 beside a median of 20 of 1 run, a gain of 0.0%, within the margin of 5.0%"
)
WEAK = (
    "a stored baseline fails 17% to 44% of the time with nothing changed, because a machine is not the same twice. "
    "Hold two builds against each other side by side (--base and --candidate)."
)


def folder_of(results, latency_ms, number=0, **more):
    options = {"machine": MACHINE, **more}
    return make_run(results, one_user(latency_ms), run_id=f"20260304T05060{number}Z-made-000{number}", **options)


def report_of(results, latency_ms, number=0, **more):
    return build_report(folder_of(results, latency_ms, number, **more))


def held(candidate, stored, text="ok_throughput_rps", **more):
    named = [(f"nightly_{place}.json", report) for place, report in enumerate(stored)]
    return against_history(candidate, named, [metric_of_history(text)], margin=0.05, **more)


def test_a_loss_against_the_median_is_a_regression_and_called_weak(tmp_path):
    """Twenty a second in the stored runs, ten now: exit code 4, beside the false alarms of such baselines."""
    stored = [report_of(tmp_path, latency, number) for number, latency in enumerate((50, 50, 40))]
    found = held(report_of(tmp_path, 100, 9), stored)
    (comparison,) = found.comparisons
    assert (found.status, found.exit_code, found.weak) == ("regression", 4, WEAK)
    assert (comparison.baseline_median, comparison.candidate, comparison.ratio) == (20.0, 10.0, 0.5)
    assert comparison.sentence == (
        "phase closed, ok_throughput_rps: 10 beside a median of 20 of 3 runs, a loss of 50.0%, beyond the margin of "
        "5.0%"
    )
    assert comparison.false_alarms is None


def test_a_latency_that_falls_is_a_gain(tmp_path):
    """A metric that is better when lower passes when it falls."""
    found = held(report_of(tmp_path, 40, 9), [report_of(tmp_path, 50)], "response_latency_ms:p(95)")
    assert (found.status, found.exit_code) == ("passed", 0)
    assert found.comparisons[0].sentence.endswith(": 40 beside a median of 50 of 1 run, a gain of 25.0%, within the "
                                                  "margin of 5.0%")  # fmt: skip


def test_the_stored_runs_tell_their_own_false_alarms(tmp_path):
    """From five runs on, how many of them would have failed against the others."""
    stored = [report_of(tmp_path, latency, number) for number, latency in enumerate((50, 50, 50, 50, 50, 100))]
    found = held(report_of(tmp_path, 50, 9), stored)
    alarms = found.comparisons[0].false_alarms
    assert (alarms.hits, alarms.count) == (1, 6)
    assert "Of these stored runs 1 of 6 would have failed against the others (17% [0%, 64%])." in found.weak


@pytest.mark.parametrize(
    ("other", "kind", "why"),
    [
        ({"machine": {**MACHINE, "cores": 4}}, "machine", "machine, cores: 4 in the one and 2 in the other"),
        ({"kind": "simulated"}, "target", "target kind: simulated in the one and runtime in the other"),
        ({"scenario": OTHER_SCENARIO}, "scenario", "scenario, seed: 7 in the one and 42 in the other"),
    ],
)  # fmt: skip
def test_runs_of_another_kind_are_refused_unless_told(tmp_path, other, kind, why):
    """Another scenario, target or machine: exit code 5 with the reason, compared when that is allowed."""
    stored, candidate = [report_of(tmp_path, 50, **other)], report_of(tmp_path, 50, 9)
    refused = held(candidate, stored)
    assert (refused.status, refused.exit_code, refused.baseline) == ("invalid", 5, ())
    assert refused.refused == (f"nightly_0.json: {why}",)
    assert refused.sentence == "nothing to hold the candidate against: all 1 stored are refused"
    told = held(candidate, stored, allowed=[kind])
    assert (told.status, told.baseline) == ("passed", ("nightly_0.json",))


def test_a_candidate_that_is_not_valid_is_held_against_nothing(tmp_path):
    """Contaminated counts are no measurement."""
    found = held(report_of(tmp_path, 50, 9, counted_ms=[60] * 30), [report_of(tmp_path, 50)])
    assert (found.status, found.exit_code) == ("invalid", 5)
    assert found.sentence.startswith("the candidate's own run is invalid: phase closed: contaminated")


def test_a_broken_threshold_hides_no_invalid_candidate(tmp_path):
    """Its verdict is the threshold's, and it is held against nothing all the same: a sound one is."""
    scenario = {"name": "made", "thresholds": [{"condition": "p(50)<1"}],
                "phases": [{"name": "closed", "users": 1, "duration": 1.0}]}  # fmt: skip
    stored = [report_of(tmp_path, 50)]
    sound = report_of(tmp_path, 50, 8, scenario=scenario)
    void = report_of(tmp_path, 50, 9, scenario=scenario, readings=[None, None])
    assert [report.verdict.status for report in (sound, void)] == ["crossed", "crossed"]
    assert [held(report, stored).status for report in (sound, void)] == ["passed", "invalid"]
    assert held(void, stored).sentence.startswith("the candidate's own run is invalid: phase closed: no_server_data")


def test_a_stored_run_that_is_void_is_refused(tmp_path):
    """Nobody is held against counts that do not reconcile."""
    found = held(
        report_of(tmp_path, 50, 9), [report_of(tmp_path, 50), report_of(tmp_path, 90, 1, counted_ms=[60] * 30)]
    )
    assert (found.status, found.baseline) == ("passed", ("nightly_0.json",))
    assert found.refused[0].startswith("nightly_1.json: it is invalid: phase closed: contaminated")


def test_a_figure_that_nobody_stored_decides_nothing(tmp_path):
    """A metric that is absent is no pass."""
    found = held(report_of(tmp_path, 50, 9), [report_of(tmp_path, 50)], "accuracy")
    assert (found.status, found.exit_code) == ("invalid", 5)
    assert found.sentence == "phase closed, accuracy: not decided: the candidate has no such figure"


def test_the_command_reads_files_folders_and_runs(tmp_path):
    """A folder of nightly files, the candidate's run folder: the verdict, its weakness, and the JSON."""
    for number in range(2):
        nightly = tmp_path / f"nightly_2026-03-0{number + 1}.json"
        nightly.write_bytes(report_json(report_of(tmp_path, 50, number)))
    (tmp_path / "nightly_2026-01-01.json").write_text('{"schema_version": "1.0"}')
    candidate = folder_of(tmp_path, 50, 9)
    against = ("--candidate", str(candidate.path))
    done = call_command("gate", "--baseline", ".", *against, "--output", "g.json", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr.startswith("aether-load: passed over: --baseline nightly_2026-01-01.json: not a report of this")
    assert f"WEAK: {WEAK}" in " ".join(done.stdout.split())
    written = json.loads((tmp_path / "g.json").read_bytes())
    assert (written["status"], written["baseline"]) == (
        "passed",
        ["nightly_2026-03-01.json", "nightly_2026-03-02.json"],
    )
    one = call_command("gate", "--baseline", "nightly_2026-03-01.json", *against, cwd=tmp_path)
    assert (one.returncode, one.stderr) == (0, "")
    empty = tmp_path / "empty"
    empty.mkdir()
    none = call_command("gate", "--baseline", "empty", *against, cwd=tmp_path)
    assert (none.returncode, none.stderr) == (
        2, "aether-load: --baseline empty: it holds no nightly_*.json, and no run's folder with a report.json.\n",
    )  # fmt: skip


def test_what_is_written_is_what_was_found(tmp_path):
    """The terminal's text names the refused runs; the value is JSON and back."""
    found = held(report_of(tmp_path, 50, 9), [report_of(tmp_path, 50), report_of(tmp_path, 50, 1, kind="simulated")])
    out = io.StringIO()
    write_history(found, out)
    plain = re.sub(r"\n {4,}", " ", out.getvalue())
    assert plain.splitlines()[1:] == [
        "aether-load gate: 20260304T050609Z-made-0009 against 1 stored",
        f"  WEAK: {WEAK}",
        "  refused: nightly_1.json: target kind: simulated in the one and runtime in the other",
        AS_BEFORE,
        "",
        "PASSED (exit code 0)",
        AS_BEFORE,
    ]
    assert msgspec.json.decode(msgspec.json.encode(found), type=type(found)) == found
