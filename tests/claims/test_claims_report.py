"""The report on claims, made of recorded folders."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aether_load.claims.charts import claims_charts
from aether_load.claims.claim import read_claims
from aether_load.claims.command import _read
from aether_load.claims.latex import latex_text, write_claims_latex
from aether_load.claims.measurement import Measured
from aether_load.claims.page import claims_html
from aether_load.claims.report import ClaimsReport, Spread, build_claims_report
from aether_load.claims.text import write_claims_markdown, write_claims_text
from aether_load.claims.verdict import SIMULATED
from aether_load.protocol import Outcome
from aether_load.scenario.load import load_scenario, to_plain
from aether_load.schedule.search import Found
from claims_folders import LOADS, SCENARIO, Driven, ablation, make_claims_run, triage
from folders import failed

CLAIMS = """\
[[runs]]
scenario = "made.toml"

[[runs]]
scenario = "loads.toml"

[[claims]]
id = "p95"
claim = "Parallel, p95"
source = "a page"
published = "125 ms"
quantity = "latency_p95_ms"
of = "made/parallel"
at_most = 125

[[claims]]
id = "reduction"
claim = "Parallel execution"
source = "a page"
published = "30 %"
quantity = "latency_reduction"
of = "made/parallel"
against = "made/sequential"
at_least = 0.3

[[claims]]
id = "speedup"
claim = "Warm"
source = "a page"
published = "4 x"
quantity = "speedup"
of = "made/warm"
against = "made/sequential"
at_least = 4

[[claims]]
id = "hits"
claim = "Hits"
source = "a page"
published = "60 %"
quantity = "hit_rate"
of = "loads/each-5"
at_least = 0.6

[[claims]]
id = "tokens"
claim = "Tokens"
source = "a page"
published = "100"
quantity = "tokens_saved"
of = "loads/each-5"
against = "made/parallel"
at_least = 100

[[claims]]
id = "rate"
claim = "Rate"
source = "a page"
published = "500 /s"
quantity = "capacity_rps"
of = "loads/capacity"
at_least = 500

[[claims]]
id = "success"
claim = "Success"
source = "a page"
published = "100 %"
quantity = "success_rate"
of = "made/parallel"
at_least = 0.9
needs_provider = true
"""
HITS = [Driven("each-5", None, [*triage(124, 60, count=2), *triage(34, 10, count=8, cached=1)])]
FOUND = Found(end="found", largest_held=100, smallest_not_held=110, against=("p(95) is 800 ms",))


class Made:
    """A folder of claims: the file, its two scenarios, and the runs that a test makes of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "made.toml").write_text(SCENARIO)
        (folder / "loads.toml").write_text(LOADS)
        (folder / "claims.toml").write_text(CLAIMS)
        self.file = read_claims(folder / "claims.toml")
        self.plain = {name: to_plain(load_scenario(folder / f"{name}.toml")) for name in ("made", "loads")}

    def run(self, name: str, driven: list[Driven], **more: Any) -> Made:
        make_claims_run(self.folder, self.plain[name], driven, **more)
        return self

    def report(self, *scenarios: str) -> ClaimsReport:
        return build_claims_report(self.file, _read(self.folder), scenarios or ("made", "loads"))

    def found(self) -> dict[str, Any]:
        return {row.claim.id: row for row in self.report().claims}


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path)


@pytest.fixture
def complete(made: Made) -> Made:
    return made.run("made", ablation()).run("loads", HITS, found=FOUND)


def test_each_claim_is_held_against_its_own_measurement(complete: Made) -> None:
    """Medians over repetitions, shares, tokens and a search, each with the verdict that follows."""
    found = complete.found()
    assert {id_: row.verdict for id_, row in found.items()} == {
        "p95": "not_supported",
        "reduction": "supported",
        "speedup": "supported",
        "hits": "supported",
        "tokens": "not_decided",
        "rate": "not_supported",
        "success": "supported",
    }
    assert found["p95"].measured == Measured(
        value=131.0, low=126.0, high=136.0, unit="ms", repetitions_total=6, llm_ms=180.0
    )
    # Repetition r takes 184 + 2 r ms in sequence and 124 + 2 r in parallel; the DAG allows a third less.
    assert found["reduction"].measured == Measured(
        value=0.314145, low=0.306122, high=0.322581,
        unit="share", repetitions_total=6, possible=0.333333, of_possible=0.942435, llm_ms=180.0,
    )  # fmt: skip
    assert found["hits"].measured == Measured(
        value=0.8, low=0.626943, high=0.904949, unit="share", possible=0.8, of_possible=1.0, llm_ms=60.0
    )
    assert found["rate"].measured == Measured(value=100, low=100, high=110, unit="requests/s")


