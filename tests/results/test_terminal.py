"""The summary on one screen: what stands where, how much of it there is, and its colours."""

from aether_load.analysis.report import Report
from typing import Any

import io
import re
from pathlib import Path

import msgspec
import pytest

from aether_load.analysis.phase.repeats import RepeatComparison
from aether_load.analysis.report import build_report
from aether_load.analysis.verdict.warnings import warn
from aether_load.outputs.terminal import write_summary
from aether_load.scenario.warning_codes import MEANINGS, WarningCode
from golden import assert_golden
from rich_run import SCENARIO, make_rich_run

FILES = ["run", "nightly_2026-03-04.json", "summary.csv", "run/report.html"]


class Terminal(io.StringIO):
    """A terminal of a width."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Report:
    conditions = ("load:request_throughput_rps>50", "open:steadiness.cut_s<5", "p(50)<500")
    scenario = SCENARIO | {"labels": {"build": "1.2"}, "thresholds": [{"condition": text} for text in conditions]}
    return build_report(make_rich_run(tmp_path_factory.mktemp("rich"), scenario=scenario))


def shown(report: Report, width: int = 100, **options: Any) -> str:
    out = io.StringIO()
    write_summary(report, [Path("results") / name for name in FILES], out, width=width, **options)
    return out.getvalue()


@pytest.mark.parametrize("width", [80, 120])
def test_the_whole_screen(rich: Report, width: int) -> None:
    """The answer, a row a phase, a line a warning, the files."""
    assert_golden(f"terminal_{width}.txt", shown(rich, width))


def crowded(report: Report, phases: int, *, wordy: bool) -> Report:
    """Return the report with so many phases, and with everything else that a summary names, in plenty."""
    name = "a phase with quite a long name " if wordy else "load"
    many = [msgspec.structs.replace(report.phases[0], name=f"{name}-{place}") for place in range(phases)]
    sentence = "a reason that takes some words to be told, " * (8 if wordy else 1)
    pairs = [
        RepeatComparison(
            base=f"a{place}", other="b", metric="ok_throughput_rps", pairs_total=6, ratio_median=1.0, ratio_low=0.9,
            ratio_high=1.1, reason=None,
        )
        for place in range(30)
    ]  # fmt: skip
    return msgspec.structs.replace(
        report,
        phases=tuple(many),
        warnings=tuple(warn(code, phase.name, "so") for code in WarningCode for phase in many),
        verdict=msgspec.structs.replace(report.verdict, reasons=(sentence,) * 9),
        comparisons=tuple(pairs),
        thresholds=report.thresholds * 20,
    )


@pytest.mark.parametrize("width", [80, 100, 120])
@pytest.mark.parametrize("wordy", [False, True])
@pytest.mark.parametrize(("phases", "most"), [(1, 60), (2, 60), (12, 60), (61, 60), (500, 60)])
def test_any_run_is_one_screen(rich: Report, phases: int, most: int, wordy: bool, width: int) -> None:
    """Never more than 60 lines, none wider than the screen, whatever the run has."""
    lines = shown(crowded(rich, phases, wordy=wordy), width).splitlines()
    assert len(lines) <= most
    assert max(map(len, lines)) <= width


def test_a_run_of_one_phase_is_within_forty_lines(rich: Report) -> None:
    """With datasets, parts of latency, several warnings and thresholds."""
    report = msgspec.structs.replace(rich, phases=rich.phases[:1], warnings=rich.warnings[:6])
    assert len(shown(report, 80).splitlines()) <= 40


def test_what_has_no_room_is_counted(rich: Report) -> None:
    """Phases, thresholds and warnings that are left out are named by their number."""
    text = shown(crowded(rich, 100, wordy=False), 100)
    match = re.search(r"\.\.\. (\d+) more phases \.\.\.", text)
    assert match is not None
    left_out = int(match[1])
    assert len(re.findall(r"^  load-\d+ ", text, re.MULTILINE)) + left_out == 100
    assert f"  and {len(WarningCode) - 12} more kinds of warning" in text
    assert "  and 52 more thresholds" in text


def test_colour_is_for_a_terminal_only(rich: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    """The states are in colour where somebody looks, and nowhere with NO_COLOR."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    files = [Path("results") / name for name in FILES]
    coloured, plain = Terminal(), Terminal()
    write_summary(rich, files, coloured, width=100)
    assert "\x1b[1;31mFAILED\x1b[0m (exit code 1)" in coloured.getvalue()
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured.getvalue()) == shown(rich)
    monkeypatch.setenv("NO_COLOR", "1")
    write_summary(rich, files, plain, width=100)
    assert plain.getvalue() == shown(rich)


def test_every_warning_has_a_meaning_of_half_a_line_and_a_remedy() -> None:
    """A code without one would stand in the summary as a riddle."""
    assert set(MEANINGS) == set(WarningCode)
    assert all(0 < len(one.meaning) <= 50 and one.remedy.endswith(".") for one in MEANINGS.values())
