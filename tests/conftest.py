"""Fixtures for every test: the real rows, and processes that end with the test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from aether_load.redaction import REDACTOR
from locust_forks import LocustFork, LocustForks, running_forks
from pages import a_free_port
from processes import EVAL, SHARED_DATASETS, Finished, LocustProcess, Simulator, running_simulator
from property_tests import ALL, QUICK

# Hundreds of processes are started, and each would compile our package anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# As wide as this terminal: outputs are compared with files, and written the same everywhere.
os.environ.pop("COLUMNS", None)

# Where this is installed, jsonschema builds a grammar of IRIs with it for three seconds; no schema of ours has one.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]

# A shell ignores SIGINT in what it starts in the background, and nohup SIGHUP; processes of a test would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

_WAITS = {"gate": 4, "start_locust": 3, "run_locust": 3, "locust": 1, "fork_locust": 1}
"""The fixtures that start processes, and about how many seconds a test with one takes."""

settings.register_profile("quick", deadline=None, max_examples=QUICK)
settings.register_profile("thorough", deadline=None, max_examples=ALL)
settings.load_profile("quick")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--runs", type=int, default=2, help="how often each test runs whose result is one of chance")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Number the runs of a test that takes a `run_number`."""
    if "run_number" in metafunc.fixturenames:
        metafunc.parametrize("run_number", range(metafunc.config.getoption("--runs")))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files first that wait for processes the longest, so that the others fill the time at the end."""
    waits: Counter[Path] = Counter()
    for item in items:
        waits[item.path] += sum(_WAITS.get(name, 0) for name in vars(item).get("fixturenames", ()))
    items.sort(key=lambda item: -waits[item.path])


@pytest.fixture(autouse=True)
def no_secret_known() -> Iterator[None]:
    """Begin and end each test in a process that knows no secret."""
    REDACTOR.forget()
    yield
    REDACTOR.forget()


@pytest.fixture(scope="session")
def real_rows() -> Path:
    if not SHARED_DATASETS.is_dir():
        pytest.skip("the real rows are not beside this checkout (../shared/datasets)")
    return SHARED_DATASETS


@pytest.fixture
def simulator() -> Iterator[Callable[..., Simulator]]:
    """Start simulators with the options given; each is ended with the test."""
    contexts = []

    def start(*options: str) -> Simulator:
        context = running_simulator(*options)
        contexts.append(context)
        return context.__enter__()

    yield start
    for context in contexts:
        context.__exit__(None, None, None)


@pytest.fixture
def start_locust(tmp_path: Path) -> Iterator[Callable[..., LocustProcess]]:
    """Start Locust on the main job's locustfile; whatever is still alive at the test's end is killed."""
    started: list[LocustProcess] = []

    def start(
        *options: str,
        folder: Path = tmp_path,
        page: bool = False,
        locustfile: Path = EVAL,
        under: tuple[str, ...] = (),
        **environment: str,
    ) -> LocustProcess:
        started.append(LocustProcess(folder, options, environment, page=page, locustfile=locustfile, under=under))
        return started[-1]

    yield start
    for process in started:
        if process.process.poll() is None:
            process.process.kill()
            process.process.communicate()


@pytest.fixture
def run_locust(start_locust: Callable[..., LocustProcess]) -> Callable[..., Finished]:
    """Run the main job's locustfile headless with the options given, to its end."""

    def run(*options: str, page: bool = False, **environment: str) -> Finished:
        return start_locust("--headless", *options, page=page, **environment).finish()

    return run


@pytest.fixture(scope="session")
def locust_forks() -> Iterator[LocustForks]:
    with running_forks() as forks:
        yield forks


@pytest.fixture
def start_fork(locust_forks: LocustForks, tmp_path: Path) -> Iterator[Callable[..., LocustFork]]:
    """Start the main job's locustfile as `start_locust` does, in a fork: for what a run does, not how it starts."""
    started: list[LocustFork] = []

    def start(*options: str, folder: Path = tmp_path, **more: Any) -> LocustFork:
        started.append(locust_forks.start(folder, *options, **more))
        return started[-1]

    yield start
    for fork in started:
        fork.process.kill()
        fork.process.wait()


@pytest.fixture
def fork_locust(start_fork: Callable[..., LocustFork]) -> Callable[..., Finished]:
    """Run the main job's locustfile headless in a fork, to its end."""

    def run(*options: str, **more: Any) -> Finished:
        return start_fork("--headless", *options, **more).finish()

    return run


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own with little more room than the ballast takes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4400k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk of one's own takes the right to mount")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.fixture
def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    return a_free_port()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many cases of the fault campaign held."""
    count = {
        outcome: sum(1 for report in terminalreporter.getreports(outcome) if "tests/faults/" in report.nodeid)
        for outcome in ("passed", "failed")
    }
    if sum(count.values()):
        terminalreporter.write_line(f"faults: {count['passed']} of {sum(count.values())} cases held")
