"""What a gate's folder says, on folders made by hand whose truth is known."""

import argparse
import inspect
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import numpy as np
import pytest

from aether_load.analysis.verdict.warnings import run_warnings, warn
from aether_load.errors import UsageError
from aether_load.gate.analysis.warnings import for_gate, gate_warnings
from aether_load.gate.options import add_arguments
from aether_load.gate.output import gate_formatted, write_gate
from aether_load.gate.report import GateReport, build_gate_report
from aether_load.gate.schema import schema_text
from aether_load.gate.self_test import self_test, write_self_test
from aether_load.gate.text import write_gate_text
from aether_load.protocol import NodeState, Outcome
from aether_load.scenario.warning_codes import WarningCode
from folders import answered, failed, make_run
from gate_folders import make_gate, one_user
from golden import assert_golden
from processes import REPOSITORY, call_command
from schemas import assert_keeps_to


def equal(_pair: int) -> list[dict[str, Any]]:
    return one_user(50)


def slower(_pair: int) -> list[dict[str, Any]]:
    return one_user(56)


def gate_of(*arguments: Any, **options: Any) -> GateReport:
    return build_gate_report(make_gate(*arguments, **options))


def test_equal_builds_pass(tmp_path: Path) -> None:
    """Twenty requests a second on both sides: a ratio of 1, and the verdict in one sentence."""
    report = gate_of(tmp_path, equal, equal)
    (comparison,) = report.comparisons
    assert (report.verdict.status, report.verdict.exit_code, report.verdict.reasons) == ("passed", 0, ())
    assert report.verdict.sentence == (
        "ok_throughput_rps: no loss of 10% or more: candidate / base 1.000 [1.000, 1.000] over 29 pairs; a loss of "
        "5.0% would have been seen"
    )
    assert (comparison.base_median, comparison.candidate_median, comparison.ratio_median) == (20.0, 20.0, 1.0)
    assert (report.pairs_used_total, len(report.pairs)) == (29, 30)
    assert report.pairs[0].not_used == "the first pair is dropped: connections and caches settle in it"
    assert [pair.first for pair in report.pairs[:3]] == ["base", "candidate", "base"]


def test_a_slower_build_is_a_regression(tmp_path: Path) -> None:
    """The loss is that of the times, 50 to 56 ms, though both windows may hold a part of a request."""
    report = gate_of(tmp_path, equal, slower)
    (comparison,) = report.comparisons
    assert (report.verdict.status, report.verdict.exit_code) == ("regression", 4)
    assert comparison.ratio_median == pytest.approx(50 / 56, abs=1e-6)
    assert comparison.test.p_value is not None
    assert comparison.test.p_value < 1e-6
    assert report.verdict.sentence.startswith(
        "ok_throughput_rps: a loss of 10.7%, beyond the margin of 5.0%: candidate / base 0.893 [0.893, 0.893]"
    )


def test_a_step_of_whole_answers_is_no_loss(tmp_path: Path) -> None:
    """A build that is slower by 2 % answers a whole request less a window; its loss is 2 % all the same."""
    report = gate_of(tmp_path, lambda _: one_user(200), lambda _: one_user(204))
    assert [window and window.ok_total for window in (report.pairs[1].base, report.pairs[1].candidate)] == [5, 5]
    assert report.comparisons[0].ratio_median == pytest.approx(200 / 204, abs=1e-6)
    assert report.verdict.status == "passed"


def test_a_latency_that_rises_is_a_loss(tmp_path: Path) -> None:
    """A metric that is better when lower has a ratio above 1 for a loss, and the same test."""
    report = gate_of(tmp_path, equal, slower, metrics=["service_latency_ms:p(95)", "server_total_ms:mean"])
    latency, server = report.comparisons
    assert (latency.better, latency.ratio_median, latency.ratio_low) == ("lower", 1.12, 1.12)
    assert latency.test.goodness_median == pytest.approx(1 / 1.12, abs=1e-6)
    assert latency.test.finding == "regression"
    assert (server.ratio_median, server.test.finding) == (1.0, "no_regression")
    assert report.verdict.reasons == (latency.sentence,)


def test_a_wide_spread_decides_nothing(tmp_path: Path) -> None:
    """Noise that leaves room for the loss is inconclusive, exit code 5."""
    noise = np.random.default_rng(1).uniform(40, 65, 31)
    report = gate_of(tmp_path, equal, lambda pair: one_user(round(float(noise[pair]))))
    assert (report.verdict.status, report.verdict.exit_code) == ("inconclusive", 5)
    assert "leaves room for a loss of 10%" in report.verdict.sentence
    assert "more pairs or longer windows decide it" in report.verdict.sentence


