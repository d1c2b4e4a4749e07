"""Masters and workers that do not find each other: whom they wait for, for how long, and what is wrong at once."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pages import a_free_port
from processes import Finished, LocustProcess, Simulator, assert_refused, wait_for

if TYPE_CHECKING:
    from locust_forks import LocustFork


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--scenario", "nosuch"), "--scenario nosuch: no scenario of that name ships"),
        (("--set", "phases.0.users=x"), "phases.0.users = 'x': expected a whole number"),
        (("--master-host", "master..example"), "The master's host 'master..example' has no address"),
        (("--master-host", "master..example", "--processes", "2"), "The master's host 'master..example' has no"),
    ],
)
def test_what_is_wrong_with_a_worker_is_said_before_there_is_a_master(
    start_fork: Callable[..., LocustFork], free_port: int, options: tuple[str, ...], words: str
) -> None:
    finished = start_fork("--worker", "--master-port", str(free_port), *options).finish()
    assert (finished.code, words in finished.err) == (2, True), finished.err
    assert "Traceback" not in finished.err


@pytest.mark.slow
def test_a_worker_says_whom_it_waits_for_until_it_is_interrupted(
    start_locust: Callable[..., LocustProcess], free_port: int, tmp_path: Path
) -> None:
    said = tmp_path / "said.txt"
    worker = start_locust(
        "--worker", "--master-port", str(free_port), "--host", "http://127.0.0.1:9",
        under=("sh", "-c", 'exec "$@" 2> said.txt', "sh"),
    )  # fmt: skip
    wait_for(lambda: said.is_file() and "waiting for a master" in said.read_text(), "whom it waits for")
    worker.send(signal.SIGINT)
    assert worker.finish().code == 130
    assert [line for line in said.read_text().splitlines() if "locust.main" not in line] == [
        "aether-load: --host says nothing here: the master names the target.",
        f"aether-load: waiting for a master at 127.0.0.1:{free_port} ...",
        "aether-load: interrupted before a master was there.",
    ]


def test_workers_whose_master_ends_before_they_reach_it_end_too(
    start_locust: Callable[..., LocustProcess], simulator: Callable[..., Simulator]
) -> None:
    """They look for it at another port than its own, and Locust would go on trying for five minutes."""
    ports = ("--master-bind-port", str(a_free_port()), "--master-port", str(a_free_port()))
    master = start_locust("--headless", "--processes", "2", *ports, "--host", simulator().url)
    wait_for(lambda: len(master.left_behind()) == 3, "the workers")
    master.process.kill()
    master.process.wait()
    wait_for(lambda: master.left_behind() == [], "their end")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--processes", "0"), "argument --processes: 0 is no number of processes, or -1 for one a core."),
        (("--processes", "two"), "argument --processes: two is no number"),
        (("--master", "--master-bind-port", "65536"), "--master-bind-port: 65536 is no number from 1 to 65535."),
    ],
)
def test_numbers_that_mean_nothing_are_refused(
    fork_locust: Callable[..., Finished], options: tuple[str, ...], words: str
) -> None:
    assert_refused(fork_locust(*options), 2, words)


@pytest.mark.slow
def test_children_join_no_master_but_their_own(
    start_locust: Callable[..., LocustProcess], simulator: Callable[..., Simulator], free_port: int
) -> None:
    """One whose port another master has is refused, and its workers never knock at the other's door."""
    ports = ("--master-port", str(free_port), "--master-bind-port", str(free_port))
    first = start_locust(
        "--headless", "--master", *ports, "--host", simulator().url,
        under=("sh", "-c", 'exec "$@" 2> said.txt', "sh"),
    )  # fmt: skip
    said = first.folder / "said.txt"
    wait_for(lambda: said.is_file() and "scenario eval" in said.read_text(), "the first master")
    second = start_locust("--headless", "--processes", "2", *ports, "--host", simulator().url)
    assert_refused(second.finish(), 2, "The master cannot listen")
    wait_for(lambda: second.left_behind() == [], "the end of its children")
    first.send(signal.SIGINT)
    assert first.finish().code == 130
    assert "reported as ready" not in said.read_text()


def test_a_master_whose_workers_do_not_come_says_how_many_are_missing(
    start_fork: Callable[..., LocustFork], simulator: Callable[..., Simulator], free_port: int, tmp_path: Path
) -> None:
    finished = start_fork(
        "--headless", "--master", "--master-bind-port", str(free_port), "--host", simulator().url,
        "--expect-workers", "2", "--expect-workers-max-wait", "1",
    ).finish()  # fmt: skip
    assert finished.code == 3, finished.err
    (sentence,) = (line for line in finished.err.splitlines() if line.startswith("aether-load: "))
    assert sentence.endswith(
        "0 of the 2 workers of --expect-workers had come after 1 s (--expect-workers-max-wait): start the others, or "
        "expect fewer."
    )
    assert not any((tmp_path / "results").glob("runs/*"))
