"""Each exit code as a script sees it, and which one it is where several apply: 2, 3, 1, 4, 5, 130, 0."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from aether_load.errors import ExitCode
from processes import UNSEEN, Finished, LocustProcess, Simulator, assert_refused, running_simulator

if TYPE_CHECKING:
    from locust_forks import LocustFork

LONG = ("--headless", "--limit", "20", "-t", "60s", *UNSEEN)
SHORT = ("--limit", "4", "-u", "2")
HOLDS = ("--threshold", "p(50)<60000")
BROKEN = ("--threshold", "p(50)<0.001")
UNDECIDED = ("--threshold", "piqa:accuracy>0.5")


@pytest.fixture(scope="module")
def failing() -> Iterator[str]:
    """A runtime of which half of the completions fail."""
    with running_simulator("--latency", "constant:5ms", "--fail-rate", "0.5") as runtime:
        yield runtime.url


@pytest.fixture(scope="module")
def useless() -> Iterator[str]:
    """A runtime of which every completion fails."""
    with running_simulator("--latency", "constant:5ms", "--fail-rate", "1") as runtime:
        yield runtime.url


@pytest.fixture(scope="module")
def sound() -> Iterator[str]:
    """A runtime that works."""
    with running_simulator("--latency", "constant:5ms") as runtime:
        yield runtime.url


def verdict_of(finished: Finished) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(finished.nightly.read_bytes())["verdict"]
    return answer


def begins(finished: Finished) -> list[str]:
    return [reason.split(":")[0] for reason in verdict_of(finished)["reasons"]]


def test_0_a_run_whose_thresholds_hold_has_passed(fork_locust: Callable[..., Finished], sound: str) -> None:
    """Each of them, and nothing else speaks against it."""
    finished = fork_locust("--host", sound, *SHORT, *HOLDS, "--threshold", "reconciliation.unexplained_nodes_total==0")
    assert finished.code == ExitCode.PASSED, finished.err
    assert verdict_of(finished) == {"status": "passed", "exit_code": 0, "reasons": []}
    states = [asked["state"] for asked in json.loads(finished.nightly.read_bytes())["thresholds"]]
    assert states == ["holds", "holds"]


def test_1_a_run_in_which_nothing_succeeded_has_failed(fork_locust: Callable[..., Finished], useless: str) -> None:
    """Without any threshold, too."""
    finished = fork_locust("--host", useless, *SHORT)
    assert finished.code == ExitCode.FAILED, finished.err
    assert (verdict_of(finished)["status"], begins(finished)) == ("failed", ["phase closed"])


def test_1_before_4_too_many_failures_weigh_more_than_a_threshold(
    fork_locust: Callable[..., Finished], failing: str
) -> None:
    """Above max_error_rate, and a threshold broken, and one that is not decided: failed."""
    finished = fork_locust("--host", failing, *SHORT, *UNDECIDED, *BROKEN)
    assert finished.code == ExitCode.FAILED, finished.err
    assert begins(finished) == ["phase closed", "threshold p(50)<0.001", "threshold piqa"]


def test_2_a_number_that_no_report_has_is_refused(fork_locust: Callable[..., Finished]) -> None:
    """Before the target is looked for, with the nearest name: 2 comes before 3."""
    finished = fork_locust("--host", "http://127.0.0.1:9", "--threshold", "closed:littles_law_ratio>0.9")
    assert_refused(finished, ExitCode.USAGE, "no metric 'littles_law_ratio'", "'correlation.littles_law_ratio'")


def test_3_a_target_that_is_not_there(fork_locust: Callable[..., Finished]) -> None:
    """Nothing listens: one sentence, exit 3."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    assert_refused(fork_locust("--host", url), ExitCode.TARGET, url, "connection refused", "--host")


BROKEN_TOO = pytest.param((*BROKEN, *UNDECIDED), ExitCode.THRESHOLD, marks=pytest.mark.slow)


@pytest.mark.parametrize(("options", "code"), [((), ExitCode.INVALID), BROKEN_TOO])
def test_5_a_contaminated_run_and_4_before_it(
    start_fork: Callable[..., LocustFork], simulator: Callable[..., Simulator], options: tuple[Any, ...], code: ExitCode
) -> None:
    """Nodes that we did not send make the figures void, a sentence says how many; a broken threshold weighs more."""
    runtime = simulator("--latency", "constant:20ms")
    process = start_fork("--headless", "--host", runtime.url, "--limit", "20", "-t", "2s", *UNSEEN, *options)
    process.wait_for_samples()
    body = json.dumps({"dag": {"nodes": [{"id": "x", "node_type": "llm_fn", "prompt": "foreign"}]}, "context": {}})
    command = ["curl", "-sf", "-H", "Content-Type: application/json", "-d", body, f"{runtime.url}/execute"]
    for _ in range(3):
        subprocess.run(command, check=True, capture_output=True)
    finished = process.finish()
    report = json.loads(finished.nightly.read_bytes())
    reconciliation = report["phases"][0]["reconciliation"]
    assert (finished.code, reconciliation["trust"], reconciliation["unexplained_nodes_total"]) == (
        code,
        "contaminated",
        3,
    )
    reasons = [reason for reason in report["verdict"]["reasons"] if "3 nodes more than were answered" in reason]
    assert reasons == [report["verdict"]["reasons"][1 if options else 0]]


def test_5_a_threshold_that_nothing_decides(fork_locust: Callable[..., Finished], sound: str) -> None:
    """The mock's fixed text has no accuracy: no pass, no failure."""
    finished = fork_locust("--host", sound, *SHORT, *UNDECIDED, *HOLDS)
    assert finished.code == ExitCode.INVALID, finished.err
    assert verdict_of(finished)["status"] == "inconclusive"
    assert begins(finished) == ["threshold piqa"]
    assert "INCONCLUSIVE (exit code 5)" in finished.out


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_130_an_interrupt_ends_the_run_in_order(
    start_locust: Callable[..., LocustProcess], number: signal.Signals
) -> None:
    """In-flight requests are answered, the last reading taken, results written and judged; no process left."""
    process = start_locust(*LONG, *HOLDS)
    process.wait_for_samples()
    process.send(number)
    finished = process.finish()
    report = json.loads(finished.nightly.read_bytes())
    (phase,) = report["phases"]
    assert (finished.code, process.left_behind()) == (ExitCode.INTERRUPTED, []), finished.err
    assert (report["run"]["ended_as"], report["verdict"]["status"]) == ("interrupted", "interrupted")
    assert phase["ended_by"] == "stopped"
    assert phase["all"]["ok_total"] == phase["all"]["requests_total"] > 0
    assert (phase["reconciliation"]["trust"], phase["reconciliation"]["unexplained_nodes_total"]) == ("trusted", 0)
    assert "INTERRUPTED (exit code 130)" in finished.out
    assert "Traceback" not in finished.err


def test_4_before_130_what_is_there_of_an_interrupted_run_is_judged(start_fork: Callable[..., LocustFork]) -> None:
    """A threshold that it broke by then stays broken."""
    process = start_fork(*LONG, *BROKEN)
    process.wait_for_samples()
    process.send(signal.SIGINT)
    finished = process.finish()
    assert finished.code == ExitCode.THRESHOLD, finished.err
    assert begins(finished) == ["threshold p(50)<0.001", "the run was interrupted; the results are of a part"]
