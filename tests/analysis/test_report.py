"""What a run's folder says, on folders made by hand whose truth is known."""

import csv
import io
import multiprocessing
from pathlib import Path
from typing import Any

import pytest

from aether_load.analysis.latency.correlate import Correlation
from aether_load.analysis.report import Report, build_report
from aether_load.analysis.server.reconciliation import Bucket
from aether_load.analysis.statistics.distribution import Share
from aether_load.analysis.statistics.histogram import Interval, QuantileInterval
from aether_load.analysis.verdict.verdict import Verdict
from aether_load.errors import ResultsError, UsageError
from aether_load.outputs.results import write_results
from aether_load.outputs.summary import SUMMARY_COLUMNS, append_summary, check_summary
from aether_load.outputs.terminal import write_summary
from aether_load.protocol import NodeState, Outcome
from aether_load.rundata.folder import RunFolder
from aether_load.rundata.samples import table_reader
from aether_load.scenario.warning_codes import WarningCode
from folders import answered, exposition, failed, make_run
from rich_run import make_rich_run

TEN_MORE = "the server counted 10 nodes more than were answered: other clients used it meanwhile"
CLEAN = [answered(100 * number, 62 + number) for number in range(10)]


def report_of(*arguments: Any, **options: Any) -> Report:
    return build_report(make_run(*arguments, **options))


def codes(report: Report) -> list[WarningCode]:
    return [warning.code for warning in report.warnings]


def test_a_clean_run_reconciles_and_passes(tmp_path: Path) -> None:
    """Counts agree in every bucket, so the run is trusted and passes."""
    report = report_of(tmp_path, CLEAN)
    (phase,) = report.phases
    reconciliation = phase.reconciliation
    assert (reconciliation.trust, reconciliation.reason, reconciliation.unexplained_nodes_total) == ("trusted", None, 0)
    assert reconciliation.buckets is not None
    assert reconciliation.buckets[4] == Bucket(le_ms=100, answered=10, counted=10, unexplained=0)
    assert report.verdict == Verdict("passed", 0, ())


def test_what_the_server_accounts_for_is_client_time_less_server_time(tmp_path: Path) -> None:
    """Overhead is C - T by request, the share is sum T / sum C, and no tail is claimed from one sample."""
    (phase,) = report_of(tmp_path, CLEAN).phases
    overhead = phase.correlation.overhead_ms
    assert overhead is not None
    assert (overhead.min, overhead.mean, overhead.max, overhead.count) == (2.0, 6.5, 11.0, 10)
    assert phase.correlation.server_time_share == round(600 / 665, 6)
    assert phase.correlation.tail_server_share is None
    assert phase.correlation.reasons == {"tail_server_share": "1 requests at or above p99, of 10 needed"}


def test_the_tail_is_told_apart_from_the_mean(tmp_path: Path) -> None:
    """Where p99 has ten samples, its share is its own: here the tail is not the server's."""
    requests = [answered(number / 2, 62) for number in range(1089)] + [answered(900, 600) for _ in range(12)]
    (phase,) = report_of(tmp_path, requests).phases
    assert phase.correlation.tail_server_share == 0.1
    assert phase.correlation.server_time_share == round(1101 * 60 / (1089 * 62 + 12 * 600), 6)


def test_littles_law_counts_time_in_flight_inside_the_window(tmp_path: Path) -> None:
    """One user busy for 400 ms of a window of 1 s is a ratio of 0.4, whatever reaches over the edges."""
    requests = [answered(-100, 200), answered(500, 200), answered(900, 300)]
    (phase,) = report_of(tmp_path, requests).phases
    assert phase.correlation.littles_law_ratio == 0.4
    assert phase.all.requests_total == 2
    assert phase.requests_outside_window_total == 1


