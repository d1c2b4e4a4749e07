"""Where a report is to go: links are followed, pipes are written in place, - is standard output."""

import json
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aether_load.errors import UsageError
from aether_load.gate.output import write_gate
from aether_load.gate.report import build_gate_report
from aether_load.outputs.charts.drawing import write_pictures
from aether_load.outputs.output_path import check_output, checked_outputs
from aether_load.rundata.folder import RunFolder
from folders import answered, make_run
from gate_folders import make_gate, one_user
from processes import Finished, call_command


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return make_run(tmp_path / "results", [answered(9 * place, 62) for place in range(20)])


@pytest.fixture
def pipe(tmp_path: Path) -> tuple[Path, Callable[..., Any]]:
    """A FIFO with somebody who reads from it, and what was read once it was shut."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    read = []
    # Both ends: so that the reader is there before whoever writes, and ends with it.
    reader = threading.Thread(target=lambda: read.append(path.read_bytes()), daemon=True)
    opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    reader.start()

    def content() -> bytes:
        reader.join(20)
        os.close(opened)
        assert stat.S_ISFIFO(path.stat().st_mode)
        return read[0]

    return path, content


def test_a_pipe_stays_a_pipe(pipe: tuple[Path, Callable[..., Any]], run: RunFolder, tmp_path: Path) -> None:
    """The report goes through it, whole, and nothing is put in its place."""
    path, content = pipe
    done = call_command("report", str(run.path), "--no-page", "--output", str(path), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert content() == (run.path / "report.json").read_bytes()


def test_a_pipe_that_nobody_reads_is_a_sentence(run: RunFolder, tmp_path: Path) -> None:
    """It is not waited for without end."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    check_output(path)
    done = call_command("report", str(run.path), "--no-page", "--output", str(path), cwd=tmp_path)
    assert done.returncode == 5
    assert done.stderr == f"aether-load: --output {path}: it could not be written: nobody reads from it.\n"


@pytest.mark.parametrize("there", [True, False], ids=["to a file", "to nothing yet"])
def test_a_link_stays_a_link(run: RunFolder, tmp_path: Path, there: bool) -> None:
    """What it leads to is written, also through a second link, and in a folder that is not there yet."""
    aim = tmp_path / "elsewhere" / "deep" / "report.json"
    if there:
        aim.parent.mkdir(parents=True)
        aim.write_text("an older report")
    (tmp_path / "second").symlink_to(aim)
    link = tmp_path / "link.json"
    link.symlink_to("second")
    done = call_command("report", str(run.path), "--no-page", "--output", str(link), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert link.is_symlink()
    assert aim.read_bytes() == (run.path / "report.json").read_bytes()
    assert [path.name for path in aim.parent.iterdir()] == ["report.json"]


def test_a_link_to_itself_is_a_sentence(tmp_path: Path) -> None:
    link = tmp_path / "loop"
    link.symlink_to(link)
    with pytest.raises(UsageError, match=r"^--junit .*loop: it cannot be written to: Too many levels"):
        check_output(link, "--junit")


@pytest.mark.parametrize("name", ["-", "/dev/stdout"])
def test_standard_output_has_the_report_and_nothing_else(run: RunFolder, tmp_path: Path, name: str) -> None:
    """What is shown besides goes to standard error."""
    done = call_command("report", str(run.path), "--no-page", "--output", name, cwd=tmp_path)
    assert done.returncode == 0
    assert json.loads(done.stdout)["run"]["id"] == run.path.name
    assert "PASSED" in done.stderr
    done = call_command("report", str(run.path), "--no-page", "--output", name, "--format", "csv", cwd=tmp_path)
    assert done.stdout.startswith("time,")
    assert not (tmp_path / "-").exists()


@pytest.mark.slow
def test_a_run_writes_its_report_to_standard_output(fork_locust: Callable[..., Finished]) -> None:
    """Standard output of a whole run is JSON; its summary is on standard error."""
    finished = fork_locust("--limit", "1", "--dataset", "piqa", "--output", "-")
    assert json.loads(finished.out)["verdict"]["exit_code"] == finished.code == 0, finished.err
    assert "PASSED" in finished.err


def test_a_gates_outputs_follow_the_same_rules(pipe: tuple[Path, Callable[..., Any]], tmp_path: Path) -> None:
    """--output, --markdown and --junit; two of them cannot both be standard output."""
    same = lambda _pair: one_user(50)  # noqa: E731
    folder = make_gate(tmp_path / "gate", same, same)
    report = build_gate_report(folder)
    link = tmp_path / "link.xml"
    link.symlink_to(tmp_path / "aim.xml")
    path, content = pipe
    files = write_gate(report, folder, {"markdown": path, "junit": link})
    assert files[-2:] == [path, link]
    assert content() == folder.gate_markdown.read_bytes()
    assert link.is_symlink()
    assert (tmp_path / "aim.xml").read_bytes() == folder.junit.read_bytes()
    with pytest.raises(UsageError, match="Only one of"):
        checked_outputs({"json": Path("-"), "junit": Path("/dev/stdout")})


def test_what_a_run_folder_holds_is_never_followed(run: RunFolder, tmp_path: Path) -> None:
    """A link in the folder of somebody else's run is replaced: what it leads to is not ours to write."""
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.svg").write_text("mine")
    for name in ("report.json", "summary.csv", "report.md"):
        (run.path / name).symlink_to(mine / "notes.svg")
    (run.path / "charts").symlink_to(mine)
    done = call_command("report", str(run.path), "--no-page", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    write_pictures(run.charts, {})
    assert not run.charts.is_symlink()
    assert [path.name for path in mine.iterdir()] == ["notes.svg"]
    assert (mine / "notes.svg").read_text() == "mine"
