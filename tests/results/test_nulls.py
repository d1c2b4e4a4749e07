"""Absent is null with a reason beside it, never 0."""

from pathlib import Path
from typing import Any

import json

import pytest

from aether_load.outputs.formats import formatted
from aether_load.analysis.report import build_report
from aether_load.protocol import Outcome
from folders import answered, failed, make_run
from rich_run import SCENARIO, make_rich_run

# Null is a value of its own here: a bound that the reliability beside it explains, a setting, a step without an
# answer, what only some kinds of phase have.
_SAYS_ITSELF = {
    "low", "high", "stddev", "le_ms", "server", "config", "split", "phase", "repeat", "joined_in", "search",
    "target_rps", "program", "function", "source", "ended_the_run", "ended_by", "ended_utc", "tail_share", "variance_share", "time_ms", "mean_share",
    "error", "began_ms",
}  # fmt: skip
_SKIPPED = {"scenario", "series", "lines", "environment"}


def unexplained(value: Any, path: str = "report") -> list[Any]:
    """The nulls that no reason stands beside."""
    if isinstance(value, list):
        return [found for place, item in enumerate(value) for found in unexplained(item, f"{path}[{place}]")]
    if not isinstance(value, dict):
        return []
    found = []
    for key, item in value.items():
        if key in _SKIPPED:
            continue
        if item is None:
            beside = value.get("reasons", {}).get(key) or value.get(f"{key.removesuffix('_load')}_reason")
            if not (beside or value.get("reason") or key in _SAYS_ITSELF or key.endswith("reason")):
                found.append(f"{path}.{key}")
        else:
            found += unexplained(item, f"{path}.{key}")
    return found


@pytest.mark.parametrize("kind", ["rich", "crashed", "nothing", "all failed", "no metrics"])
def test_every_null_has_its_reason(tmp_path: Path, kind: str) -> None:
    """In whole reports of runs good and bad, each null is explained by its name or by what stands beside it."""
    if kind in {"rich", "crashed"}:
        asked = ["p(95)<1", "accuracy>0", "later:max<1", "steadiness.cut_s<1", "server.node_time_p50_ms<9"]
        scenario = SCENARIO | {"thresholds": [{"condition": condition} for condition in asked]}
        folder = make_rich_run(tmp_path, ended_as="completed" if kind == "rich" else "running", scenario=scenario)
    elif kind == "nothing":
        folder = make_run(tmp_path, [])
    elif kind == "all failed":
        folder = make_run(tmp_path, [failed(1, 400, Outcome.TIMEOUT)])
    else:
        folder = make_run(tmp_path, [answered(0, 62)], readings=[None, None])
    assert unexplained(json.loads(formatted(build_report(folder), "json"))) == []


def test_a_null_without_a_reason_is_found(tmp_path: Path) -> None:
    """The test above can fail: a report whose reasons are taken away is full of nulls that nothing explains."""
    plain = json.loads(formatted(build_report(make_run(tmp_path, [])), "json"))
    plain["phases"][0]["all"]["reasons"] = {}
    assert "report.phases[0].all.accuracy" in unexplained(plain)
    assert len(unexplained(plain)) > 10


def test_a_figure_that_was_not_measured_is_an_empty_field(tmp_path: Path) -> None:
    """In the table as in the JSON there is no 0 in its place."""
    text = formatted(build_report(make_run(tmp_path, [failed(1, 400, Outcome.TIMEOUT)])), "csv")
    header, first, _ = text.splitlines()
    row = dict(zip(header.split(","), first.split(","), strict=True))
    for key in ("accuracy", "goodput_rps", "tokens_per_s", "tokens_total", "server_time_share"):
        assert row[key] == ""
