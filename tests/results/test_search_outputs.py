"""A capacity search in every output: its result in a sentence, and what each probe measured."""

from __future__ import annotations

from typing import Any

from aether_load.scenario.phase import Kind
from aether_load.schedule.search import End

from aether_load.analysis.report import Report
from pathlib import Path

import io

import pytest

from aether_load.analysis.phase.searches import search_report
from aether_load.analysis.report import build_report
from aether_load.outputs.formats import formatted
from aether_load.outputs.page.html import page_html
from aether_load.outputs.probes import probe_header, probe_rows
from aether_load.outputs.terminal import write_summary
from aether_load.rundata.manifest import ProbeRecord, SearchRecord
from aether_load.schedule.probe import ProbeMeasurement, SloReading
from aether_load.schedule.search import Found
from folders import answered, make_run

SLO = ("p(95)<100", "error_rate<0.02")
QUEUE = "requests queue before the server: each second of the load added 120 ms to their latency"


def measured(achieved: float, p95: float, **more: float) -> ProbeMeasurement:
    usage: dict[str, Any] = {"error_rate": 0.0, "sender_cpu_share": 0.31, "server_cpu_share": 0.974, **more}
    return ProbeMeasurement(
        achieved_load=achieved,
        slo=(
            SloReading(condition=SLO[0], state="holds", value=p95, low=p95 - 2, high=p95 + 2),
            SloReading(condition=SLO[1], state="holds", value=0.0, low=0.0, high=0.0123),
        ),
        **usage,
    )


UNBOUNDED = ProbeMeasurement(
    achieved_load=None,
    slo=(
        SloReading(condition=SLO[0], state="undecided", value=80.0, low=75.0, high=None),
        SloReading(condition=SLO[1], state="undecided", value=None, low=None, high=None, reason="no request"),
    ),
    error_rate=None,
    sender_cpu_share=0.2,
    server_cpu_share=None,
    reasons={"server_cpu_share": "the target runs on another machine"},
)
PROBES = [
    ProbeRecord(
        phase="cap-1-20", purpose="double", load=20, duration_s=5, holds=True, against=(), limited_by="held",
        measured=measured(19.98, 61.25),
    ),
    ProbeRecord(
        phase="cap-2-40", purpose="double", load=40, duration_s=5, holds=False, against=(QUEUE,), limited_by="server",
        measured=measured(39.5, 170.0, error_rate=0.015),
    ),
    ProbeRecord(phase="cap-3-28.3", purpose="bisect", load=28.3, duration_s=5, holds=None, against=("x",),
                measured=UNBOUNDED),
    ProbeRecord(phase="cap-4-28.3", purpose="repeat", load=28.3, duration_s=10, holds=None, against=("x",)),
]  # fmt: skip
ROWS = [
    ("20", "19.98", "5", "double", "61.25 [59.25, 63.25]", "0 [0, 0.0123]", "0.0%", "31.0%", "97.4%", "held"),
    ("40", "39.5", "5", "double", "170 [168, 172]", "0 [0, 0.0123]", "1.5%", "31.0%", "97.4%", "server"),
    ("28.3", "-", "5", "bisect", ">= 75", "-", "-", "20.0%", "-", "undecided"),
    ("28.3", "-", "10", "repeat", "-", "-", "-", "-", "-", "undecided"),
]


def record(end: End | None, held: float | None = 20.0, broken: float | None = 40.0, against: tuple[str, ...] = (QUEUE,), kind: Kind = "rate") -> SearchRecord:
    found = None if end is None else Found(end=end, largest_held=held, smallest_not_held=broken, against=against)
    return SearchRecord(name="cap", kind=kind, slo=SLO, tolerance=0.1, probes=PROBES, found=found)


def test_a_row_for_each_probe_with_what_it_measured() -> None:
    """Load asked and achieved, each metric with its interval, errors, both processes' CPU, and the limit."""
    report = search_report(record("found"))
    assert probe_header(report) == (
        "req/s asked", "achieved", "for s", "why", *SLO, "errors", "sender CPU", "server CPU", "limited by",
    )  # fmt: skip
    assert probe_rows(report) == ROWS


WIDE = "with a gap of 100%, wider than the tolerance of 10%"
HELD = f"20 requests/s held, 40 did not ({QUEUE})"


