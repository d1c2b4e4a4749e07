"""`aether-load trend`: histories out of stored runs, what is judged, and what is written."""

import json
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest

from aether_load.compare.trend.metrics import METRICS, better
from aether_load.compare.trend.text import steps_of
from aether_load.compare.trend.trend import Terms, build_trend
from aether_load.outputs.summary import SUMMARY_COLUMNS
from processes import call_command
from trend_results import MACHINE, commit, night, write_nights

NOISE = 1 + 0.05 * np.random.default_rng(5).standard_normal(60)
SETTINGS = {
    "time", "commit", "branch", "run_id", "labels", "scenario", "phase", "dataset", "target_kind", "generation",
    "program", "program_hash", "compiler_version", "machine", "users", "load_unit", "target_load", "window_s",
    "phase_trust", "run_exit_code",
}  # fmt: skip


def nights(step: Any = 40, size: float = 1.25, count: int = 46, **more: int | str) -> list[dict[str, Any]]:
    """Rows of many nights, a step of `size` before the night `step`."""
    return [night(place, float(80 * NOISE[place] * (size if place >= step else 1)), **more) for place in range(count)]


def trend(folder: Path, *options: str) -> CompletedProcess[str]:
    return call_command("trend", str(folder), *options, cwd=folder)


def test_a_change_lies_between_two_commits(tmp_path: Path) -> None:
    """With its size, its interval, and the runs since."""
    found = build_trend(write_nights(tmp_path, nights()), METRICS)
    (searched,) = found.histories
    (change,) = searched.changes
    runs = found.runs
    assert (runs[change.last_before].commit, runs[change.first_after].commit) == (commit(39), commit(40))
    assert (change.kind, change.runs_since) == ("loss", 6)
    assert change.ratio_low is not None
    assert change.ratio_high is not None
    assert change.ratio_low < 1.25 < change.ratio_high
    assert change.ratio is not None
    assert change.ratio_low < change.ratio < change.ratio_high
    (regression,) = found.regressions
    assert regression.sentence.startswith(
        f"response_latency_p95_ms of nightly/closed/all/runtime-v2 changed by {100 * (change.ratio - 1):+.1f} % ["
    )
    assert regression.sentence.endswith("between 0039aaaa (2026-04-12) and 0040aaaa (2026-04-13)")


@pytest.mark.parametrize(
    ("rows", "options", "code"),
    [
        (nights(), (), 0),
        (nights(), ("--fail-on-regression",), 4),
        (nights(), ("--fail-on-regression", "--last-runs", "5"), 0),
        (nights(), ("--fail-on-regression", "--margin", "0.5"), 0),
        (nights(), ("--fail-on-regression", "--metric", "response_latency_p95_ms"), 4),
        (nights(size=0.8), ("--fail-on-regression",), 0),
        (nights(size=1.0), ("--fail-on-regression",), 0),
        (nights(count=9), ("--fail-on-regression",), 5),
        (nights(count=9), (), 5),
        (nights(run_exit_code=5), (), 5),
        (nights(response_latency_p95_reliability="unreliable"), (), 5),
    ],
    ids=[
        "shown", "a loss", "too long ago", "within the margin", "the metric named", "a gain", "no change", "too few",
        "too few, not to fail", "runs that are not trusted", "percentiles that are only bounded",
    ],
)  # fmt: skip
def test_the_exit_code_says_what_was_found(
    tmp_path: Path, rows: list[dict[str, Any]], options: tuple[str, ...], code: int
) -> None:
    assert trend(write_nights(tmp_path, rows), *options).returncode == code


def test_only_the_newest_change_is_judged(tmp_path: Path) -> None:
    """A loss that was mended is no regression, though both lie within the last runs."""
    rows = nights(step=30, count=44)
    rows[37:] = nights(size=1.0, count=44)[37:]
    found = build_trend(write_nights(tmp_path, rows), METRICS, Terms(last_runs=20))
    assert [change.kind for change in found.histories[0].changes] == ["loss", "gain"]
    assert found.regressions == ()


def test_machines_are_marked_and_not_mixed(tmp_path: Path) -> None:
    """A faster machine for a fortnight is a history of its own, not a change; it is named."""
    rows = nights(size=1.0, count=46)
    for place in range(20, 34):
        rows[place] = night(place, float(40 * NOISE[place]), machine="M2, 12 cores, 64 GiB")
    found = build_trend(write_nights(tmp_path, rows), METRICS)
    assert {one.history.machine: (len(one.history.runs), one.changes, one.reason) for one in found.histories} == {
        MACHINE: (32, (), None),
        "M2, 12 cores, 64 GiB": (14, (), None),
    }
    said = trend(tmp_path).stdout
    assert f"2 machines, whose histories are not mixed: {MACHINE} (32 runs); M2, 12 cores, 64 GiB (14 runs)." in said


def test_runs_that_are_not_to_be_trusted_are_shown_and_not_searched(tmp_path: Path) -> None:
    """Six nights cut off at a quarter more are no change."""
    rows = nights()
    for row in rows[40:]:
        row["run_exit_code"] = 130
    found = build_trend(write_nights(tmp_path, rows), METRICS)
    (searched,) = found.histories
    assert len(searched.history.values) == 46
    assert sum(searched.history.used) == 40
    assert searched.changes == ()
    assert "6 runs were invalid, undecided or cut off: shown, and not searched." in trend(tmp_path).stdout


