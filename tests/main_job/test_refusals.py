"""What a user can get wrong is one sentence and the right exit code, and it comes soon."""

import re
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from aether_load.scenario.load import load_scenario
from processes import REPOSITORY, Finished, Simulator, assert_refused, call_command

SHIPPED = sorted(path.stem for path in (REPOSITORY / "scenarios").glob("*.toml"))

ONE_PHASE = "[[phases]]\nname = 'a'\npasses = 1\n"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--scenario", "evla"), ("--scenario evla", "did you mean 'eval'?")),
        (("--scenario", "nowhere/x.toml"), ("nowhere/x.toml", "no such file")),
        (("--set", "phases.0.user=3"), ("eval.toml", "unknown key phases.0.user (= 3)", "did you mean 'users'?")),
        (("--set", "phases.0.users='many'"), ("phases.0.users = 'many'", "whole number")),
        (("--set", "phases.0.duration='-2s'"), ("phases.0.duration = '-2s'", "zero or more")),
        (("--set", "phases.7.users=1"), ("--set phases.7.users",)),
        (("--set", "phases"), ("--set phases", "KEY=VALUE")),
        (("--limit", "0"), ("--limit 0",)),
        (("-u", "0"), ("-u 0",)),
        (("--dataset-dir", "nowhere"), ("--dataset-dir", "nowhere", "no such folder")),
        (("--dataset-dir", "x", "--dataset-source", "hub"), ("contradict",)),
        (("--host", "http://127.0.0.1:1", "--simulate", "v1"), ("contradict",)),
        (("--host", "127.0.0.1:3000"), ("--host 127.0.0.1:3000", "http://127.0.0.1:3000")),
        (("--scenrio", "eval"), ("--scenrio",)),
        (("--set", "target.request_timeout=0"), ("target.request_timeout is 0",)),
        (("--set", "phases.0.warmup=1e308"), ("phases.0.warmup = 1e+308", "no more than a year")),
        (("--set", "phases.-1.users=3"), ("--set phases.-1.users",)),
        (("--set", 'workload.dataset_dir="a\\u0000b"'), ("null character",)),
        (("--output", "."), ("--output .", "that is a folder")),
        (("--output", "/dev/null/ci.json"), ("--output /dev/null/ci.json", "the folder /dev/null cannot be made")),
        (("--label", "build"), ("--label build: expected KEY=VALUE",)),
        (("--label", "my build=1"), ("--label my build=1: a label's key has",)),
        (("--label", "build=1;2"), ("--label build=1;2: a label's value is",)),
        (("--set", "goodput_slo='p(95)<5'"), ("goodput_slo = 'p(95)<5'", "response_latency_ms<500")),
        (("--threshold", "p(95)<"), ("--threshold 'p(95)<'", "expected a metric and a limit")),
        (("--threshold", "piqa:acuracy>1", "--dry-run"), ("'piqa:acuracy>1'", "did you mean 'accuracy'?")),
        (("--results-dir", "/dev/null"), ("--results-dir /dev/null", "cannot be made")),
    ],
)
def test_a_wrong_option_is_one_sentence_and_exit_2(
    fork_locust: Callable[..., Finished], options: tuple[str, ...], words: tuple[str, ...]
) -> None:
    """The sentence names what was wrong and what to do."""
    assert_refused(fork_locust(*options), 2, *words)


def test_a_dry_run_looks_for_its_target(
    fork_locust: Callable[..., Finished], simulator: Callable[..., Simulator]
) -> None:
    """The plan is of use only where the runtime answers."""
    assert_refused(fork_locust("--dry-run", "--host", "http://127.0.0.1:9"), 3, "No runtime can be reached")
    url = simulator().url
    finished = fork_locust("--dry-run", "--host", url)
    assert (finished.code, finished.out.splitlines()[-1]) == (0, f"  target: SIMULATED runtime v2 at {url} answers")


def test_of_many_processes_one_says_it(run_locust: Callable[..., Finished], free_port: int) -> None:
    """What is wrong for the master is wrong for its workers, which say nothing."""
    ports = ("--master-port", str(free_port), "--master-bind-port", str(free_port))
    refused = run_locust("--processes", "2", *ports, "--scenario", "evla")
    assert_refused(refused, 2, "--scenario evla", "did you mean 'eval'?")


def test_a_load_for_one_phase_is_refused_where_there_are_two(
    fork_locust: Callable[..., Finished], tmp_path: Path
) -> None:
    """-u with several phases is ambiguous; the sentence names --set."""
    (tmp_path / "two.toml").write_text(ONE_PHASE + ONE_PHASE.replace("'a'", "'b'"))
    assert_refused(fork_locust("--scenario", "two.toml", "-u", "4"), 2, "-u", "2 phases", "--set phases.0.users=16")