def test_the_servers_side_is_intervals(tmp_path: Path) -> None:
    """Ten nodes of 60 ms: the mean is known to the ms, quantiles as tightly as buckets and sum allow."""
    (phase,) = report_of(tmp_path, CLEAN).phases
    server = phase.server
    assert server is not None
    assert (server.nodes_total, server.node_time_mean_ms) == (10, Interval(60.0, 61.0))
    assert server.node_time_p50_ms == QuantileInterval(51, 67, 75.0)
    assert server.node_concurrency == 0.3


@pytest.mark.parametrize(
    ("extra", "trust", "off", "sentence"),
    [
        ([60, 60], "contaminated", 2, "2 nodes more than were answered: other clients used it meanwhile"),
        ([-1], "contaminated", -1, "1 nodes fewer than were answered: another replica, or a restart"),
        ([-1, 70], "contaminated", 0, "node times differ"),
    ],
)
def test_counts_that_do_not_agree_make_the_run_invalid(
    tmp_path: Path, extra: list[int], trust: str, off: int, sentence: str
) -> None:
    """Other clients, another replica, or both at once: each is noticed, and the run is exit 5."""
    counted = [60] * (10 - extra.count(-1)) + [value for value in extra if value > 0]
    report = report_of(tmp_path, CLEAN, counted_ms=counted)
    reconciliation = report.phases[0].reconciliation
    assert (reconciliation.trust, reconciliation.unexplained_nodes_total, report.verdict.exit_code) == (trust, off, 5)
    assert reconciliation.reason is not None
    assert sentence in reconciliation.reason
    assert trust in codes(report)


def test_nodes_of_requests_without_an_answer_may_explain_a_surplus(tmp_path: Path) -> None:
    """A timed-out request may have run its node: that much more is explained, and said."""
    requests = [*CLEAN * 20, failed(10, 900, Outcome.TIMEOUT)]
    report = report_of(tmp_path, requests, counted_ms=[60] * 201)
    reconciliation = report.phases[0].reconciliation
    assert (reconciliation.trust, reconciliation.unexplained_nodes_total, reconciliation.unread_nodes_at_most) == (
        "trusted",
        1,
        1,
    )
    assert "unread_answers" in codes(report)
    assert report.verdict.exit_code == 0


def test_a_counter_that_falls_between_voids_the_servers_side(tmp_path: Path) -> None:
    """A restart shows in the readings in between, though the ends look well."""
    readings = [
        exposition([5] + [0] * 11, 0.01),
        exposition([15] + [0] * 11, 0.03),
        exposition([2] + [0] * 11, 0.004),
        exposition([25] + [0] * 11, 0.05),
    ]
    report = report_of(tmp_path, CLEAN, readings=readings)
    assert report.phases[0].reconciliation.trust == "restarted"
    assert report.phases[0].server is None
    assert report.phases[0].reasons["server"].startswith("aether_executed_nodes_total fell")
    assert report.verdict.exit_code == 5


@pytest.mark.parametrize(
    ("readings", "sentence"),
    [
        ([None, None], "/metrics could not be read (before the load): no answer"),
        ([exposition([0] * 12, 0), ""], "/metrics (after the load): none of the runtime's metrics is there"),
        (
            [exposition([0] * 12, 0), exposition([0] * 12, "NaN")],
            "/metrics (after the load): aether_execution_time_seconds_sum is NaN, which is no sum of times",
        ),
        (
            [exposition([0] * 12, 0, errors_total=2**60), exposition([0] * 12, 0)],
            "/metrics (before the load): aether_errors_total is 1152921504606846976, which is no count from 0 to 2^53",
        ),
    ],
)
def test_without_the_servers_counts_a_run_is_invalid_unless_told_so(
    tmp_path: Path, readings: list[str | None], sentence: str
) -> None:
    """No data does not pass; a scenario that says there are no metrics takes the client's side alone."""
    report = report_of(tmp_path, CLEAN, readings=readings)
    assert report.phases[0].reconciliation.reason is not None
    assert report.phases[0].reconciliation.reason.startswith(sentence)
    assert report.verdict.exit_code == 5
    told = {"name": "made", "target": {"server_metrics": False}, "phases": [{"name": "closed", "users": 1}]}
    allowed = report_of(tmp_path, CLEAN, readings=readings, scenario=told, run_id="20260304T050607Z-made-0002")
    assert (allowed.verdict.exit_code, codes(allowed)) == (0, ["users_not_busy", "few_samples"])
    assert allowed.phases[0].reconciliation.counted_nodes_total is None


