"""The table of all benchmarks: what is read of each, what it is compared with, and what a failure costs."""

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from processes import REPOSITORY

FOLDER = REPOSITORY / "benchmarks"
ABOUT = {"machine": {"cpu": "a processor"}, "quick": True, "utc": "2026-03-04T05:06:07+00:00", "load_average": [0.5]}


@pytest.fixture(scope="module")
def every() -> Iterator[ModuleType]:
    sys.path.insert(0, str(FOLDER))
    specification = importlib.util.spec_from_file_location("all_benchmarks", FOLDER / "all.py")
    assert specification is not None
    module = importlib.util.module_from_spec(specification)
    assert specification.loader is not None
    specification.loader.exec_module(module)
    yield module
    sys.path.remove(str(FOLDER))


def test_every_benchmark_that_writes_figures_is_in_it(every: ModuleType) -> None:
    """Those that take hours, or measure what others do too, are named here."""
    own = {"all", "cpu_hog", "gate_power", "pauses", "soak"}
    assert {benchmark.name for benchmark in every.BENCHMARKS} == {path.stem for path in FOLDER.glob("*.py")} - own


def test_the_tail_is_the_median_of_each_clients_rounds(every: ModuleType) -> None:
    turns = [{"p50_ms": 10.0, "p99_ms": value, "cpu_us": None} for value in (12.0, 19.0, 13.0)]
    found = {"loads": [{"rate_rps": 1000, "is_open": False, "turns": {"hey": turns}}]}
    assert [(*figure.key("tail"), figure.value) for figure in every._tail(found)] == [
        ("tail", "closed 1000/s", "hey", "p50", "ms", 10.0),
        ("tail", "closed 1000/s", "hey", "p99", "ms", 13.0),
    ]


def test_the_last_table_of_the_same_machine_and_kind_is_taken(every: ModuleType, tmp_path: Path) -> None:
    history = tmp_path / "history.jsonl"
    assert every.last_table(history, ABOUT) is None
    tables = [
        {"about": ABOUT, "figures": [1]}, {"about": ABOUT, "figures": [2]},
        {"about": ABOUT | {"quick": False}, "figures": [3]}, {"about": ABOUT | {"machine": {}}, "figures": [4]},
    ]  # fmt: skip
    history.write_text("".join(json.dumps(table) + "\n" for table in tables))
    assert every.last_table(history, ABOUT)["figures"] == [2]


def test_a_figure_is_better_or_worse_beyond_noise_only(every: ModuleType) -> None:
    compared = sys.modules["support.table"].compared
    latency = every.Figure("closed", "ours", "p99", 15.0, "ms")
    rate = every.Figure("closed", "ours", "rate", 15_000, "/s", more_is_better=True)
    assert [compared(latency, before) for before in (None, 0, 14.0, 10.0, 30.0)] == [
        "", "was 0", "x1.07", "x1.50 worse", "x0.50 better",
    ]  # fmt: skip
    assert compared(rate, 10_000) == "x1.50 better"


def test_a_benchmark_that_fails_is_named(
    every: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And costs the others nothing; the exit code is 1."""
    (tmp_path / "good.py").write_text("import sys; open(sys.argv[-1], 'w').write('{}')")
    (tmp_path / "bad.py").write_text("raise SystemExit('bad.py: no server')")
    (tmp_path / "odd.py").write_text("import sys; open(sys.argv[-1], 'w').write('{}')")
    figure = every.Figure("load", "ours", "rate", 3.0, "/s")
    benchmarks = (
        every.Benchmark("bad", (), lambda _found: iter(())),
        every.Benchmark("odd", (), lambda found: iter([found["rows"]])),
        every.Benchmark("good", (), lambda _found: iter([figure])),
    )
    monkeypatch.setattr(every, "HERE", tmp_path)
    monkeypatch.setattr(every, "BENCHMARKS", benchmarks)
    monkeypatch.setattr(
        sys, "argv", ["all.py", "--quick", "--history", str(tmp_path / "h"), "--page", str(tmp_path / "p")]
    )
    assert every.main() == 1
    kept = json.loads((tmp_path / "h").read_text())
    assert kept["figures"] == [{"key": ["good", "load", "ours", "rate", "/s"], "value": 3.0}]
    assert kept["failed"] == {
        "bad": "exit code 1: bad.py: no server", "odd": "its figures are not as expected: KeyError('rows')",
    }  # fmt: skip
    page = (tmp_path / "p").read_text()
    assert "| good | load | ours | rate | 3 /s |" in page
    assert "bad gave no figures: exit code 1: bad.py: no server." in page
    assert "good: done" in capsys.readouterr().out