def test_a_phase_without_an_end_is_refused_when_headless(fork_locust: Callable[..., Finished], tmp_path: Path) -> None:
    """A run that nobody could see the end of does not start."""
    (tmp_path / "endless.toml").write_text("[[phases]]\nusers = 1\n")
    assert_refused(fork_locust("--scenario", "endless.toml"), 2, "never end", "-t")


def test_a_summary_with_other_columns_is_refused_before_any_load(
    fork_locust: Callable[..., Finished], tmp_path: Path
) -> None:
    """A file that our rows do not fit is not broken, and not found out only after the load."""
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "summary.csv").write_text("a,b\n1,2\n")
    assert_refused(fork_locust(), 2, "summary.csv", "move it away")
    assert (tmp_path / "results" / "summary.csv").read_text() == "a,b\n1,2\n"


def test_a_folder_in_the_summarys_place_is_refused(fork_locust: Callable[..., Finished], tmp_path: Path) -> None:
    """A results folder in which summary.csv is a folder is found out before any load."""
    (tmp_path / "results" / "summary.csv").mkdir(parents=True)
    assert_refused(fork_locust(), 2, "summary.csv is no file")


class Answering(BaseHTTPRequestHandler):
    """A web server that is no runtime."""

    health = 200

    def do_GET(self) -> None:
        self.send_response(self.health if self.path == "/health" else 404)
        self.end_headers()

    def do_POST(self) -> None:
        self.send_response(404)
        self.end_headers()

    def log_message(self, *_arguments: str) -> None:
        """Keep quiet."""


@pytest.fixture
def web_server() -> Iterator[Callable[..., Any]]:
    servers = []

    def start(health: int) -> str:
        handler = type("Handler", (Answering,), {"health": health})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_target_that_never_answers_is_exit_3_within_seconds(fork_locust: Callable[..., Finished]) -> None:
    """A black hole does not hold the harness: it gives up by itself."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert_refused(fork_locust("--host", url), 3, url, "no answer within 1.5 s")


def test_an_unhealthy_target_is_exit_3(fork_locust: Callable[..., Finished], web_server: Callable[..., Any]) -> None:
    """A runtime whose /health is not 200 is not loaded."""
    assert_refused(fork_locust("--host", web_server(503)), 3, "not healthy", "503")


def test_a_target_that_is_no_runtime_is_exit_3(
    fork_locust: Callable[..., Finished], web_server: Callable[..., Any]
) -> None:
    """Some other web server is not mistaken for a v1 runtime because it has no /cache."""
    assert_refused(fork_locust("--host", web_server(200)), 3, "not an Aether runtime", "404")


@pytest.mark.slow
def test_an_unreachable_hub_is_one_sentence_that_names_the_ways_out(run_locust: Callable[..., Finished]) -> None:
    """The hub is asked once; it never falls back to the sample in silence."""
    finished = run_locust("--dataset-source", "hub", HF_ENDPOINT="http://127.0.0.1:9", HF_HUB_OFFLINE="0")
    assert_refused(finished, 2, "hub cannot be reached", "--dataset-dir DIR", "--dataset-source sample")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("report", "nowhere"), "nowhere is not a run's folder"),
        (("scenarios", "nothing"), f"no scenario of that name ships; there are {', '.join(SHIPPED)}"),
        (("scenarios", "--toml"), "--toml: say which scenario, as in: aether-load scenarios show eval --toml"),
        (("simulate", "--generation", "v3"), "v3"),
        (("nonsense",), "nonsense"),
        ((), "COMMAND"),
    ],
)
def test_a_wrong_command_is_one_sentence_and_exit_2(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    """The command line tool keeps to the same rule."""
    done = call_command(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, ""), done
    assert re.fullmatch(rf"aether-load: .*{re.escape(words)}.*\n", done.stderr), done.stderr


def test_the_scenarios_that_ship_are_listed_and_shown(tmp_path: Path) -> None:
    """Each ships with a sentence of purpose, and shows every default filled in."""
    listed = call_command("scenarios", cwd=tmp_path).stdout.splitlines()
    assert [line.split()[0] for line in listed] == SHIPPED
    assert all(len(line.split()) > 5 for line in listed)
    assert '"max_error_rate": 0.01' in call_command("scenarios", "eval", cwd=tmp_path).stdout
    (tmp_path / "again.toml").write_text(call_command("scenarios", "show", "eval", "--toml", cwd=tmp_path).stdout)
    assert load_scenario(tmp_path / "again.toml") == load_scenario(REPOSITORY / "scenarios" / "eval.toml")
