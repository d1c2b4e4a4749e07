from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aether_load import __version__
from aether_load.simulator.__main__ import main
from simulator.simulated import COMMAND, Client, Simulator, SimulatorProcess, is_alive, llm, raw_request, wait_for


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Run the command in this process, to its end; return exit code and both outputs."""

    def call(*flags: str) -> tuple[int, str, str]:
        code = main([*flags, *(() if "--port" in flags else ("--port", "0"))])
        return code, *capsys.readouterr()

    return call


@pytest.mark.parametrize("generation", ["v1", "v2"])
def test_one_line_when_ready(start_process: Callable[..., SimulatorProcess], generation: str) -> None:
    """It prints exactly one line that says what it simulates and where, and then serves there."""
    simulator = start_process("--generation", generation)
    assert simulator.line == f"simulated Aether runtime {generation} listening on http://127.0.0.1:{simulator.port}"
    headers = simulator.get("/health").headers
    assert (headers["server"], headers["x-aether-load-simulator"]) == (
        f"aether-load-simulator/{__version__}",
        __version__,
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_quietly(
    start_process: Callable[..., SimulatorProcess], number: signal.Signals, tmp_path: Path
) -> None:
    """SIGTERM and SIGINT end it with 0 and without a word, also while requests are under way, which are recorded."""
    record = tmp_path / "record.jsonl"
    simulator = start_process("--record", str(record), latency="constant:30s")
    with simulator.connect() as connection:
        connection.sendall(raw_request({"dag": {"nodes": [llm()]}}))
        wait_for(lambda: simulator.summary()["in_flight"] == 1)
        simulator.process.send_signal(number)
        assert simulator.process.wait(timeout=10) == 0
        assert simulator.process.stdout is not None
        assert simulator.process.stdout.read() == ""
    assert '"sent":"exit"' in record.read_text()


def test_ends_when_the_parent_closes_its_pipe(start_process: Callable[..., SimulatorProcess]) -> None:
    """With --exit-with-parent, the end of standard input ends it with 0."""
    simulator = start_process()
    assert simulator.process.stdin is not None
    simulator.process.stdin.close()
    assert simulator.process.wait(timeout=10) == 0
    simulator.process.stdin = None


def test_ends_when_the_parent_is_killed(tmp_path: Path) -> None:
    """With --exit-with-parent, no simulator is left behind by a parent that was killed with SIGKILL."""
    program = (
        "import subprocess, sys\n"
        f"child = subprocess.Popen({[*COMMAND, '--port', '0', '--exit-with-parent']!r}, stdin=subprocess.PIPE,"
        " stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
        "child.wait()\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert is_alive(pid)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_for(lambda: not is_alive(pid))


def test_stays_without_a_parent_to_watch() -> None:
    """Without --exit-with-parent, the end of standard input means nothing."""
    with subprocess.Popen([*COMMAND, "--port", "0"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().rsplit(b":", 1)[1])
        socket.create_connection(("127.0.0.1", port)).close()
        assert process.poll() is None
        process.terminate()
        assert process.wait(timeout=10) == 0


def test_a_taken_port_is_named_with_its_remedy(simulate: Callable[..., Simulator], run: Callable[..., Any]) -> None:
    """A port that is taken ends it with 2 and one sentence that names --port."""
    port = simulate().port
    remedy = "choose another with --port, or --port 0 for any free one"
    assert run("--port", str(port)) == (2, "", f"error: port {port} on 127.0.0.1 is taken; {remedy}\n")


@pytest.mark.parametrize(
    ("flags", "part"),
    [
        (["--latency", "often:50ms"], "'often:50ms' is no latency; write one of constant:50ms"),
        (["--latency", "constant:50"], "'50' is no duration; write it like 50ms"),
        (["--latency", "uniform:90ms,10ms"], "must not be above the second"),
        (["--latency", "lognormal:0,1"], "must be above 0"),
        (["--latency", "lognormal:1s,x"], "'x' is no sigma"),
        (["--latency", "trace:nowhere"], "the latency trace 'nowhere' cannot be read"),
        (["--token-latency", "x"], "'x' is no duration"),
        (["--slots", "0"], "--slots 0 lets no node run"),
        (["--slots", "many"], "argument --slots: invalid int value: 'many'"),
        (["--port", "70000"], "--port 70000 is no port"),
        (["--accuracy", "1.5"], "--accuracy 1.5 is no probability"),
        (["--fail-rate", "2"], "'2' is no share"),
        (["--record-limit", "-1"], "--record-limit -1 is impossible"),
        (["--answer", "A", "--answer-key", "k"], "exclude each other"),
        (["--answer-key", "nowhere"], "--answer-key nowhere: No such file or directory"),
        (["--record", "/nowhere/record"], "--record /nowhere/record: No such file or directory"),
        (["--fault", "quake"], "Invalid value 'quake'"),
        (["--fault", "close:at=teatime"], "Invalid enum value 'teatime'"),
        (["--fault", "close:share"], "'share' is no setting of a fault"),
        (["--fault", "late:delay=soon"], "'soon' is no duration"),
        (["--stall", "1x"], "'1x' is no duration"),
        (["--record-limit", "9" * 30], "is impossible; give 0 to 10,000,000 requests"),
        (["--latency", "lognormal:1s,300"], "'300' is no sigma"),
        (["--latency", "trace:/dev/zero"], "the latency trace '/dev/zero' cannot be read: [Errno 27] File too large"),
        (["--answer-key", "/dev/zero"], "--answer-key /dev/zero: File too large"),
        (["--answer", "\udcff"], "'\\udcff' is not UTF-8"),
        (["--fault", "panic:message=\udcff"], "is not UTF-8"),
        (["--bind", "\u00fc" * 90], "is no address"),
        (["--generation", "v3"], "invalid choice: 'v3'"),
        (["--bind", "256.0.0.1"], "cannot be listened on"),
        (["--frobnicate"], "unrecognized arguments: --frobnicate"),
        (["--lat", "constant:0"], "unrecognized arguments: --lat constant:0"),
    ],
)
def test_bad_options_are_one_sentence(run: Callable[..., Any], flags: list[str], part: str) -> None:
    """An option that is wrong ends it with 2, one line on standard error, and nothing on standard output."""
    code, out, err = run(*flags)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("error: ")
    assert part in err


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("", "has no rows"),
        ("\udcff", "can't decode byte 0xff"),
        ("{", "line 1: Input data was truncated"),
        ('{"match": "a", "answer": "b"}\n{"match": 5}', "line 2: Expected `str`, got `int`"),
        ('{"match": "", "answer": "b"}', "line 1: an empty match occurs in every prompt"),
    ],
)
def test_a_bad_answer_key_is_named_by_line(run: Callable[..., Any], tmp_path: Path, content: str, part: str) -> None:
    """A key file that is wrong is named with the line."""
    key = tmp_path / "key.jsonl"
    key.write_text(content, errors="surrogateescape")
    code, out, err = run("--answer-key", str(key))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert str(key) in err
    assert part in err


def test_the_record_file_has_a_line_for_each_request_that_ended(
    start_process: Callable[..., SimulatorProcess], tmp_path: Path
) -> None:
    """The file has the lines of GET /_sim/record, at once and not only at the end."""
    path = tmp_path / "record.jsonl"
    simulator = start_process("--record", str(path), "--record-limit", "2")
    for number in range(3):
        simulator.run(llm(prompt=f"p{number}"))
    assert [row["sequence"] for row in simulator.record()] == [2, 3]
    assert path.read_bytes().splitlines()[1:] == simulator.get("/_sim/record").body.splitlines()
    assert simulator.get("/_sim/record").headers["x-dropped"] == "1"
    os.kill(simulator.process.pid, signal.SIGKILL)
    simulator.process.wait()
    assert len(path.read_bytes().splitlines()) == 3


def test_the_simulator_helper_reports_a_failed_start() -> None:
    """A simulator that does not start says why."""
    with pytest.raises(RuntimeError, match="--slots 0 lets no node run"):
        SimulatorProcess("--slots", "0")


def test_a_record_that_cannot_be_written_ends_it() -> None:
    """A full disk ends it with 1 and one sentence, because a record with gaps is no truth."""
    simulator = SimulatorProcess("--record", "/dev/full")
    simulator.post("/execute", {})
    assert simulator.process.wait(10) == 1
    assert simulator.close() == "error: --record /dev/full: No space left on device; the record is not complete\n"


@pytest.mark.parametrize("stdout", ["/dev/full", None])
def test_it_serves_without_standard_output(stdout: str | None, free_port: int) -> None:
    """A standard output that is full or closed does not keep it from serving, nor from ending with 0."""
    command = [*COMMAND, "--port", str(free_port)]
    shell = " ".join(command) + (f" >{stdout}" if stdout else " >&-")
    with subprocess.Popen(["sh", "-c", f"exec {shell}"], stderr=subprocess.PIPE) as process:
        simulator = Client()
        simulator.port = free_port
        wait_for(lambda: not simulator.is_refused())
        assert simulator.get("/health").status == 200
        process.terminate()
        assert process.stderr is not None
        assert (process.wait(10), process.stderr.read()) == (0, b"")
