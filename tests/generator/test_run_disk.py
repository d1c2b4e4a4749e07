"""A run's records on a disk that refuses them: what is given up, kept, and said."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path

import gevent
import pytest

from aether_load.load import run_disk
from aether_load.load.run_disk import RunDisk
from aether_load.load.run_ending import EndReason, RunEnding
from aether_load.rundata.folder import RunFolder


class Records:
    """Records that the disk refuses so many times, and that may be rescued elsewhere."""

    def __init__(self, refusals: int = 0, *, rescues: bool = True) -> None:
        self._refusals = refusals
        self._rescues = rescues
        self.calls: list[str] = []

    def write_out(self) -> None:
        self.calls.append("write")
        if self._refusals:
            self._refusals -= 1
            raise OSError(errno.ENOSPC, "No space left on device")

    def end(self) -> None:
        self.calls.append("end")

    def close(self) -> None:
        self.calls.append("close")

    def rescue(self, path: Path) -> list[tuple[Path, str]]:
        path.write_bytes(b"the tail")
        if not self._rescues:
            raise OSError(errno.ENOSPC, "No space left on device")
        return [(path, "records.bin")]

    def rows_total(self) -> dict[str, int]:
        return {}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A folder of a run that has begun, beside a place for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "run.json").write_text("{}")
    return RunFolder(tmp_path / "r")


FULL = "The disk refused to take more (No space left on device), so the run was ended early."
LAST = "The disk refused the last records (No space left on device); they"


def test_a_disk_with_room_keeps_a_ballast_until_the_end(folder: RunFolder) -> None:
    records, ending = Records(), RunEnding()
    disk = RunDisk(folder, records, ending)
    assert folder.ballast.stat().st_size == 4 << 20
    disk.flush()
    assert disk.close() == []
    assert (records.calls, folder.ballast.exists()) == (["write", "end", "write", "close"], False)
    assert not ending.is_set()


def test_a_full_disk_gets_the_ballast_back_and_ends_the_run(folder: RunFolder) -> None:
    """What it refused is written with that room, and the reason is noted once."""
    records, ending = Records(refusals=1), RunEnding()
    disk = RunDisk(folder, records, ending)
    disk.flush()
    assert (records.calls, folder.ballast.exists()) == (["write", "write"], False)
    assert ending.reason is EndReason.DISK_FULL
    disk.refuse("something else")
    assert disk.close() == [FULL]


def test_what_is_refused_to_the_end_is_rescued_elsewhere(folder: RunFolder, tmp_path: Path) -> None:
    disk = RunDisk(folder, Records(refusals=2), RunEnding())
    tail = tmp_path / "r-records-tail.bin"
    assert disk.close() == [f"{LAST} lie in {tail}: append that file to records.bin.", FULL]
    assert (tail.read_bytes(), len(disk.rescued)) == (b"the tail", 1)


def test_records_for_which_there_is_no_room_anywhere_are_lost(folder: RunFolder, tmp_path: Path) -> None:
    """A part of them is not left behind, for it would be taken for all."""
    disk = RunDisk(folder, Records(refusals=2, rescues=False), RunEnding())
    assert disk.close() == [f"{LAST} are lost.", FULL]
    assert not (tmp_path / "r-records-tail.bin").exists()


def test_a_folder_that_is_gone_is_no_full_disk(folder: RunFolder) -> None:
    ending = RunEnding()
    disk = RunDisk(folder, Records(refusals=1), ending)
    folder.manifest.unlink()
    disk.flush()
    assert ending.reason is EndReason.FOLDER_GONE


def test_a_folder_that_goes_while_nothing_is_refused_ends_the_run(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An open file takes records after its folder is deleted."""
    monkeypatch.setattr(run_disk, "WRITE_INTERVAL_S", 0)
    monkeypatch.setattr(run_disk, "_LOOK_INTERVAL_S", 0)
    ending = RunEnding()
    flushing = gevent.spawn(RunDisk(folder, Records(), ending).flush_for_ever)
    folder.manifest.unlink()
    assert ending.event.wait(20)
    flushing.kill()
    assert (ending.reason, ending.stop_timeout_s) == (EndReason.FOLDER_GONE, 0)