@pytest.mark.parametrize(
    ("requests", "options", "verdict"),
    [
        (
            [failed(1, 1, Outcome.HTTP_ERROR)],
            {},
            Verdict("failed", 1, ("phase closed: none of 1 requests succeeded",)),
        ),
        ([], {}, Verdict("failed", 1, ("phase closed: no request was sent",))),
        (
            [*CLEAN, failed(1, 1, Outcome.HTTP_ERROR)],
            {},
            Verdict("failed", 1, ("phase closed: error rate 0.0909 is above max_error_rate 0.01",)),
        ),
        (
            [*CLEAN, failed(1, 1, Outcome.INVALID_RESPONSE)],
            {"counted_ms": [60] * 20, "ended_as": "interrupted"},
            Verdict(
                "failed",
                1,
                (
                    "phase closed: error rate 0.0909 is above max_error_rate 0.01",
                    "phase closed: contaminated: " + TEN_MORE,
                    "the run was interrupted; the results are of a part",
                ),
            ),
        ),
        (
            CLEAN,
            {"ended_as": "interrupted"},
            Verdict("interrupted", 130, ("the run was interrupted; the results are of a part",)),
        ),
        (
            [],
            {"ended_as": "interrupted"},
            Verdict("interrupted", 130, ("the run was interrupted; the results are of a part",)),
        ),
        (
            [*CLEAN, failed(990, 1, Outcome.CANCELLED)],
            {"ended_as": "interrupted"},
            Verdict("interrupted", 130, ("the run was interrupted; the results are of a part",)),
        ),
        (
            CLEAN,
            {"ended_as": "running", "window_ms": (0, None)},
            Verdict("invalid", 5, ("the run was cut off by force; this is what was written by then",)),
        ),
        ([*CLEAN, answered(5, 3, outcome=Outcome.REJECTED, nodes=(NodeState.FAILED,))], {}, Verdict("passed", 0, ())),
    ],
)
def test_the_first_exit_code_that_applies_is_given(
    tmp_path: Path, requests: list[dict[str, Any]], options: dict[str, Any], verdict: Verdict
) -> None:
    """1 before 5 before 130 before 0; all reasons are told; refusals and what we gave up ourselves do not count."""
    assert report_of(tmp_path, requests, **options).verdict == verdict


def test_throughput_counts_a_request_by_its_time_inside_the_window(tmp_path: Path) -> None:
    """One that reaches over an edge counts by its part, whenever it was sent and however it ended."""
    requests = [answered(0, 100), answered(500, 100), answered(990, 100), failed(600, 50, Outcome.HTTP_ERROR)]
    (phase,) = report_of(tmp_path, requests).phases
    assert (phase.all.request_throughput_rps, phase.all.ok_throughput_rps) == (3.1, 2.1)
    assert phase.all.service_latency_ms is not None
    assert phase.all.service_latency_ms.count == 4


def test_throughput_counts_requests_of_the_warm_up_too(tmp_path: Path) -> None:
    """As many requests reach into a window of a steady load as reach out of it: a warm-up makes no rate too low."""
    requests = [answered(-200, 300), answered(100, 300), answered(400, 300), answered(700, 450)]
    (phase,) = report_of(tmp_path, requests).phases
    assert (phase.all.request_throughput_rps, phase.datasets[0].ok_throughput_rps) == (3.0, 3.0)
    assert (phase.all.requests_total, phase.requests_outside_window_total) == (3, 1)