def test_a_part_of_the_scenarios_reports_its_own_claims(made: Made) -> None:
    """A run of the loads alone is complete, and says nothing of latency."""
    report = made.run("loads", HITS, found=FOUND).report("loads")
    assert report.ended_as == "completed"
    assert [row.claim.id for row in report.claims] == ["hits", "tokens", "rate"]


def test_a_warm_cache_is_not_bound_by_the_dependencies(complete: Made) -> None:
    """Its speed-up has no share of what they allow."""
    measured = complete.found()["speedup"].measured
    assert (measured.possible, measured.of_possible) == (None, None)
    assert measured.low == pytest.approx(196 / 46)


def test_the_mock_provider_decides_nothing_that_needs_a_real_one(made: Made) -> None:
    """Latency is decided all the same."""
    found = made.run("made", ablation(state=2)).found()
    assert found["success"].reason == "it needs a real provider and the mock provider answered"
    assert found["p95"].verdict == "not_supported"


def test_what_is_complete_of_an_interrupted_run_is_reported(made: Made) -> None:
    """Four whole repetitions give figures without an interval; what did not begin says so."""
    driven = ablation(repeats=4)
    driven.append(Driven("sequential", 5, triage(300, 60, count=3), ended_by="stopped"))
    report = made.run("made", driven, ended_as="interrupted").report()
    found = {row.claim.id: row for row in report.claims}
    assert report.ended_as == "interrupted"
    assert found["p95"].measured.value == 129.0
    assert (found["p95"].verdict, found["p95"].reason) == (
        "not_decided",
        "4 complete repetitions bound nothing; 6 are needed",
    )
    assert found["rate"].reason == found["hits"].reason == "scenario loads was not run"
    assert [one.repetitions_total for one in report.configurations] == [4, 4, 4]


@pytest.mark.parametrize(
    ("spoiled", "reason"),
    [
        (
            Driven("parallel", 6, [*triage(124, 60, count=10), failed(2000, 30, Outcome.TIMEOUT)]),
            "in parallel#6 1 of 11 requests failed",
        ),
        (Driven("parallel", 6, triage(124, 60), counted_more=3), "in parallel#6 the counts are not trusted: "),
    ],
)
def test_figures_of_a_phase_that_went_wrong_are_not_used(made: Made, spoiled: Driven, reason: str) -> None:
    """Neither with failures nor with nodes of somebody else."""
    driven = [one for one in ablation() if (one.phase, one.repeat) != ("parallel", 6)]
    found = made.run("made", [*driven, spoiled]).found()
    assert found["p95"].verdict == found["reduction"].verdict == "not_decided"
    assert found["p95"].reason.startswith(reason)
    assert found["p95"].measured.value is None
    assert found["speedup"].verdict == "supported"


@pytest.mark.parametrize(
    ("changes", "verdict", "reason", "bounds"),
    [
        ({"largest_held": 600, "smallest_not_held": 620}, "supported", "within what was published", (600, 620)),
        ({"end": "max_load_held", "largest_held": 600, "smallest_not_held": None}, "supported", "within", (600, None)),
        ({"end": "nothing_held", "largest_held": None, "smallest_not_held": 2}, "not_supported", "outside", (0, 2)),
        ({"end": "client_limited"}, "not_decided", "reaches over the limit", (100, None)),
        ({"end": "out_of_time"}, "not_decided", "the search ran out of time", (None, None)),
    ],
)
def test_a_search_decides_when_both_ends_are_confirmed(
    made: Made, changes: dict[str, Any], verdict: str, reason: str, bounds: tuple[int | None, int | None]
) -> None:
    """A client that is the limit bounds the capacity from below only."""
    found = made.run("loads", HITS, found=msgspec.structs.replace(FOUND, **changes)).found()["rate"]
    assert found.verdict == verdict
    assert reason in found.reason
    assert (found.measured.low, found.measured.high) == bounds


