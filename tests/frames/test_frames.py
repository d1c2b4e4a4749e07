"""A run as DataFrames: every value beside a folder whose truth is known."""

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import aether_load
from aether_load.analysis.latency.decomposition import parts_of
from aether_load.frames.run import Run
from aether_load.frames.samples import NODE_COLUMNS, SAMPLE_COLUMNS
from aether_load.frames.scrapes import SCRAPE_COLUMNS
from aether_load.frames.series import SERIES_COLUMNS
from aether_load.frames.slowest import SLOWEST_COLUMNS
from aether_load.frames.summary import DATASET_COLUMNS, PHASE_COLUMNS
from aether_load.protocol import NodeShape, NodeState, Outcome
from folders import BEGAN_NS, MS, answered, dropped, failed, make_run
from gate_folders import make_gate, one_user
from rich_run import make_rich_run

ID = bytes(range(16))
DAG = (NodeShape("draft"), NodeShape("check"), NodeShape("answer", ("draft", "check")))
REQUESTS = [
    answered(0, 100, 90, nodes=(40, 30, 45), levels=(41, 46), state=0, correct=1, execution_id=ID),
    answered(10, 50, 45, due_ms=5, nodes=(40, NodeState.FAILED, NodeState.SKIPPED), outcome=Outcome.NODE_ERROR),
    failed(20, 500, Outcome.TIMEOUT, error="no answer within 0.5 s"),
    dropped(30),
    answered(1500, 20, 10, nodes=(4, 3, 5)),
]
METHODS = {
    "samples": SAMPLE_COLUMNS,
    "nodes": NODE_COLUMNS,
    "slowest": SLOWEST_COLUMNS,
    "phases": PHASE_COLUMNS,
    "datasets": DATASET_COLUMNS,
    "series": SERIES_COLUMNS,
    "scrapes": SCRAPE_COLUMNS,
}


def at(ms: int) -> pd.Timestamp:
    return pd.Timestamp("2026-03-04T05:06:07Z") + pd.Timedelta(milliseconds=ms)


