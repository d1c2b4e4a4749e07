"""A run's folder that is not as it was written: no published number changes in silence."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aether_load.analysis.report import build_report
from aether_load.errors import ResultsError
from aether_load.outputs.results import report_json
from aether_load.protocol import Outcome
from aether_load.rundata.folder import RunFolder
from aether_load.rundata.process_usage import SenderReading, ServerReading
from aether_load.rundata.run_data import read_run
from folders import BEGAN_NS, MS, answered, counted, failed, make_run

REQUESTS = [
    *(answered(3 * place, 62 + place % 20, state=0, correct=place % 2) for place in range(300)),
    failed(900, 30, Outcome.TIMEOUT, error="no answer within 30 s"),
]
FILES = ("run.json", "records.bin", "scrapes.jsonl", "sender.jsonl", "server.jsonl")


def some_run(tmp_path: Path, max_error_rate: float = 0.05, **options: Any) -> RunFolder:
    """A run with something in each file that the analysis reads."""
    scenario = {
        "name": "made",
        "phases": [{"name": "closed", "users": 1, "duration": 1.0}],
        "max_error_rate": max_error_rate,
    }
    times = [60] * 300
    return make_run(
        tmp_path,
        REQUESTS,
        readings=[counted([]), counted(times[:30]), counted(times)],
        reading_at_ms=[-1, 400, 1999],
        sender=[SenderReading(0, BEGAN_NS + 100 * place * MS, 0.02 * place, 9_000_000) for place in range(11)],
        server=[ServerReading(BEGAN_NS + 100 * place * MS, 0.05 * place, 7_000_000, 1, ("a",)) for place in range(11)],
        holds=[(200, 226, 226.5), (700, 726, 727)],
        scenario=scenario,
        **options,
    )


def verdict_of(folder: RunFolder) -> bytes | None:
    """What the folder's report comes to: its JSON, or None where it is invalid because of damage and says so."""
    try:
        report = build_report(folder)
    except ResultsError:
        return None
    damaged = [warning for warning in report.warnings if warning.code == "damaged"]
    if damaged:
        assert (report.verdict.status, report.verdict.exit_code) == ("invalid", 5)
        assert report.verdict.reasons[0] == damaged[0].message.rstrip(".")
        return None
    return report_json(report)


def is_refused(folder: RunFolder) -> bool:
    """Tell whether damage is found, without the time that a report takes."""
    try:
        manifest = folder.read_manifest()
        return bool(read_run(folder, manifest, [0]).damage)
    except ResultsError:
        return True


@pytest.mark.parametrize("ended_as", ["completed", "running"])
def test_no_flipped_bit_changes_a_number_in_silence(tmp_path: Path, ended_as: str) -> None:
    """500 of them over all files: each is found, or the report is the same to the last digit."""
    folder = some_run(tmp_path, ended_as=ended_as)
    before = verdict_of(folder)
    assert before is not None
    chance = random.Random(11)
    unseen = []
    for number in range(250):
        path = folder.path / FILES[number % len(FILES)]
        whole = path.read_bytes()
        flipped = bytearray(whole)
        at = chance.randrange(len(whole))
        flipped[at] ^= 1 << chance.randrange(8)
        path.write_bytes(flipped)
        if not is_refused(folder):
            unseen.append((path.name, at))
            assert verdict_of(folder) == before, unseen
        path.write_bytes(whole)
    assert verdict_of(folder) == before
    assert unseen == []


@pytest.mark.parametrize("name", FILES)
def test_damage_is_exit_5_with_its_place(tmp_path: Path, name: str) -> None:
    """Whatever the rest of the run would have come to."""
    folder = some_run(tmp_path)
    path = folder.path / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert verdict_of(folder) is None


@pytest.mark.parametrize("name", FILES[1:])
@pytest.mark.parametrize("length", [0, 40, -1])
def test_the_cut_off_end_of_a_run_that_ended_in_order_is_damage(tmp_path: Path, name: str, length: int) -> None:
    folder = some_run(tmp_path)
    path = folder.path / name
    path.write_bytes(path.read_bytes()[:length])
    assert verdict_of(folder) is None


@pytest.mark.parametrize("name", FILES[1:])
def test_a_missing_file_of_a_run_that_ended_in_order_is_damage(tmp_path: Path, name: str) -> None:
    folder = some_run(tmp_path)
    (folder.path / name).unlink()
    assert verdict_of(folder) is None


@pytest.mark.parametrize("name", FILES[1:])
def test_the_cut_off_end_of_a_crashed_run_is_a_note(tmp_path: Path, name: str) -> None:
    """All that is whole is reported, and the note names the file."""
    folder = some_run(tmp_path, ended_as="running", window_ms=(0, None))
    path = folder.path / name
    path.write_bytes(path.read_bytes()[:-3])
    report = build_report(folder)
    notes = [warning.message for warning in report.warnings if warning.code == "note"]
    assert notes == [f"The end of {name} is cut off; all that was whole was read."]
    assert "damaged" not in [warning.code for warning in report.warnings]
    assert report.verdict.exit_code == 5


@pytest.mark.parametrize("name", FILES[2:])
def test_a_damaged_line_is_named_by_its_number(tmp_path: Path, name: str) -> None:
    """The lines around it are read."""
    folder = some_run(tmp_path)
    path = folder.path / name
    first, second, *others = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([first, second.replace(b":", b";", 1), *others]))
    data = read_run(folder, folder.read_manifest(), [0])
    assert data.damage == (f"{name} has a damaged line 2: its checksum is wrong",)
    assert sorted((len(data.scrapes), len(data.sender), len(data.server))) == sorted(
        {"scrapes.jsonl": (2, 11, 11)}.get(name, (3, 10, 11))
    )


@pytest.mark.parametrize("change", [lambda lines: lines[:-1], lambda lines: [*lines, lines[-1]]])
def test_lines_that_are_missing_or_repeated_are_damage(tmp_path: Path, change: Callable[..., Any]) -> None:
    """A line that is whole in itself, too."""
    folder = some_run(tmp_path)
    lines = folder.sender.read_bytes().splitlines(keepends=True)
    changed = change(lines)
    folder.sender.write_bytes(b"".join(changed))
    data = read_run(folder, folder.read_manifest(), [0])
    assert data.damage == (f"sender.jsonl has {len(changed)} lines, and had 11 when the run ended",)


def test_a_damaged_run_is_no_failed_one(tmp_path: Path) -> None:
    """What would have failed with all its rows whole may have been right: the damage decides, and both are said."""
    folder = some_run(tmp_path, max_error_rate=0.0)
    assert build_report(folder).verdict.exit_code == 1
    content = bytearray(folder.sender.read_bytes())
    content[9] ^= 1
    folder.sender.write_bytes(content)
    report = build_report(folder)
    assert (report.verdict.status, report.verdict.exit_code) == ("invalid", 5)
    assert [reason.split(":")[0] for reason in report.verdict.reasons][:2] == [
        "sender.jsonl has a damaged line 1", "phase closed"
    ]  # fmt: skip
