"""What the system, a terminal or another process does to a run: it ends, with its exit code and whole results.

Each case starts a process, so most are slow.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aether_load.errors import ExitCode, explain
from processes import (
    EVAL,
    LIMIT_S,
    REPOSITORY,
    UNSEEN,
    LocustProcess,
    call_command,
    locust_environment,
    running_simulator,
)

SHORT = ("--headless", "--limit", "4", "-u", "2", "--no-page", "--no-self-check")
LONG = ("--headless", "--limit", "20", "-t", "60s", *UNSEEN)


@pytest.fixture(scope="module")
def url() -> Iterator[Any]:
    with running_simulator("--latency", "constant:5ms") as runtime:
        yield runtime.url


def run(
    folder: Path,
    *options: Any,
    program: str = "locust",
    shell: str = '"$@"',
    environment: Any = None,
    before: Any = None,
) -> subprocess.CompletedProcess[str]:
    """Run the main job to its end, in the words of a shell."""
    words = [sys.executable, "-m", program, "-f", str(EVAL), *options]
    return subprocess.run(
        ["bash", "-c", shell, "run", *words],
        cwd=folder,
        env=locust_environment(**(environment or {})),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=LIMIT_S,
        check=False,
        preexec_fn=before,
    )


def assert_whole(folder: Path, exit_code: int = 0) -> None:
    """The one run in the folder has its results, whose verdict is the exit code."""
    (path,) = (folder / "results" / "runs").iterdir()
    report = json.loads((path / "report.json").read_bytes())
    assert report["verdict"]["exit_code"] == exit_code, report["verdict"]


# --- standard streams

OUTPUTS = {
    "full": '"$@" >/dev/full',
    "closed": '"$@" >&-',
    "broken": '"$@" | true; exit ${PIPESTATUS[0]}',
    "all-closed": '"$@" <&- >&- 2>&-',
    "full-error": '"$@" 2>/dev/full',
    "closed-error": '"$@" 2>&-',
    "broken-error": '{ "$@" 2>&1 >/dev/null; echo $? >code; } | true; exit $(cat code)',
    "both-full": '"$@" >/dev/full 2>&1',
}


@pytest.mark.slow
@pytest.mark.parametrize("program", ["locust", "aether_load.load.process"])
@pytest.mark.parametrize("output", OUTPUTS)
def test_whatever_becomes_of_its_outputs_a_run_has_its_results(
    tmp_path: Path, url: Any, output: Any, program: Any
) -> None:
    done = run(tmp_path, *SHORT, "--host", url, shell=OUTPUTS[output], program=program)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert_whole(tmp_path)


COMMANDS = ("scenarios", "scenarios show eval", "--help", "--version", "run --help", "completion bash", "answer-key")


@pytest.mark.slow
@pytest.mark.parametrize("words", COMMANDS)
@pytest.mark.parametrize(("output", "codes"), [("full", {0, 5}), ("closed", {0}), ("broken", {0})])
def test_whatever_becomes_of_a_commands_output_there_is_no_traceback(
    tmp_path: Path, words: Any, output: Any, codes: Any
) -> None:
    done = subprocess.run(
        ["bash", "-c", OUTPUTS[output], "run", sys.executable, "-m", "aether_load", *words.split()],
        cwd=tmp_path,
        env=locust_environment(),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert done.returncode in codes, done.stderr


# --- paths of any bytes

STRANGE = os.fsdecode(b"caf\xe9 \xff\xf0\x9f\x92\xa5\n'\"$")


@pytest.mark.slow
def test_paths_may_have_any_bytes(tmp_path: Path, url: Any) -> None:
    """Results, output, scenario and the folder that the run is started in."""
    folder = tmp_path / STRANGE
    folder.mkdir()
    scenario = folder / f"{STRANGE}.toml"
    scenario.write_text("[[phases]]\nusers = 2\nrequests = 8\n")
    output = folder / "o" / f"{STRANGE}.json"
    done = run(
        folder, "--headless", "--no-self-check", "--no-page", "--host", url, "--results-dir", str(folder / STRANGE),
        "--scenario", str(scenario), "--output", str(output),
    )  # fmt: skip
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert json.loads(output.read_bytes())["verdict"]["status"] == "passed"
    (path,) = (folder / STRANGE / "runs").iterdir()
    assert call_command("report", str(path), "--no-page", cwd=folder).returncode == 0


def test_a_hosts_path_may_have_any_bytes(tmp_path: Path, url: Any) -> None:
    """They go out percent-encoded as they are; the simulator has nothing there, which is a sentence."""
    done = run(tmp_path, *SHORT, "--host", os.fsdecode(url.encode() + b"/caf\xe9/\xff\xc3\xa4"))
    assert done.returncode == 3, done.stderr
    assert "/caf%E9/%FF%C3%A4" in done.stderr
    assert "Traceback" not in done.stderr


# --- signals


def long_run(start_locust: Any, url: str, *options: Any, **how: Any) -> Any:
    process = start_locust(*LONG, "--host", url, "-u", "4", *options, **how)
    process.wait_for_samples(5000)
    return process


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("times", [1, 30])
def test_a_signal_ends_a_run_in_order(
    start_locust: Callable[..., LocustProcess], url: Any, tmp_path: Path, number: int, times: Any
) -> None:
    """However often it comes."""
    process = long_run(start_locust, url)
    for _ in range(times):
        process.send(number)
        time.sleep(0.02)  # so that each is one of its own, as from a key that is held down
    finished = process.finish()
    assert finished.code == 130, finished.err
    assert "Traceback" not in finished.err
    assert process.left_behind() == []
    assert_whole(tmp_path, 130)


@pytest.mark.slow
def test_a_hangup_is_ignored_under_nohup(start_locust: Callable[..., LocustProcess], url: Any, tmp_path: Path) -> None:
    options = ("--headless", "--limit", "4", "-t", "2s", "--host", url, "-u", "2", *UNSEEN)
    process = start_locust(*options, under=("nohup",))
    process.wait_for_samples(5000)
    process.send(signal.SIGHUP)
    finished = process.finish()
    assert finished.code == 0, finished.err
    assert_whole(tmp_path)


SIGNALLED_IN_AN_IMPORT = """
import os
from aether_load.cli import main as cli
imported = cli._module
def import_module(name):
    os.kill(os.getpid(), {number})
    return imported(name)
