"""`aether-load gate` as its users run it: real servers, real load, and each of its exit codes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from aether_programs import compiled, write_program
from processes import LIMIT_S, REPOSITORY, Simulator, call_command, wait_for

SHORT = ("--window", "0.05s", "--pairs", "26", "--limit", "4", "--set", "phases.0.users=4")
LONG = ("--window", "0.05s", "--pairs", "900", "--limit", "4")


def simulate(latency: str, *more: Any) -> str:
    return f"{sys.executable} -m aether_load simulate --port {{port}} --latency constant:{latency} {' '.join(more)}"


PROGRESS = re.compile(r"aether-load: .* requests .* users")


class Gate:
    """A gate that was started, in a folder of the test's own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "aether_load", "gate", *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), "AETHER_GATE_MARK": str(folder)},
        )

    def finish(self) -> Gate:
        self.out, err = self.process.communicate(timeout=LIMIT_S)
        # A line of progress every ten seconds is all that a gate says while it goes on.
        self.err = "".join(line for line in err.splitlines(keepends=True) if not PROGRESS.fullmatch(line.rstrip()))
        self.code = self.process.returncode
        return self

    @property
    def run(self) -> Path:
        (run,) = (self.folder / "results" / "runs").iterdir()
        return run

    @property
    def report(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads((self.run / "gate.json").read_bytes())
        return answer

    def phases(self) -> int:
        """How many windows the run has begun so far."""
        files = list((self.folder / "results" / "runs").glob("*/run.json"))
        return len(json.loads(files[0].read_bytes())["phases"]) if files else 0

    def alive(self) -> list[str]:
        """Processes that this gate started, and those that they started."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("AETHER_GATE_MARK") == str(self.folder) and process.status() != "zombie":
                    found.append(" ".join(process.cmdline()))
            except psutil.Error:
                continue
        return found


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    started = []

    def start(*arguments: str) -> Gate:
        started.append(Gate(tmp_path, *arguments))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
            each.process.communicate()


@pytest.mark.slow
@pytest.mark.alone
def test_a_slower_build_is_found_and_everything_is_written(gate: Callable[..., Any], tmp_path: Path) -> None:
    """Exit code 4; both servers are started and ended, their words kept, and the files lie where they were wanted."""
    files = ("--output", "g.json", "--markdown", "g.md", "--junit", "g.xml")
    done = gate(
        "--base-command", simulate("20ms"), "--candidate-command", simulate("40ms"), *SHORT, *files,
        "--metric", "ok_throughput_rps", "--metric", "server_total_ms:mean",
    ).finish()  # fmt: skip
    assert (done.code, done.err) == (4, ""), done.err
    report = done.report
    assert report["verdict"]["status"] == "regression"
    assert [each["test"]["finding"] for each in report["comparisons"]] == ["regression", "regression"]
    assert {pair["base"]["trust"] for pair in report["pairs"]} == {"trusted"}
    assert "REGRESSION (exit code 4)" in done.out
    assert {path.name for path in done.run.iterdir()} == {
        "run.json", "records.bin", "scrapes.jsonl", "sender.jsonl", "server.jsonl", "gate.json", "gate.md",
        "junit.xml", "base.log", "candidate.log",
    }  # fmt: skip
    assert json.loads((tmp_path / "g.json").read_bytes()) == report
    assert (tmp_path / "g.md").read_bytes() == (done.run / "gate.md").read_bytes()
    assert (tmp_path / "g.xml").read_bytes() == (done.run / "junit.xml").read_bytes()
    assert "listening on http://127.0.0.1:" in (done.run / "base.log").read_text()
    assert done.alive() == []
    manifest = json.loads((done.run / "run.json").read_bytes())
    assert manifest["command"][1:4] == ["gate", "--base-command", simulate("20ms")]
    assert manifest["target"]["url"] != manifest["candidate"]["url"]


@pytest.mark.slow
@pytest.mark.alone
def test_two_programs_are_compared_on_one_runtime(gate: Callable[..., Any], tmp_path: Path) -> None:
    """The new version has one more node in a row: a regression, with both programs named and their nodes listed."""
    value = compiled()
    after = {"id": "polished", "name": "polish", "prompt_template": "Polish it.", "template_refs": []}
    value["nodes"].append({**value["nodes"][2], **after, "dependencies": ["advice"]})
    (tmp_path / "new").mkdir()
    old, new = write_program(tmp_path), write_program(tmp_path / "new", value)
    done = gate(
        "--base-command", simulate("20ms"), "--program", str(old), "--candidate-program", str(new), *SHORT,
        "--bind", "complaint={{prompt}}", "--bind", "style=terse", "--window", "0.2s",
    ).finish()  # fmt: skip
    assert (done.code, done.err) == (4, ""), done.err
    report = done.report
    assert report["verdict"]["status"] == "regression"
    assert {window["trust"] for pair in report["pairs"] for window in (pair["base"], pair["candidate"])} == {"trusted"}
    base, candidate = (side["program"] for side in report["sides"])
    assert (base["flow_name"], candidate["flow_name"]) == ("tired", "tired")
    assert base["hash"] != candidate["hash"]
    assert f"program tired {base['hash']}, aetherc 0.1.0 and program tired {candidate['hash']}" in done.out
    assert [side["requests_total"] - side["ok_total"] for side in report["sides"]] == [0, 0]
    manifest = json.loads((done.run / "run.json").read_bytes())
    assert manifest["target"]["url"] == manifest["candidate"]["url"]
    assert manifest["node_ids"] == ["mood", "summary", "advice", "polished"]
    assert (manifest["program"], manifest["candidate_program"]) == (base, candidate)


@pytest.mark.slow
@pytest.mark.alone
def test_a_self_test_holds_two_of_the_same_build_against_each_other(gate: Callable[..., Any]) -> None:
    """A/A of one gate: exit code 0 and its own power, or 5 where this machine is too noisy to decide."""
    done = gate("--self-test", "--base-command", simulate("40ms"), *SHORT, "--output", "test.json").finish()
    test = json.loads((done.folder / "test.json").read_bytes())
    assert done.code in {0, 5}, done.err
    assert done.code == test["exit_code"]
    assert (test["gates_total"], sum(test["statuses"].values())) == (1, 1)
    assert "self-test of the gate: 1 gate between equal builds" in done.out
    assert done.report["plan"]["self_test"] is True


@pytest.mark.slow
def test_a_candidate_that_fails_is_exit_1(gate: Callable[..., Any], simulator: Callable[..., Simulator]) -> None:
    """The gate of a candidate that answers nothing well ends after its first window."""
    base, candidate = simulator("--latency", "constant:5ms"), simulator("--fail-rate", "1")
    done = gate("--base", base.url, "--candidate", candidate.url, *SHORT).finish()
    assert (done.code, done.err) == (1, "")
    verdict = done.report["verdict"]
    assert verdict["sentence"].startswith("candidate: none of ")
    assert len(done.report["pairs"]) == 1


@pytest.mark.slow
def test_somebody_elses_load_is_exit_5(
    gate: Callable[..., Any], simulator: Callable[..., Simulator], tmp_path: Path
) -> None:
    """A candidate that serves others meanwhile is not compared."""
    base, candidate = simulator("--latency", "constant:5ms"), simulator("--latency", "constant:5ms")
    node = {"id": "a", "node_type": "llm_fn", "prompt_template": "x"}
    dag = {"schema_version": "1.0", "metadata": {"flow_name": "x"}, "nodes": [node]}
    ask = "urllib3.request('POST', sys.argv[1] + '/execute', json=json.loads(sys.argv[2]))"
    # Often enough for each window, and not so often that it takes a core.
    program = f"import json, sys, time, urllib3\nfor _ in range(4000): {ask}; time.sleep(0.01)"
    other = subprocess.Popen([sys.executable, "-c", program, candidate.url, json.dumps({"dag": dag})])
    try:
        done = gate("--base", base.url, "--candidate", candidate.url, *SHORT, "--pairs", "21").finish()
    finally:
        other.kill()
        other.wait()
    assert (done.code, done.report["verdict"]["status"]) == (5, "invalid")
    assert ": contaminated: " in done.report["verdict"]["sentence"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_gate_says_what_it_has_and_leaves_nothing_behind(
    gate: Callable[..., Any], number: signal.Signals
) -> None:
    """Ctrl-C and SIGTERM: exit code 130, the pairs so far are kept, both servers are ended.

    No process that it started has a secret on its command line, where every user of the machine reads it.
    """
    secrets = ("--header", "X-Key: s3cr3t-7e1f", "--set", "target.headers.X-Other='s3cr3t-7e1f'")
    done = gate("--base-command", simulate("5ms"), "--candidate-command", simulate("5ms"), *LONG, *secrets)
    wait_for(lambda: done.phases() > 4 or done.process.poll() is not None, "some windows")
    started = [line for line in done.alive() if "aether_load gate" not in line]
    assert len(started) >= 3
    assert not [line for line in started if "s3cr3t" in line]
    done.process.send_signal(number)
    done.finish()
    assert (done.code, done.report["verdict"]["status"]) == (130, "interrupted"), done.err
    assert len(done.report["pairs"]) >= 2
    wait_for(lambda: not done.alive(), "the end of what the gate started")


@pytest.mark.slow
def test_a_gate_that_is_killed_takes_its_servers_with_it(gate: Callable[..., Any]) -> None:
    """After kill -9 the load and both servers end by themselves, and what was measured can be read."""
    done = gate("--base-command", simulate("5ms"), "--candidate-command", simulate("5ms"), *LONG)
    wait_for(lambda: done.phases() > 4 or done.process.poll() is not None, "some windows")
    done.process.kill()
    done.process.communicate()
    wait_for(lambda: not done.alive(), "the end of what the gate started")
    again = call_command("report", str(done.run), cwd=done.folder)
    # Load and servers end at the same time, so that the last window may hold failures.
    assert again.returncode in {1, 5, 130}
    assert "of 900 pairs used" in again.stdout


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (
            f"{sys.executable} -c \"print('{{port}}: no such build'); raise SystemExit(7)\"",
            "did not start: its command ended with exit code 7: ",
        ),
        (
            f'{sys.executable} -c "import time; time.sleep(60)" {{port}}',
            "within 1.5 s (nothing answered). Give it longer with --start-limit, or look at its command.",
        ),
    ],
)
def test_a_server_that_does_not_come_up_is_exit_3(gate: Callable[..., Any], command: str, sentence: str) -> None:
    """Within its limit, with what it said last, and the other one is ended too."""
    done = gate("--base-command", command, "--candidate-command", command, "--start-limit", "1.5s").finish()
    assert done.code == 3
    assert done.err.startswith("aether-load: The base ")
    assert sentence in done.err
    assert done.alive() == []


@pytest.mark.slow
def test_targets_that_are_no_two_builds_are_refused(
    gate: Callable[..., Any], simulator: Callable[..., Simulator], free_port: int
) -> None:
    """One that is not there is exit code 3, one of the other generation 2, in one sentence each."""
    base = simulator()
    missing = gate("--base", base.url, "--candidate", f"http://127.0.0.1:{free_port}", *SHORT).finish()
    assert missing.code == 3
    assert missing.err == (
        f"aether-load: No runtime can be reached at http://127.0.0.1:{free_port} (connection refused or no route). "
        "Start it there, or say where it is with --candidate.\n"
    )
    other = simulator("--generation", "v1")
    refused = gate("--base", base.url, "--candidate", other.url, *SHORT).finish()
    assert refused.code == 2
    assert "differ in their generation of the wire format (v2 and v1)" in refused.err


BOTH = "--base http://127.0.0.1:1 --candidate http://127.0.0.1:2"
USAGE = {
    "": "say what the candidate is compared with: --base URL or --base-command CMD.",
    "--base http://127.0.0.1:1": "say what is to be let through: --candidate URL or --candidate-command CMD.",
    "--base http://127.0.0.1:1 --candidate http://127.0.0.1:1/": "--base and --candidate are both http://127.0.0.1:1; "
    "for a build against itself say --self-test.",
    f"{BOTH} --base-command x{{port}}": "--base and --base-command contradict each other: leave one away.",
    "--base nonsense --candidate http://127.0.0.1:2": "--base nonsense: not a URL of a runtime; give one such as "
    "http://127.0.0.1:3000.",
    f"{BOTH} --metric throughputs": "--metric throughputs: there is no 'throughputs' to compare; did you mean "
    "'ok_throughput_rps'?",
    f"{BOTH} --window soon": '--window soon: expected a duration such as "90s", "1m30s" or "250ms".',
    f"{BOTH} --scenario nightly": "Scenario nightly has the phases closed, open; say with --phase whose load the gate "
    "sends.",
    "--base-command run-it --candidate http://127.0.0.1:2": "--base-command 'run-it': {port} does not stand in it, so "
    "that nobody knows where the server will listen; where its port is fixed, give it a container, as in: docker run "
    "-p {port}:3000 IMAGE.",
    "--base-command no-such-program{port} --candidate http://127.0.0.1:2": "--base-command: no-such-programPORT cannot "
    "be started: No such file or directory.",
    f"{BOTH} --candidate-program new.json": "--candidate-program compares two programs on one runtime: leave "
    "--candidate away.",
    "--base http://127.0.0.1:1 --self-test --candidate-program new.json": "--candidate-program compares two programs "
    "on one runtime: leave --self-test away.",
    "--candidate-program new.json": "say on which runtime the two programs are compared: --base URL or --base-command "
    "CMD.",
    "--base http://127.0.0.1:1 --candidate-program /new.json": "--candidate-program /new.json: the scenario sends no "
    "program to compare it with; name one with --program PATH.",
    "--base http://127.0.0.1:1 --program /none.json --candidate-program /new.json": "Program /none.json: it cannot be "
    "read: No such file or directory.",
    f"{BOTH} --gates 3": "--gates: only a --self-test is done several times.",
}


@pytest.mark.parametrize(("arguments", "sentence"), USAGE.items())
def test_what_does_not_fit_together_is_exit_2(tmp_path: Path, arguments: str, sentence: str) -> None:
    """One sentence, before anything is started."""
    done = call_command("gate", *arguments.split(), cwd=tmp_path)
    said = re.sub(r"(?<=no-such-program)\d+", "PORT", done.stderr.splitlines()[-1])
    assert (done.returncode, said) == (2, f"aether-load: {sentence}")