def test_somebody_elses_load_voids_the_gate(tmp_path: Path) -> None:
    """One window in which the server counted more makes the whole gate invalid, a regression in it too."""
    report = gate_of(
        tmp_path, equal, slower, counted_more=lambda side, pair: 7 if (side, pair) == ("candidate", 9) else 0
    )
    assert (report.verdict.status, report.verdict.exit_code) == ("invalid", 5)
    assert report.verdict.sentence == (
        "candidate, pair 9: contaminated: the server counted 7 nodes more than were answered: other clients used it "
        "meanwhile"
    )


def test_failures_above_the_limit_are_exit_1(tmp_path: Path) -> None:
    """A candidate that fails every tenth request has failed, however fast it is."""

    def failing(_pair: int) -> list[dict[str, Any]]:
        requests = one_user(20)
        for place in range(0, len(requests), 10):
            requests[place] = answered(place * 20, 20, nodes=(NodeState.FAILED,)) | {"outcome": Outcome.NODE_ERROR}
        return requests

    report = gate_of(tmp_path, equal, failing)
    assert (report.verdict.status, report.verdict.exit_code) == ("failed", 1)
    assert report.verdict.sentence == "candidate: error rate 0.1000 is above max_error_rate 0.01"


def test_a_side_without_success_is_exit_1(tmp_path: Path) -> None:
    """Nothing succeeded: that comes before everything else, also after a few windows only."""
    report = gate_of(
        tmp_path, equal, lambda _: [failed(at, 10, Outcome.CONNECTION_ERROR) for at in range(0, 1000, 10)], pairs=1
    )
    assert (report.verdict.status, report.verdict.sentence) == (
        "failed", "candidate: none of 100 requests succeeded",
    )  # fmt: skip


def test_a_window_with_a_failure_costs_its_pair_only(tmp_path: Path) -> None:
    """Pairs that are of no use are left out, and said; twenty are enough."""

    def failing_in_three(pair: int) -> list[dict[str, Any]]:
        requests = one_user(50)
        if pair in {4, 5, 6}:
            requests[2] = failed(100, 50, Outcome.TIMEOUT)
        return requests

    report = gate_of(tmp_path, equal, failing_in_three)
    assert (report.verdict.status, report.pairs_used_total) == ("passed", 26)
    assert report.pairs[3].not_used == "candidate: its error rate is 0.0500, above max_error_rate 0.01"
    (warning,) = [each for each in report.warnings if each.code == "pairs_not_used"]
    assert warning.message == (
        "3 of 29 pairs are not used: 3 pairs, as in candidate: its error rate is 0.0500, above max_error_rate 0.01."
    )


def test_a_client_without_time_costs_its_pair(tmp_path: Path) -> None:
    """A user that is idle between its requests is a client out of CPU; without twenty pairs nothing is decided."""

    def with_gaps(_pair: int) -> list[dict[str, Any]]:
        return [answered(at, 40) for at in range(0, 1000, 50)]

    report = gate_of(tmp_path, equal, with_gaps)
    assert (report.verdict.status, report.verdict.exit_code, report.pairs_used_total) == ("invalid", 5, 0)
    assert report.verdict.sentence == "ok_throughput_rps: not decided: 0 pairs can be used; 20 are needed"
    assert report.verdict.reasons[1] == (
        "29 pairs, as in candidate: requests account for 80.0% of the users' time (Little): the client had no time to "
        "send"
    )


def test_too_few_pairs_are_no_pass(tmp_path: Path) -> None:
    """A gate that ended early, without being interrupted, has decided nothing."""
    report = gate_of(tmp_path, equal, slower, pairs=20)
    assert (report.verdict.status, report.verdict.exit_code) == ("invalid", 5)
    assert report.verdict.sentence == "ok_throughput_rps: not decided: 19 pairs can be used; 20 are needed"


@pytest.mark.parametrize(
    ("pairs", "candidate", "ended_as", "status", "code"),
    [
        (12, equal, "interrupted", "interrupted", 130),
        (25, equal, "interrupted", "interrupted", 130),
        (25, slower, "interrupted", "regression", 4),
        (25, slower, "running", "invalid", 5),
    ],
)
def test_a_gate_that_was_ended(
    tmp_path: Path, pairs: int, candidate: Callable[..., Any], ended_as: str, status: str, code: int
) -> None:
    """An interrupted gate is never a pass; what it has found by then stands. One cut off by force has found nothing."""
    verdict = gate_of(tmp_path, equal, candidate, pairs=pairs, ended_as=ended_as).verdict
    assert (verdict.status, verdict.exit_code) == (status, code)


def test_a_forbidden_warning_voids_the_gate(tmp_path: Path) -> None:
    """fail_on_warning of the scenario is of gates too."""
    report = gate_of(tmp_path, equal, equal, kind="simulated", scenario={"fail_on_warning": ["simulated_target"]})
    assert (report.verdict.status, report.verdict.exit_code) == ("invalid", 5)
    assert report.verdict.sentence.startswith("forbidden warning simulated_target: ")