@pytest.mark.parametrize("damage", [None, b"", b"garbage" * 100])
def test_a_run_whose_records_are_gone_is_not_reported_over(tmp_path: Path, damage: bytes | None) -> None:
    """Without one readable row the earlier report stays, and nobody is accused of contamination."""
    folder = make_run(tmp_path, CLEAN)
    write_results(build_report(folder), folder)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file() and path != folder.records}
    if damage is None:
        folder.records.unlink()
    else:
        folder.records.write_bytes(damage)
    with pytest.raises(ResultsError, match=r"^No row of .* can be read \(records\.bin ") as refused:
        build_report(folder)
    assert refused.value.exit_code == 5
    assert {path: path.read_bytes() for path in before} == before


def test_accuracy_counts_an_answer_without_a_letter_as_wrong(tmp_path: Path) -> None:
    """Two right, one wrong, one that gave no letter: 2 of 4, one unanswered."""
    requests = [
        answered(0, 61, state=0, correct=1),
        answered(100, 61, state=0, correct=1),
        answered(200, 61, state=0, correct=0),
        answered(300, 61, state=1, correct=0),
    ]
    row = report_of(tmp_path, requests).phases[0].all
    assert (row.accuracy, row.unanswered_total) == (Share(0.5, 0.150039, 0.849961, 2, 4), 1)


def test_one_mock_answer_voids_the_accuracy(tmp_path: Path) -> None:
    """A mixture of mock and model has no accuracy; null with the reason."""
    report = report_of(tmp_path, [answered(0, 61, state=0, correct=1), answered(100, 61, state=2)])
    row = report.phases[0].all
    assert row.accuracy is None
    assert row.reasons["accuracy"].startswith("1 of 2 answers are the mock provider's fixed text")
    assert "mock_provider" in codes(report)


def test_every_absent_number_has_its_reason(tmp_path: Path) -> None:
    """In a row without any request each null is explained by name."""
    row = report_of(tmp_path, []).phases[0].all
    absent = {field for field in row.__struct_fields__ if getattr(row, field) is None}
    assert absent == set(row.reasons)


def test_threats_to_validity_are_values(tmp_path: Path) -> None:
    """A saturated client, an answering cache, a simulated target: each a code with advice."""
    report = report_of(
        tmp_path, [answered(250 * number, 61, cached=1) for number in range(4)], users=4, kind="simulated"
    )
    assert codes(report) == ["simulated_target", "users_not_busy", "few_samples", "cache_answered"]
    assert all(warning.advice for warning in report.warnings)


def written(folder: RunFolder) -> dict[Path, bytes]:
    """Return the bytes of every file that a report writes, beside the run's own and around it."""
    write_results(build_report(folder), folder)
    return {path: path.read_bytes() for path in folder.results.rglob("*") if path.is_file()}


def test_the_same_folder_gives_the_same_bytes(tmp_path: Path) -> None:
    """All files of a report depend on the run's folder alone."""
    folder = make_rich_run(tmp_path)
    assert written(folder) == written(folder)


