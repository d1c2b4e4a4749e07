"""Runs side by side: ranked only where everything but the build was the same."""

from aether_load.analysis.report import Report
from pathlib import Path
from typing import Any

import io
import json
import re

import msgspec
import numpy as np
import pytest

from aether_load.errors import ExitCode
from aether_load.analysis.statistics.distribution import distribution
from aether_load.analysis.statistics.multiple import holm
from aether_load.compare.charts import comparison_charts
from aether_load.compare.comparison import Figure, _p, _rank, compare
from aether_load.compare.text import write_text
from aether_load.compare.comparable import letter
from aether_load.analysis.report import build_report
from folders import answered, make_run
from gate_folders import make_gate, one_user
from processes import call_command, run_command
from rich_run import MACHINE, SCENARIO, make_rich_run

OTHER_LOAD = {**SCENARIO, "phases": [{**SCENARIO["phases"][0], "duration": 9.0}, SCENARIO["phases"][1]]}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return build_report(make_rich_run(tmp_path_factory.mktemp("first")))


def report_of(tmp_path: Path, **options: Any) -> Report:
    return build_report(make_rich_run(tmp_path, run_id="20260305T050607Z-evening-0002", **options))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"scenario": OTHER_LOAD}, "scenario, phases.0.duration: 4.0 in A and 9.0 in B"),
        ({"kind": "simulated"}, "target kind: runtime in A and simulated in B"),
        ({"machine": {**MACHINE, "cpu": "M1"}}, "machine, cpu: AMD EPYC 7R13 in A and M1 in B"),
        ({"machine": {}}, "machine, memory_bytes: 34359738368 in A and not known in B"),
        ({"ended_as": "interrupted"}, "run B was interrupted"),
        ({"ended_as": "running"}, "run B was cut off by force"),
        ({"dataset": "hellaswag"}, "dataset piqa: there in A and not there in B"),
    ],
)
def test_what_was_not_the_same_is_shown_and_not_ranked(first: Report, tmp_path: Path, options: dict[str, Any], sentence: str) -> None:
    """Another scenario, target, machine, dataset, or a run that is only a part: said, and no row has a rank."""
    comparison = compare([first, report_of(tmp_path, **options)])
    assert not comparison.comparable
    assert sentence in comparison.obstacles
    assert len(comparison.rows) > 50
    assert {rank for row in comparison.rows for rank in row.rank} == {None}


def test_names_and_limits_make_no_other_load(first: Report, tmp_path: Path) -> None:
    """A scenario by another name that sends the same is the same; a limit for goodput unranks only goodput."""
    plan = {**SCENARIO, "name": "night", "purpose": "x", "max_error_rate": 0.5, "goodput_slo": "p50<1".replace("p50", "response_latency_ms")}
    comparison = compare([first, report_of(tmp_path, scenario=plan)])
    assert comparison.comparable
    assert {row.rank[1] for row in comparison.rows if row.figure == "within the SLO"} == {None}
    assert "not told apart" in {row.rank[1] for row in comparison.rows if row.figure == "accuracy"}


def test_a_slower_build_is_worse_where_it_is_certain(first: Report, tmp_path: Path) -> None:
    """The medians' intervals lie apart in each phase; shares that overlap are not told apart; rates have no rank."""
    comparison = compare([first, report_of(tmp_path, slower=1.3, seed=8)])
    ranks = {(row.phase, row.figure): row.rank for row in comparison.rows if row.dataset == "all"}
    assert {rank for (_, figure), rank in ranks.items() if figure == "response latency p50"} == {(None, "worse")}
    assert ranks["load-8", "accuracy"] == (None, "not told apart")
    assert ranks["load-8", "good answers"] == (None, None)
    assert compare([first, first]).rows[0].rank == (None, "not told apart")


@pytest.mark.parametrize(
    ("first", "other", "smaller", "rank"),
    [
        (Figure(5, 4, 6), Figure(8, 7, 9), True, "worse"),
        (Figure(5, 4, 6), Figure(8, 7, 9), False, "better"),
        (Figure(8, 7, 9), Figure(5, 4, 6), True, "better"),
        (Figure(5, 4, 6), Figure(6, 6, 9), True, "not told apart"),
        (Figure(5, 4, None), Figure(9, 8, 10), True, "not told apart"),
        (Figure(5, 4, 6), Figure(9, 8, None), True, "worse"),
        (Figure(5, None, None), Figure(9, 8, 10), True, None),
        (None, Figure(9, 8, 10), True, None),
    ],
)
def test_a_rank_needs_intervals_that_do_not_touch(first: Figure | None, other: Figure, smaller: bool, rank: str | None) -> None:
    """A bound that is not there overlaps everything on its side; without any there is no p-value and no rank."""
    p = _p(first, other)
    assert (None if p is None else _rank(first, other, p, smaller=smaller)) == rank