def values(frame: pd.DataFrame, *names: str) -> list[Any]:
    """Return the rows of some columns, None for what is absent."""
    return [tuple(None if pd.isna(value) else value for value in row) for row in frame[list(names)].to_numpy(object)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return aether_load.open_run(make_run(tmp_path_factory.mktemp("made"), REQUESTS, nodes=DAG).path)


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return aether_load.open_run(make_rich_run(tmp_path_factory.mktemp("rich")).path)


def test_a_sample_is_a_row(made: Run) -> None:
    """Every request, in the order of the records; what was not measured is absent, never 0 or -1."""
    samples = made.samples()
    assert values(samples, "phase", "request_index", "prompt_id", "dataset", "in_window", "outcome", "http_status") == [
        ("closed", 0, "piqa/0", "piqa", True, "ok", 200),
        ("closed", 1, "piqa/1", "piqa", True, "node_error", 200),
        ("closed", 2, "piqa/0", "piqa", True, "timeout", None),
        ("closed", 3, "piqa/1", "piqa", True, "dropped", None),
        ("closed", 4, "piqa/0", "piqa", False, "ok", 200),
    ]
    assert values(samples, "due_utc", "sent_utc", "ended_utc")[:4] == [
        (at(0), at(0), at(100)),
        (at(5), at(10), at(60)),
        (at(20), at(20), at(520)),
        (at(30), None, None),
    ]
    assert values(samples, "due_ns", "sent_ns", "ended_ns", "service_latency_us", "response_latency_us")[1:4] == [
        (BEGAN_NS + 5 * MS, BEGAN_NS + 10 * MS, BEGAN_NS + 60 * MS, 50_000, 55_000),
        (BEGAN_NS + 20 * MS, BEGAN_NS + 20 * MS, BEGAN_NS + 520 * MS, 500_000, 500_000),
        (BEGAN_NS + 30 * MS, None, None, None, None),
    ]
    assert values(samples, "server_total_ms", "tokens_total", "answer_state", "correct", "execution_id", "error")[
        :3
    ] == [
        (90, 21, "answered", True, "00010203-0405-0607-0809-0a0b0c0d0e0f", None),
        (45, 7, None, None, None, None),
        (None, None, None, None, None, "no answer within 0.5 s"),
    ]


def test_a_node_is_a_row(made: Run) -> None:
    """With its level, and its level's time where the answer has it."""
    assert values(made.nodes(), "request_index", "node", "level", "state", "time_ms", "level_time_ms")[:6] == [
        (0, "draft", 0, "succeeded", 40, 41),
        (0, "check", 0, "succeeded", 30, 41),
        (0, "answer", 1, "succeeded", 45, 46),
        (1, "draft", 0, "succeeded", 40, None),
        (1, "check", 0, "failed", None, None),
        (1, "answer", 1, "skipped", None, None),
    ]


def test_the_slowest_requests_are_explained(made: Run) -> None:
    """Of those due in the window and sent; each has its own parts, which add up."""
    slowest = made.slowest(2)
    names = [name for name in SLOWEST_COLUMNS if name.endswith("_ms") and name != "slowest_node_ms"]
    assert values(slowest, "request_index", "largest_part", "slowest_node", "slowest_node_ms", *names) == [
        (2, "no readable answer", None, None, 500.0, 0, 0, 0, 0, 0, 0, 0, 500.0),
        (0, "node path", "answer", 45, 100.0, 0, 0, 10.0, 5.0, 0, 85.0, 0, 0),
    ]
    assert len(made.slowest(100)) == 3


def test_parts_of_requests_are_those_of_the_report(rich: Run) -> None:
    """The mean over all requests of a phase is the report's decomposition, part by part."""
    every = rich.slowest(10**9)
    for phase in rich.report.phases:
        own = every[every["phase"] == phase.name]
        assert len(own) == phase.decomposition.requests_total
        for name, part in parts_of(phase.decomposition):
            assert math.isclose(own[f"{name}_ms"].mean(), part.mean_contribution_ms, abs_tol=2e-6), name


def test_frames_hold_the_figures_of_the_report(rich: Run) -> None:
    """Percentiles of samples, counts of the series, rows of phases and datasets are those of the report."""
    samples, series = rich.samples(), rich.series()
    phases, datasets = rich.phases().set_index("phase"), rich.datasets()
    assert len(datasets) == 2 * len(phases)
    for phase in rich.report.phases:
        own = samples[(samples["phase"] == phase.name) & samples["in_window"]]
        took_ms = np.sort(own["response_latency_us"].dropna().to_numpy(np.int64)) / 1000
        assert phase.all.response_latency_ms is not None
        assert took_ms[math.ceil(0.95 * len(took_ms)) - 1] == phase.all.response_latency_ms.p95.value
        assert phases.loc[phase.name, "requests_total"] == len(own) == phase.all.requests_total
        assert phases.loc[phase.name, "response_latency_p95_ms"] == phase.all.response_latency_ms.p95.value
        sent = samples[(samples["phase"] == phase.name) & samples["sent_ns"].notna()]
        assert series.loc[series["phase"] == phase.name, "requests_sent_total"].sum() == len(sent)


def test_a_bucket_of_a_scrape_is_a_row(tmp_path: Path) -> None:
    """Counters, cumulative buckets, sum and count; a reading that cannot be read is a row with its error."""
    run = aether_load.open_run(make_run(tmp_path, [answered(0, 100)], readings=[None, "nonsense", None]).path)
    assert values(run.scrapes(), "role", "metric", "value", "error") == [
        ("before", None, None, "no answer"),
        ("during", None, None, "none of the runtime's metrics is there"),
        ("after", None, None, "no answer"),
    ]
    run = aether_load.open_run(make_run(tmp_path / "b", [answered(0, 100, 60)]).path)
    after = run.scrapes().query("role == 'after'")
    assert values(after, "metric", "le_s", "value") == [
        ("aether_executed_nodes_total", None, 4),
        ("aether_token_cost_total", None, 28),
        ("aether_errors_total", None, 0),
        ("aether_cache_hits_total", None, 0),
        ("aether_cache_misses_total", None, 4),
        *(
            ("aether_execution_time_seconds_bucket", le_s, count)
            for le_s, count in zip(
                [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, math.inf], [3] * 4 + [4] * 8, strict=True
            )
        ),
        ("aether_execution_time_seconds_sum", None, 0.069),
        ("aether_execution_time_seconds_count", None, 4),
    ]


@pytest.mark.parametrize("method", METHODS)
def test_columns_are_the_documented_ones_with_types(rich: Run, method: str, tmp_path: Path) -> None:
    """No column is of Python objects, also where there is not one row."""
    frame = getattr(rich, method)()
    empty = aether_load.open_run(make_run(tmp_path, [], run_id=f"empty-{method}").path)
    bare = getattr(empty, method)()
    assert list(frame) == list(bare) == list(METHODS[method])
    kinds = {name: "category" if str(kind) == "category" else str(kind) for name, kind in frame.dtypes.items()}
    assert "object" not in kinds.values()
    assert {name: "category" if str(kind) == "category" else str(kind) for name, kind in bare.dtypes.items()} == kinds


def test_a_run_that_is_whole_opens_without_a_warning(rich: Run, made: Run) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", aether_load.RunDataWarning)
        for run in (rich, made):
            again = aether_load.open_run(run.folder)
            for method in METHODS:
                getattr(again, method)()


def damaged(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def many(count: int) -> list[dict[str, Any]]:
    return [answered(3 * place, 62) for place in range(count)]


def test_a_run_that_is_still_written_opens_as_far_as_it_is(tmp_path: Path) -> None:
    """What is whole is there; the open window has no end yet, and a warning says so."""
    folder = make_run(tmp_path, many(300), ended_as="running", window_ms=(100, None))
    with (folder.path / "records.bin").open("ab") as file:
        file.write(b"BLK\n half")
    with pytest.warns(aether_load.RunDataWarning, match="the run is still being written, or it crashed"):
        run = aether_load.open_run(folder.path)
    with pytest.warns(aether_load.RunDataWarning, match=r"the end of records.bin is missing or cut off"):
        samples = run.samples()
    assert (len(samples), samples["in_window"].sum()) == (300, 266)
    assert run.report.run.ended_as == "running"
    assert values(run.phases(), "window_began_utc", "window_ended_utc", "ended_utc") == [(at(100), None, None)]


def test_a_run_that_has_just_begun_opens(tmp_path: Path) -> None:
    """No record and no reading yet: every frame is there, without a row of them."""
    folder = make_run(tmp_path, [], ended_as="running", window_ms=(0, None))
    for name in ("records.bin", "scrapes.jsonl", "sender.jsonl", "server.jsonl"):
        (folder.path / name).unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", aether_load.RunDataWarning)
        run = aether_load.open_run(folder.path)
        assert [len(getattr(run, name)()) for name in ("samples", "nodes", "slowest", "scrapes")] == [0, 0, 0, 0]
        assert len(run.phases()) == 1


def test_a_damaged_run_opens_with_what_is_sound(tmp_path: Path) -> None:
    """Damaged blocks and lines are left out, and each warning names them."""
    folder = make_run(tmp_path, many(1000))
    damaged(folder.path / "records.bin")
    damaged(folder.path / "scrapes.jsonl")
    run = aether_load.open_run(folder.path)
    with pytest.warns(aether_load.RunDataWarning, match=r"rows \d+ to \d+ not as they were written"):
        samples = run.samples()
    assert 400 < len(samples) < 1000
    with pytest.warns(aether_load.RunDataWarning, match="damaged line"):
        scrapes = run.scrapes()
    assert len(set(scrapes["role"])) == 1
    with pytest.warns(aether_load.RunDataWarning) as caught:
        assert run.report.verdict.exit_code == 5
    assert len(caught) == 2


def test_what_is_no_run_is_one_sentence(tmp_path: Path) -> None:
    """No folder: UsageError. A run.json that is not as it was written: ResultsError."""
    with pytest.raises(aether_load.UsageError, match=r"holds no run\.json"):
        aether_load.open_run(tmp_path)
    folder = make_run(tmp_path, [])
    damaged(folder.path / "run.json")
    with pytest.raises(aether_load.ResultsError, match="its checksum is wrong"):
        aether_load.open_run(folder.path)


def test_a_gate_has_samples_and_no_report(tmp_path: Path) -> None:
    run = aether_load.open_run(make_gate(tmp_path, lambda _: one_user(50), lambda _: one_user(60), pairs=2).path)
    assert len(run.samples()) > 20
    assert len(run.nodes()) == len(run.samples())
    with pytest.raises(aether_load.UsageError, match=r"has gate\.json in place of a report"):
        _ = run.report