def test_columns_in_files_give_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of so many requests that their columns lie in files is analysed like any other, and leaves none of them."""
    folder = make_rich_run(tmp_path)
    expected = written(folder)
    monkeypatch.setattr(table_reader, "MOST_ROWS_IN_MEMORY", 0)
    assert written(folder) == expected


def test_the_summary_on_the_terminal(tmp_path: Path) -> None:
    """The whole text, so that a change to it is seen."""
    out = io.StringIO()
    write_summary(report_of(tmp_path, CLEAN), [], out)
    assert out.getvalue() == (
        "\n"
        "aether-load: made on runtime v2 at http://127.0.0.1:3000\n"
        "\n"
        "PASSED (exit code 0): 10 of 10 requests succeeded\n"
        "\n"
        "  phase     load  req/s  p50 ms  p95 ms  p99 ms  failed  cached  trusted\n"
        "  closed  1 user   10.0    66.0  >=71.0  >=71.0       0    0.0%      yes\n"
        "\n"
        "  mean latency: outside the server 6.5 ms (9.8%), node path 60.0 ms (90.2%)\n"
        "\n"
        "warnings\n"
        "  users_not_busy  users waited for the client itself\n"
        "  few_samples     p99 is weak or only bounded from below\n"
    )


def test_a_folder_of_another_time_is_refused_by_name(tmp_path: Path) -> None:
    """A manifest of a version that is not known is a sentence, not a guess."""
    folder = make_run(tmp_path, CLEAN)
    manifest = folder.read_manifest()
    manifest.schema_version = "9.0"
    folder.write_manifest(manifest)
    with pytest.raises(UsageError, match=r"has schema version 9\.0; this aether-load reads 1\.0"):
        build_report(folder)
    folder.manifest.write_text('{"schema_version": "0.9", "id": "of a release without a checksum"}')
    with pytest.raises(UsageError, match=r"has schema version 0\.9; this aether-load reads 1\.0"):
        build_report(folder)


def append_in_process(path: Any, results: Path, number: int) -> None:
    folder = RunFolder.open(results / "runs" / f"20260304T050607Z-made-{number:04d}")
    append_summary(path, build_report(folder))


@pytest.mark.slow
def test_runs_that_end_at_once_lose_no_row(tmp_path: Path) -> None:
    """Processes that add their rows at the same time all find them there, under one header."""
    path = tmp_path / "summary.csv"
    for number in range(6):
        make_run(tmp_path, CLEAN, run_id=f"20260304T050607Z-made-{number:04d}")
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=append_in_process, args=(path, tmp_path, number)) for number in range(6)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    rows = list(csv.DictReader(path.open()))
    told = sorted((row["run_id"][-4:], row["dataset"]) for row in rows)
    assert told == [(f"000{number}", dataset) for number in range(6) for dataset in ("all", "piqa")]
    assert tuple(rows[0]) == SUMMARY_COLUMNS


def test_writing_a_run_again_replaces_its_own_row_only(tmp_path: Path) -> None:
    """The summary keeps one row a phase and dataset of each run, however often its report is made."""
    first = make_run(tmp_path, CLEAN)
    second = make_run(tmp_path, CLEAN, run_id="20260304T050607Z-made-0002")
    for folder in (first, second, first):
        write_results(build_report(folder), folder)
    ids = [(row["run_id"][-4:], row["dataset"]) for row in csv.DictReader((tmp_path / "summary.csv").open())]
    assert ids == [("0002", "all"), ("0002", "piqa"), ("0001", "all"), ("0001", "piqa")]
    assert sorted(path.name for path in tmp_path.glob("nightly_*")) == [
        "nightly_2026-03-04.json",
        "nightly_2026-03-04_2.json",
    ]


def test_a_foreign_summary_is_left_alone(tmp_path: Path) -> None:
    """Other columns are an error before and after a load; the file stays as it is."""
    path = tmp_path / "summary.csv"
    path.write_text("time,value\n1,2\n")
    with pytest.raises(UsageError, match="other columns"):
        check_summary(path)
    with pytest.raises(ResultsError, match="move it away"):
        append_summary(path, report_of(tmp_path, CLEAN))
    assert path.read_text() == "time,value\n1,2\n"


def test_the_correlation_without_answers_is_all_reasons(tmp_path: Path) -> None:
    """A window in which nothing could be read has no correlation, and says so of each part."""
    (phase,) = report_of(tmp_path, [failed(1, 400, Outcome.TIMEOUT)]).phases
    assert phase.correlation == Correlation(
        overhead_ms=None,
        server_time_share=None,
        tail_server_share=None,
        server_variance_share=None,
        littles_law_ratio=0.4,
        reasons={
            "overhead_ms": "no answer in the window could be read",
            "server_time_share": "no answer in the window could be read",
            "tail_server_share": "0 requests at or above p99, of 10 needed",
            "server_variance_share": "the latencies do not differ, or there are fewer than two",
        },
    )