def test_cached_answers_are_a_warning(tmp_path: Path) -> None:
    """Where a cache answered, the path behind it is compared only in part."""
    with_hits = [request | {"cached": 1} for request in one_user(50)]
    folder = make_gate(tmp_path, equal, lambda _: with_hits, scenario={"target": {"server_metrics": False}})
    report = build_gate_report(folder)
    assert [side.cached_share for side in report.sides] == [0.0, 1.0]
    assert [warning.code for warning in report.warnings] == ["cache_answered", "few_samples"]
    assert report.pairs[1].base is not None
    assert report.pairs[1].base.trust is None


def test_a_metric_that_is_zero_decides_nothing(tmp_path: Path) -> None:
    """There is no ratio to a zero: absent is not equal."""
    report = gate_of(tmp_path, lambda _: one_user(50, 1000, server_ms=0), equal, metrics=["server_total_ms:max"])
    assert (report.verdict.status, report.verdict.exit_code) == ("invalid", 5)
    assert report.verdict.sentence == (
        "server_total_ms:max: not decided: 0 pairs can be used; in 29 more server_total_ms:max was 0 or not measured; "
        "20 are needed"
    )


def test_a_run_that_is_no_gate_is_refused(tmp_path: Path) -> None:
    """With the command that reads it."""
    folder = make_run(tmp_path, one_user(50))
    with pytest.raises(UsageError, match="is no gate's run; read it with: aether-load report"):
        build_gate_report(folder)


def test_report_makes_a_gates_results_again(tmp_path: Path) -> None:
    """`aether-load report` on a gate's folder writes its files and gives its exit code, byte for byte the same."""
    folder = make_gate(tmp_path, equal, slower)
    write_gate(build_gate_report(folder), folder)
    before = [path.read_bytes() for path in (folder.gate, folder.gate_markdown, folder.junit)]
    again = call_command("report", str(folder.path), cwd=tmp_path)
    assert again.returncode == 4
    assert "REGRESSION (exit code 4)" in again.stdout
    assert [path.read_bytes() for path in (folder.gate, folder.gate_markdown, folder.junit)] == before
    refused = call_command("report", str(folder.path), "--format", "csv", cwd=tmp_path)
    assert (refused.returncode, refused.stderr) == (
        2, "aether-load: --format csv: a gate has text, json, markdown, junit.\n",
    )  # fmt: skip


def test_the_json_keeps_to_its_published_schema(tmp_path: Path) -> None:
    """docs/gate.schema.json is what the code writes."""
    published = (REPOSITORY / "docs" / "gate.schema.json").read_text(encoding="utf-8")
    assert published == schema_text()
    text = gate_formatted(gate_of(tmp_path, equal, slower), "json")
    assert_keeps_to("gate.schema.json", text)


def test_the_terminal_says_it_all(tmp_path: Path) -> None:
    """The method, both tables and the verdict, for a person."""
    out = io.StringIO()
    write_gate_text(gate_of(tmp_path, equal, slower), [], out)
    assert_golden("gate.txt", out.getvalue())


@pytest.mark.parametrize(
    ("ended", "took"), [("2026-03-04T05:08:38.000000Z", ", took 2 min 31 s"), (None, "confidence 99.0%\n")]
)
def test_it_says_how_long_it_took(tmp_path: Path, ended: str | None, took: str) -> None:
    """Whoever plans a gate knows from the last one how much time it takes; one that was cut off has no end."""
    report = gate_of(tmp_path, equal, equal)
    run = msgspec.structs.replace(report.run, began_utc="2026-03-04T05:06:07.000000Z", ended_utc=ended)
    out = io.StringIO()
    write_gate_text(msgspec.structs.replace(report, run=run), [], out)
    assert took in out.getvalue()


def test_the_help_says_how_many_pairs_are_possible() -> None:
    """A number out of range is refused, so that the range stands where the option does."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    (pairs,) = [action for action in parser._actions if "--pairs" in action.option_strings]
    assert pairs.help == "pairs of windows, from 21 to 1000 (default: 30); the first one is dropped"


def test_markdown_shows_hostile_names_as_they_are(tmp_path: Path) -> None:
    """A comment on a pull request has no markup of anybody else's."""
    folder = make_gate(tmp_path, equal, slower)
    manifest = folder.read_manifest()
    manifest.command = ["aether-load", "gate", "--base-command", "<script>@everyone | **x**"]
    folder.write_manifest(manifest)
    text = gate_formatted(build_gate_report(folder), "markdown")
    assert text.startswith("### aether-load gate: REGRESSION\n\nok_throughput_rps: a loss of 10.7%")
    assert "<script>" not in text
    assert "| **x**" not in text
    assert "| ok_throughput_rps | 20.00 | 17.86 | 0.893 [0.893, 0.893] |" in text