@pytest.mark.parametrize(
    ("probes", "bounds", "verdict"),
    [
        ([(100, True), (600, True), (700, True), (800, True), (900, False)], (600, None), "supported"),
        ([(100, True), (400, True), (600, True)], (100, None), "not_decided"),
        ([(50, True), (100, False), (120, False), (150, False)], (0.0, 150), "not_supported"),
        ([(600, True), (700, True), (800, True), (90, False)], (None, None), "not_decided"),
        ([(100, None), (200, None)], (None, None), "not_decided"),
    ],
)
def test_a_search_without_an_end_is_bounded_by_three_probes(
    made: Made, probes: list[Any], bounds: tuple[float | None, int | None], verdict: str
) -> None:
    """Three loads that held, or that the server did not hold, on one side; none that contradicts them."""
    found = msgspec.structs.replace(FOUND, end="out_of_time")
    row = made.run("loads", HITS, found=found, probes=probes).found()["rate"]
    assert (row.measured.low, row.measured.high, row.verdict) == (*bounds, verdict)


def test_the_cells_of_the_paper_are_mean_and_deviation_over_repetitions(complete: Made) -> None:
    """And the speed-up against the first configuration, with what the dependencies allow."""
    report = complete.report()
    cells = {one.phase: one for one in report.configurations}
    assert cells["parallel"].latency_p50_ms == Spread(131.0, 3.741657)
    assert cells["parallel"].speedup_bound == 1.5
    assert cells["sequential"].speedup == 1.0
    out = io.StringIO()
    write_claims_latex(report, out)
    assert (
        r"made/parallel & 6 & 131.0 $\pm$ 3.7 & 131.0 $\pm$ 3.7 & 131.0 $\pm$ 3.7 & 131.0 $\pm$ 3.7" in out.getvalue()
    )
    assert out.getvalue().count(r"\begin{tabular}") == out.getvalue().count(r"\end{tabular}") == 3


def test_a_pattern_has_its_hit_rate_beside_what_is_possible(complete: Made) -> None:
    """Ten requests of two prompts: eight had been sent before."""
    (pattern,) = complete.report().repetitions
    assert (pattern.phase, pattern.requests_total, pattern.distinct_prompts) == ("each-5", 10, 2)
    assert (pattern.hit_rate.value, pattern.hit_rate.possible) == (0.8, 0.8)


def test_every_line_of_a_simulated_runtime_says_so(made: Made) -> None:
    """Each row of each table, on the terminal, in Markdown, in LaTeX and on the page."""
    report = made.run("made", ablation(), kind="simulated").run("loads", HITS, found=FOUND, kind="simulated").report()
    assert {(row.verdict, row.reason) for row in report.claims} == {("not_decided", SIMULATED)}
    text = partial(write_claims_text, report, [])
    for write in (text, partial(write_claims_markdown, report), partial(write_claims_latex, report)):
        out = io.StringIO()
        write(out)
        lines = [line for line in out.getvalue().splitlines() if "made/" in line or "a page" in line or " ms [" in line]
        assert lines
        assert [line for line in lines if SIMULATED not in line] == []
    page = claims_html(report, claims_charts(report), "")
    assert page.count(SIMULATED) > len(report.claims) + len(report.configurations)


def test_the_page_has_a_chart_of_each_kind(complete: Made) -> None:
    """Latency side by side, speed-up against its bound, hit rate against repetition; the page holds their places."""
    report = complete.report()
    charts = claims_charts(report)
    assert [chart.name for chart in charts] == ["latency-made", "speedup", "hit-rate"]
    page = claims_html(report, charts, "")
    assert all(f'data-chart="{chart.name}"' in page for chart in charts)


def test_a_text_from_outside_is_set_as_it_is() -> None:
    """LaTeX obeys none of it."""
    assert latex_text(r"50 % & \input{x}_1 > $2~") == (
        r"50 \% \& \textbackslash{}input\{x\}\_1 \textgreater{} \$2\textasciitilde{}"
    )