def test_series_are_told_apart(tmp_path: Path) -> None:
    """By scenario, phase, dataset and kind of target; each has its own histories."""
    other: dict[str, Any] = {"branch": "nightly/closed/piqa/runtime-v2", "dataset": "piqa"}
    rows = [row for pair in zip(nights(size=1.0), nights(**other), strict=True) for row in pair]
    found = build_trend(write_nights(tmp_path, rows), METRICS)
    assert {one.history.series: len(one.changes) for one in found.histories} == {
        "nightly/closed/all/runtime-v2": 0,
        "nightly/closed/piqa/runtime-v2": 1,
    }


def test_figures_that_moved_together_are_one_row_of_the_terminal() -> None:
    """A step of one night moves many figures of a series; a gain beside a loss, or another night, is another row."""
    before, after = "00000011 (2026-03-15)", "00000012 (2026-03-16)"
    loss = ("loss", before, after, "8")
    rows = [
        ("s/a", "p50", "+20.0 %", *loss), ("s/a", "p95", "+21.0 %", *loss), ("s/a", "p99", "+22.0 %", *loss),
        ("s/a", "rate", "+5.0 %", "gain", before, after, "8"), ("s/b", "p50", "+20.0 %", *loss),
    ]  # fmt: skip
    assert steps_of(rows) == [("s/a", "p50, 2 more", "+20.0 %", *loss), rows[3], rows[4]]


def test_it_is_written_as_text_markdown_and_json(tmp_path: Path) -> None:
    """The same change points everywhere; the files lie in the folder."""
    write_nights(tmp_path, nights())
    text = trend(tmp_path).stdout
    markdown = trend(tmp_path, "--format", "markdown").stdout
    plain = trend(tmp_path, "--format", "json").stdout
    assert (tmp_path / "trend.md").read_text() == markdown
    assert (tmp_path / "trend.json").read_text() == plain
    (history,) = json.loads(plain)["histories"]
    (change,) = history["changes"]
    size = f"{100 * (change['ratio'] - 1):+.1f} %"
    assert text.count(size) == markdown.count(size) == 2
    assert "46 runs from 2026-03-04 to 2026-04-18; 1 of 1 histories have the 10 runs that a search needs." in text
    assert max(map(len, text.splitlines()[:-1])) <= 120


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--metric", "p95"), "--metric p95: summary.csv has no such metric; there are achieved_load"),
        (("--margin", "-1"), "--margin -1.0: a margin is a share of 0 or more, like 0.05."),
        (("--margin", "nan"), "--margin nan: a margin is a share of 0 or more, like 0.05."),
        (("--last-runs", "0"), "--last-runs 0: at least 1 run is looked at."),
    ],
)
def test_a_wrong_option_is_one_sentence(tmp_path: Path, options: tuple[str, str], sentence: str) -> None:
    ended = trend(write_nights(tmp_path, nights(count=3)), *options)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert sentence in ended.stderr


def test_a_folder_without_runs_is_one_sentence(tmp_path: Path) -> None:
    ended = trend(tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "holds no runs" in ended.stderr


def test_every_column_of_the_summary_is_a_metric_or_known_to_be_none() -> None:
    """A new column is followed, unless it is one of what the run was, or a bound of another."""
    bounds = {
        name for name in SUMMARY_COLUMNS if name.endswith(("_reliability", "_low_ms", "_high_ms", "_low", "_high"))
    }
    assert set(SUMMARY_COLUMNS) - set(METRICS) == SETTINGS | (bounds - {"phase_server_node_mean_low_ms"})
    assert {better(name) for name in METRICS} == {"higher", "lower", "neither"}


@pytest.mark.parametrize(
    ("lacking", "more", "code"),
    [
        (4, {}, 5),  # 8 of 12 runs have a figure
        (12, {}, 5),
        (2, {}, 0),  # 10 have one
        (4, {"response_latency_p95_low_ms": "", "response_latency_p95_high_ms": ""}, 0),  # it was not measured then
        (0, {"response_latency_p95_reliability": "unreliable"}, 0),  # no run can bound it, so that none is late
    ],
)
def test_a_judged_figure_that_is_an_interval_in_too_many_runs_does_not_pass(
    tmp_path: Path, lacking: int, more: dict[str, Any], code: int
) -> None:
    """A change in it would not be found; a run without --fail-on-regression says so and passes."""
    absent = {"response_latency_p95_ms": ""} if lacking else {}
    rows = [
        night(place, 80.0, ok_throughput_rps=100.0 + place % 3) | (absent | more if place < (lacking or 12) else {})
        for place in range(12)
    ]
    results = write_nights(tmp_path, rows)
    plain = trend(results)
    said = (
        f"response_latency_p95_ms of nightly/closed/all/runtime-v2 was not searched: {12 - lacking} runs have it, "
        f"{lacking} know it as an interval only (sender_stalled), and 10 are needed."
    )
    assert (said in " ".join(plain.stdout.split())) is bool(code)
    assert (plain.returncode, trend(results, "--fail-on-regression").returncode) == (0, code)