def test_the_comment_names_both_builds_and_their_latencies(tmp_path: Path) -> None:
    """A reviewer sees which builds were compared and how fast each was, without opening anything."""
    folder = make_gate(tmp_path, equal, slower, base_name="main@0a1b2c", candidate_name="<b>pull/7")
    text = gate_formatted(build_gate_report(folder), "markdown")
    before_the_fold = text[: text.index("<details>")]
    assert "| base main&#64;<!-- -->0a1b2c | 30 | 600 | 0 | 50.0 | 50.0 | 50.0 |" in before_the_fold
    assert "| candidate &#60;b&#62;pull/7 | 30 | 540 | 0 | 56.0 | 56.0 | 56.0 |" in before_the_fold


def test_every_advice_names_options_that_the_gate_has(tmp_path: Path) -> None:
    """What a run would be told in a run's options is told in the gate's."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    known = {option for action in parser._actions for option in action.option_strings}
    of_runs = set(re.findall(r"Code\.([A-Z_]+)", inspect.getsource(run_warnings) + inspect.getsource(gate_warnings)))
    report = build_gate_report(make_gate(tmp_path, equal, equal, kind="simulated"))
    advised = [for_gate(warn(WarningCode[code], "")).advice for code in of_runs]
    advised += [warning.advice for warning in report.warnings]
    assert "Give runtimes with --base URL and --candidate URL, or with commands." in advised
    named = {option for advice in advised for option in re.findall(r"--[a-z-]+", advice)}
    assert named - known == set()


@pytest.mark.parametrize(
    ("candidate", "more", "cases", "counts"),
    [
        (equal, {}, [None, None], ("0", "0")),
        (slower, {}, [None, "failure"], ("1", "0")),
        (slower, {"pairs": 5}, ["error", "error"], ("0", "2")),
        (slower, {"counted_more": lambda _side, _pair: 1}, ["error", "error"], ("0", "2")),
    ],
)
def test_junit_marks_what_failed_and_what_decided_nothing(
    tmp_path: Path,
    candidate: Callable[..., Any],
    more: dict[str, Any],
    cases: list[str | None],
    counts: tuple[str, str],
) -> None:
    """A regression is a failure; what decided nothing is an error, never a pass."""
    suite = ET.fromstring(gate_formatted(gate_of(tmp_path, equal, candidate, **more), "junit")).find("testsuite")
    assert suite is not None
    marks = [next((child.tag for child in case), None) for case in suite.iter("testcase")]
    assert marks == cases
    assert (suite.get("failures"), suite.get("errors")) == counts


def test_a_self_test_of_quiet_gates_passes(tmp_path: Path) -> None:
    """No false alarm, with its exact interval, and the loss that would have been seen."""
    quiet = [gate_of(tmp_path / str(number), equal, equal, self_test=True) for number in range(3)]
    test = self_test(quiet)
    (metric,) = test.metrics
    assert (test.gates_total, test.statuses, test.exit_code) == (3, {"passed": 3}, 0)
    assert metric.false_alarms is not None
    assert (metric.false_alarms.hits, metric.false_alarms.count, metric.false_alarms.low) == (0, 3, 0.0)
    assert metric.false_alarms.high == pytest.approx(1 - 0.025 ** (1 / 3), abs=1e-6)
    assert (metric.by_chance, metric.smallest_loss_seen) == (0.0, 0.05)
    out = io.StringIO()
    write_self_test(test, out)
    assert out.getvalue() == (
        "\nself-test of the gate: 3 gates between equal builds\n"
        "  ok_throughput_rps: 0 of 3 false alarms [0.0%, 70.8%], 0.00% when the pairs are turned round at random; sees "
        "a loss of 5.0%; 0 inconclusive\n"
        "PASSED (exit code 0)\n"
        "  no false alarm in 3 gates; a loss of 5.0% would have been seen\n"
    )


def test_a_false_alarm_says_that_the_gate_is_not_to_be_trusted(tmp_path: Path) -> None:
    """A regression between equal builds is exit code 5: the gate is at fault, not the build."""
    reports = [
        gate_of(tmp_path / "a", equal, equal, self_test=True),
        gate_of(tmp_path / "b", equal, slower, self_test=True),
    ]
    test = self_test(reports)
    assert (test.exit_code, test.statuses) == (5, {"passed": 1, "regression": 1})
    assert test.sentence == "1 of 2 gates between equal builds failed: do not trust it here as it is set"


def test_a_gate_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    """gate.json and the value are inverses."""
    report = gate_of(tmp_path, equal, slower)
    assert msgspec.json.decode(gate_formatted(report, "json").encode(), type=type(report)) == report