@pytest.mark.parametrize(
    ("searched", "sentence", "confirmed", "gap"),
    [
        (record("found", broken=21.0), f"20 requests/s held, 21 did not ({QUEUE}); further probes confirmed both", True, 0.05),
        (record("max_load_held", broken=None, against=()), "20 requests/s held; further probes confirmed it, and it is "
         "the max_load of the search", True, None),
        (record("nothing_held", held=None, kind="users"), f"no load held, 40 did not ({QUEUE}); it is the smallest load that the search tries",
         False, None),
        (record("out_of_time"), f"{HELD}; the search ran out of time {WIDE}", False, 1.0),
        (record("out_of_time", broken=21.0), f"20 requests/s held, 21 did not ({QUEUE}); the search ran out of time before "
         "further probes confirmed it", False, 0.05),
        (record("undecided"), f"{HELD}; the search ended {WIDE}, because the loads between stayed undecided", False, 1.0),
        (record("undecided", held=None, broken=None, against=("x",)), "no load held (x); the search ended because its "
         "probes stayed undecided", False, None),
        (record("unsteady"), f"{HELD}; the search ended {WIDE}, because the same loads held in some probes and not in "
         "others", False, 1.0),
        (record("client_limited", broken=21.0), f"20 requests/s held, 21 did not ({QUEUE}); the client is the limit, so "
         "the capacity of the server is at least the load that held", False, 0.05),
        (record("stopped"), f"{HELD}; the search was stopped {WIDE}", False, 1.0),
        (record(None), f"{HELD}; the search was cut off by force {WIDE}", False, 1.0),
    ],
)  # fmt: skip
def test_the_result_is_one_sentence(searched: SearchRecord, sentence: str, confirmed: bool, gap: float | None) -> None:
    """Both loads, the reason why the larger one broke, and a gap that is too wide."""
    report = search_report(searched)
    assert (report.sentence, report.confirmed, report.gap) == (sentence, confirmed, gap)


def run_with(tmp_path: Path, searched: SearchRecord) -> Report:
    scenario = {"name": "made", "phases": [{"name": "cap", "find": "max_rate", "slo": list(SLO)}]}
    requests = [answered(10 * place, 60 + place % 20) for place in range(100)]
    folder = make_run(tmp_path, requests, scenario=scenario, phase="cap", search="cap")
    manifest = folder.read_manifest()
    manifest.searches = [searched]
    folder.write_manifest(manifest)
    return build_report(folder)


@pytest.mark.parametrize(
    ("end", "status", "code"),
    [("found", "passed", 0), ("max_load_held", "passed", 0), ("nothing_held", "threshold_failed", 4),
     ("out_of_time", "inconclusive", 5), ("undecided", "inconclusive", 5), ("unsteady", "inconclusive", 5),
     ("client_limited", "inconclusive", 5)],
)  # fmt: skip
def test_the_verdict_follows_from_how_the_search_ended(tmp_path: Path, end: End, status: str, code: int) -> None:
    """Without a confirmed result the run is inconclusive, and the reason has both loads and the gap."""
    report = run_with(tmp_path, record(end))
    assert (report.verdict.status, report.verdict.exit_code) == (status, code)
    if code:
        assert report.verdict.reasons == (f"search cap: {report.searches[0].sentence}",)


def test_every_form_of_a_report_has_the_probes(tmp_path: Path) -> None:
    """Text, Markdown and page: the sentence and a row for each probe."""
    report = run_with(tmp_path, record("out_of_time"))
    for form, cell in (("text", "61.25 [59.25, 63.25]"), ("markdown", "| double | 170 &#91;168, 172&#93; |")):
        text = formatted(report, form)
        assert cell in text
        assert "the search ran out of time" in " ".join(text.split())
    page = page_html(report, [], {}, "")
    assert ">61.25 [59.25, 63.25]</td>" in page
    assert "the search ran out of time with a gap of 100%" in page


@pytest.mark.parametrize(("width", "left_out"), [(120, 1), (100, 3), (80, 5)])
def test_the_summary_has_a_row_for_each_probe_on_any_terminal(tmp_path: Path, width: int, left_out: int) -> None:
    """The loads, the metrics and the limit always; how long and why a probe was, where there is room."""
    report = run_with(tmp_path, record("out_of_time"))
    out = io.StringIO()
    write_summary(report, (), out, width=width)
    lines = out.getvalue().splitlines()
    (header,) = (line for line in lines if line.startswith("  req/s asked"))
    optional = ["for s", "why", "errors", "sender CPU", "server CPU"]
    assert [name for name in optional if name not in header] == optional[:left_out]
    assert all(name in header for name in ("achieved", *SLO, "limited by"))
    rows = lines[lines.index(header) + 1 :][: len(PROBES)]
    assert [row.split()[0] for row in rows] == ["20", "40", "28.3", "28.3"]
    assert [row.split()[-1] for row in rows] == ["held", "server", "undecided", "undecided"]
    assert max(map(len, lines)) <= width