def test_a_rank_is_corrected_for_how_many_there_are() -> None:
    """What is certain as one comparison is chance as one of many."""
    first, other = Figure(100, 90, 110), Figure(130, 115, 145)
    alone = _p(first, other)
    assert alone is not None
    among_many = holm([alone, *[0.9] * 99])[0]
    assert alone < 0.05 < among_many
    assert _rank(first, other, alone, smaller=True) == "worse"
    assert _rank(first, other, among_many, smaller=True) == "not told apart"


def test_holm_adjusts_as_published() -> None:
    """The example of R's p.adjust, in the order given."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@pytest.mark.parametrize("draw", ["lognormal", "spikes"])
@pytest.mark.slow
def test_equal_runs_are_not_called_better(draw: str) -> None:
    """Eight runs from one distribution, five figures each: in at most 5 % of comparisons is any of them ranked."""
    chance = np.random.default_rng(7)
    wrong = 0
    for _ in range(200):
        runs = []
        for _ in range(8):
            values = chance.lognormal(4, 0.4, 1500)
            if draw == "spikes":
                values += 500 * (chance.random(1500) < 0.01)
            spread = distribution(values)
            assert spread is not None
            runs.append([Figure(point.value, point.low, point.high) for point in
                         (spread.p50, spread.p90, spread.p95, spread.p99)])  # fmt: skip
        pairs = [(runs[0][place], run[place]) for run in runs[1:] for place in range(4)]
        adjusted = holm([p for first, other in pairs if (p := _p(first, other)) is not None])
        wrong += any(_rank(*pair, p, smaller=True) != "not told apart" for pair, p in zip(pairs, adjusted, strict=True))
    assert wrong <= 0.05 * 200


@pytest.mark.parametrize("labels", [True, False])
def test_eight_runs_fit_the_screen(first: Report, labels: bool) -> None:
    """A row a figure and a column a run, by its label or its day, in at most 120 characters."""
    reports = []
    for number in range(1, 9):
        run = msgspec.structs.replace(
            first.run,
            id=f"2026030{number}T050607Z-evening-0001",
            began_utc=f"2026-03-0{number}T05:06:07.000000Z",
            labels={"build": f"1.{number}", "host": "a"} if labels else {},
        )
        reports.append(msgspec.structs.replace(first, run=run))
    out = io.StringIO()
    write_text(compare(reports), out)
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 120
    header = next(line for line in lines if line.startswith("  figure "))
    names = [f"{chr(65 + place)} {f'1.{place + 1}' if labels else f'03-0{place + 1}'}" for place in range(8)]
    assert re.split(r"\s{2,}", header.strip()) == ["figure", *names]
    assert len([line for line in lines if line.startswith("  p50 ms ")]) == 6


@pytest.mark.parametrize("count", [9, 20])
def test_more_than_eight_runs_stand_below_each_other(first: Report, count: int) -> None:
    """A row a run and a column a figure, in at most 120 characters; in the charts each run has a row with its letter."""
    comparison = compare(nights(first, count))
    out = io.StringIO()
    write_text(comparison, out)
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 120
    place = lines.index("phase load-2")
    assert re.split(r"\s{2,}", lines[place + 1].strip()) == [
        "run", "p50 ms", "p95 ms", "p99 ms", "good answers/s", "goodput/s", "within SLO", "error rate", "accuracy",
        "tokens/right",
    ]  # fmt: skip
    names = [re.split(r"\s{2,}", line.strip())[0] for line in lines[place + 2 : place + 2 + count]]
    assert names == [f"{letter(number)} 03-{number + 1:02d}" for number in range(count)]
    chart = comparison_charts(comparison, [first] * count)[0]
    rows = [value["row"] for value in chart.spec["data"]["values"]]
    assert rows[:count] == [f"load-2, all  {letter(number)}" for number in range(count)]
    assert len(set(rows)) == len(rows) == 6 * count


def nights(first: Report, count: int) -> list[Report]:
    """The same run on several days."""
    runs = [
        msgspec.structs.replace(
            first.run, id=f"202603{day:02d}T050607Z-evening-0001", began_utc=f"2026-03-{day:02d}T05:06:07.000000Z"
        )
        for day in range(1, count + 1)
    ]
    return [msgspec.structs.replace(first, run=run) for run in runs]


def test_what_speaks_against_a_rank_fits_the_screen_too(first: Report, tmp_path: Path) -> None:
    """A dataset of other rows is told by their number, and by the revision only where that differs."""
    few, other = (
        msgspec.structs.replace(
            first, datasets=tuple(msgspec.structs.replace(one, **changes) for one in first.datasets)
        )
        for changes in ({"rows_used": 1}, {"revision": "sha256:" + "0" * 64})
    )
    out = io.StringIO()
    write_text(compare([first, few, other]), out)
    lines = out.getvalue().splitlines()
    assert "  dataset piqa: 2 rows in A and 1 rows in B" in lines
    assert f"  dataset piqa: 2 rows of {'0' * 19}… in A and 2 rows of sha256:{'0' * 12}… in C" in lines
    assert max(map(len, lines)) <= 120


def test_datasets_have_rows_where_they_are_asked_for(first: Report, tmp_path: Path) -> None:
    """Only the rows of all requests stand there otherwise, and only these count for the correction."""
    other = report_of(tmp_path)
    short, long = compare([first, other]), compare([first, other], datasets=True)
    assert {row.dataset for row in short.rows} == {"all"}
    assert {row.dataset for row in long.rows} == {"all", "piqa", "arc_easy"}
    out = io.StringIO()
    write_text(long, out)
    assert re.search(r"^  p50 ms +piqa ", out.getvalue(), re.MULTILINE)


def test_runs_have_letters() -> None:
    """Beyond Z there are two."""
    assert [letter(place) for place in (0, 25, 26, 701, 702)] == ["A", "Z", "AA", "ZZ", "AAA"]


@pytest.mark.slow
def test_the_command_shows_draws_and_says_by_its_exit_code(tmp_path: Path) -> None:
    """0 where ranked, 5 where not, 2 for a mistake; pictures of an earlier comparison go, other files stay."""
    pytest.importorskip("vl_convert", reason="vl-convert-python draws the charts")
    one, two, three = (
        make_run(
            tmp_path,
            [answered(9 * place, latency) for place in range(100)],
            run_id=f"20260304T050607Z-made-000{number}",
            kind=kind,
            machine=MACHINE,
        )
        for number, (latency, kind) in enumerate([(62, "runtime"), (75, "runtime"), (62, "simulated")])
    )
    charts = tmp_path / "comparison_charts"
    charts.mkdir()
    (charts / "mine.svg").write_text("mine")
    done = run_command("compare", str(one.path), str(two.path), "--format", "json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (ExitCode.PASSED, "")
    assert json.loads(done.stdout)["comparable"] is True
    drawn = {path.name for path in charts.iterdir()}
    assert {"response-latency-p95.svg", "response-latency-p95.png", "decomposition.svg", "mine.svg"} <= drawn
    picture = (charts / "good-answers.svg").read_text()
    assert "var(" not in picture
    listed = json.loads((charts / "comparison.json").read_text())
    assert set(listed["charts"]) | {"comparison.json", "mine.svg"} == drawn
    listed["charts"].append("gone.svg")
    (charts / "comparison.json").write_text(json.dumps(listed))
    (charts / "gone.svg").write_text("of an earlier comparison")
    done = call_command("compare", str(one.path), str(three.path), cwd=tmp_path)
    assert done.returncode == ExitCode.INVALID
    assert "NOT COMPARABLE, and so not ranked:\n  target kind: runtime in A and simulated in B\n" in done.stdout
    assert not (charts / "gone.svg").exists()
    assert (charts / "mine.svg").exists()
    assert "NOT COMPARABLE" in (charts / "good-answers.svg").read_text()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["RUN"], "compare: one run is nothing to compare; name two or more folders of results/runs/."),
        (["RUN", "RUN"], "is named twice."),
        (["RUN", "nowhere"], "nowhere is not a run's folder: it holds no run.json."),
    ],
)
def test_what_cannot_be_compared_is_a_sentence(tmp_path: Path, arguments: list[str], sentence: str) -> None:
    """Exit code 2, one sentence, no traceback."""
    folder = make_rich_run(tmp_path)
    done = call_command("compare", *(str(folder.path) if word == "RUN" else word for word in arguments), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (ExitCode.USAGE, "")
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_folder_of_runs_is_compared_by_its_newest_scenario(tmp_path: Path) -> None:
    """Other scenarios and gates are counted and left out; a gate that is named is refused."""
    results = tmp_path / "results"
    gate = make_gate(results, lambda _: one_user(60), lambda _: one_user(60), pairs=2)
    other = {"name": "another", "phases": [{"name": "closed", "users": 1}]}
    make_run(results, [answered(0, 60)], run_id="20260304T050607Z-another-0001", scenario=other)
    runs = [make_run(results, [answered(0, 60)], run_id=f"20260304T050607Z-made-000{n}") for n in (1, 2)]
    shown = call_command("compare", str(results), "--format", "json", cwd=tmp_path)
    assert shown.stderr.startswith(
        "aether-load: compared are the runs of made; left out: 1 of a gate, 1 of another.\n"
    ), shown.stderr
    assert [run["id"] for run in json.loads(shown.stdout)["runs"]] == [run.path.name for run in runs]
    refused = call_command("compare", str(runs[0].path), str(gate.path), cwd=tmp_path)
    assert refused.returncode == 2
    assert f"{gate.path} is a gate's run: read it with aether-load report." in refused.stderr