cli._module = import_module
raise SystemExit(cli.main(["run", "--limit", "20", "-t", "60s"]))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_during_an_import_of_the_command_ends_the_run(tmp_path: Path, number: int) -> None:
    """Python drops an interrupt that comes in a callback of its import machinery, and the load would begin."""
    done = subprocess.run(
        [sys.executable, "-c", SIGNALLED_IN_AN_IMPORT.format(number=int(number))],
        cwd=tmp_path,
        env=locust_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (130, "aether-load: interrupted before the load began.\n")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("after_ms", range(150, 1500, 150))
def test_a_signal_in_the_first_second_is_a_sentence(tmp_path: Path, number: int, after_ms: Any) -> None:
    """While Locust is imported, and while the run is prepared."""
    process = subprocess.Popen(
        [sys.executable, "-m", "aether_load", "run", "--limit", "20", "-t", "60s"],
        cwd=tmp_path,
        env=locust_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(after_ms / 1000)  # the instant is what is tested
    process.send_signal(number)
    _, err = process.communicate(timeout=LIMIT_S)
    # Before our first function runs, the end of a process is Python's own, or the system's.
    has_begun = "Traceback" not in err or " in main\n" in err
    assert not has_begun or "Traceback" not in err
    codes = {130, -number} | ({1} if "Could not import runpy module" in err else set())
    assert process.returncode in codes, err


@pytest.mark.slow
def test_a_sender_that_is_stopped_goes_on_when_it_is_continued(
    start_locust: Callable[..., LocustProcess], url: Any, tmp_path: Path
) -> None:
    process = start_locust("--headless", "--limit", "8", "-t", "3s", "--host", url, "-u", "2", *UNSEEN)
    process.wait_for_samples(5000)
    process.send(signal.SIGSTOP)
    time.sleep(1.5)  # a stopped process passes no time of its own
    process.send(signal.SIGCONT)
    finished = process.finish()
    assert finished.code in {0, 5}, finished.err
    assert "Traceback" not in finished.err


# --- limits


@pytest.mark.parametrize(("limit", "users"), [(256, 300), pytest.param(80, 30, marks=pytest.mark.slow)])
def test_too_few_descriptors_are_said_before_the_load(tmp_path: Path, url: Any, limit: Any, users: Any) -> None:
    done = run(tmp_path, "--headless", "--host", url, "-u", str(users), shell=f'ulimit -n {limit}; "$@"')
    assert done.returncode == 2, done.stderr
    assert f"{users} users need {users + 64} open files, and this process may have {limit}" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "results").glob("runs/*"))


@pytest.mark.slow
@pytest.mark.parametrize(("users", "code"), [(600, 2), (300, 0)])
def test_too_few_descriptors_of_a_worker_are_said_before_the_load(
    tmp_path: Path, url: Any, users: Any, code: int
) -> None:
    """Each worker needs those of its share only."""
    options = ("--processes", "2", "--host", url, "-u", str(users), "--limit", "4")
    done = run(tmp_path, "--headless", *options, shell='ulimit -n 256; "$@"')
    assert done.returncode == code, done.stderr
    said = "300 users need 364 open files, and this process may have 256"
    assert (said in done.stderr) is (code == 2)
    assert "Traceback" not in done.stderr
    assert len(list((tmp_path / "results").glob("runs/*"))) == (code == 0)


@pytest.mark.slow
@pytest.mark.parametrize("limit", [3, 8, 16, 24, 40, 63])
def test_hardly_any_descriptors_are_no_hang(tmp_path: Path, url: Any, limit: Any) -> None:
    done = run(tmp_path, *SHORT, "--host", url, shell=f'ulimit -n {limit}; "$@"')
    assert done.returncode != 0
    assert not list((tmp_path / "results").glob("runs/*/report.json"))


@pytest.mark.slow
@pytest.mark.parametrize("limit", [0, 100, 1000, 4500, 20_000])
def test_a_limit_of_a_files_size_is_a_sentence(tmp_path: Path, url: Any, limit: Any) -> None:
    """As a disk that is full at the start or later; what is rescued is named on the terminal."""
    elsewhere = tmp_path / "tmp"
    elsewhere.mkdir()
    done = run(
        tmp_path, *LONG, "--host", url, "-u", "32", "--no-page", "--no-self-check",
        # A file of compiled code that is cut off would be read by every later process.
        environment={"TMPDIR": str(elsewhere), "PYTHONDONTWRITEBYTECODE": "1"},
        before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    assert done.returncode in {2, 5, 130}, done.stderr
    assert "Traceback" not in done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("aether-load: ")], done.stderr
    for tail in elsewhere.glob("*-records-tail.bin"):
        assert str(tail) in done.stderr + done.stdout


@pytest.mark.slow
def test_an_observer_that_cannot_be_started_is_one_sentence(tmp_path: Path, url: Any) -> None:
    """No user of Locust's says it too."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\nif any('aether_load.observer' in word for word in sys.orig_argv):\n    os._exit(1)\n"
    )
    path = os.pathsep.join([str(tmp_path), str(REPOSITORY)])
    done = run(tmp_path, *SHORT, "--host", url, environment={"PYTHONPATH": path})
    assert done.returncode == 5, done.stderr
    assert "Traceback" not in done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("aether-load: ")]
    assert said == ["aether-load: The observer could not be started: its process ended."]


# --- folders and disks


@pytest.mark.slow
def test_a_run_whose_folder_vanishes_ends_at_once(
    start_locust: Callable[..., LocustProcess], url: Any, tmp_path: Path
) -> None:
    """And says that it is gone, not that anything is safe."""
    process = long_run(start_locust, url)
    began = time.monotonic()
    shutil.rmtree(tmp_path / "results")
    finished = process.finish()
    assert time.monotonic() - began < 15
    assert finished.code == 5, finished.err
    assert "is gone, and what was measured with it" in finished.err
    assert "Traceback" not in finished.err
    assert "safe" not in finished.err


@pytest.mark.slow
def test_a_full_disk_at_the_start_is_a_sentence(small_disk: Path, url: Any) -> None:
    fill = f"cat /dev/zero >{small_disk / 'fill'}"
    assert subprocess.run(["bash", "-c", fill], capture_output=True, check=False).returncode == 1
    done = run(small_disk, *SHORT, "--host", url)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "No space left on device" in done.stderr


def test_a_defect_is_a_sentence_too() -> None:
    """It names the kind of the error and is short; what the system refuses is no defect."""
    sentence, code = explain(KeyError("x" * 1000))
    assert code is ExitCode.INVALID
    assert sentence.startswith("a defect of aether-load ended it (KeyError: ")
    assert len(sentence) < 400
    assert explain(OSError(28, "No space left on device", "a/b"), ExitCode.USAGE) == (
        "the system refused it (No space left on device: a/b).",
        ExitCode.USAGE,
    )
