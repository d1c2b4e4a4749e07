"""What a command line can get wrong: one sentence and exit code 2, and nothing is sent; a line a case."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from processes import Finished, LocustProcess, assert_refused, call_command

DEEP = "a." * 5000 + "b=1"
BRACKETS = "[" * 5000 + "]" * 5000
TABLES = "{a=" * 5000 + "1" + "}" * 5000
BYTES = os.fsdecode(b"caf\xe9\xff")

RUNS = [
    (("--host", "http://[::1"), "--host http://[::1: not a URL of a runtime"),
    (("--host", "http://[::1]:x"), "--host"),
    (("--host", "http://]"), "--host"),
    (("--host", "http://"), "--host"),
    (("--host", ""), "--host"),
    (("--host", "ftp://x"), "--host"),
    (("--host", "http://a:99999"), "--host"),
    (("--host", "http://a\u2024b\u0000"[:-1]), "--host"),
    (("--host", f"http://{BYTES}/"), "--host"),
    (("--host", "http://user:pw@h"), "--host"),
    (("--host", "http://h/?a=b"), "--host"),
    (("-t", "9000h"), "-t"),
    (("-t", "99999999999999999999h"), "-t"),
    (("-t", "0"), "-t"),
    (("-t", "soon"), "time"),
    (("-t", "-5s"), ""),
    (("-u", "0"), "-u 0"),
    (("-u", "100000000"), "-u"),
    (("-u", "x"), "-u"),
    (("-r", "0"), "-r"),
    (("-r", "nan"), "-r"),
    (("--set", DEEP), "--set a.a."),
    (("--set", f"x={BRACKETS}"), "levels"),
    (("--set", f"x={TABLES}"), "levels"),
    (("--set", f"workload.files={TABLES}"), "levels"),
    (("--set", "=1"), "--set"),
    (("--set", "phases=7"), "phases"),
    (("--set", "phases.0=7"), "phases"),
    (("--set", "phases.0.duration=1e400"), "duration"),
    (("--set", "phases.0.duration=nan"), "duration"),
    (("--set", "phases.0.users=9999999999999999999999"), "users"),
    (("--set", "phases.0.rate=-1"), "rate"),
    (("--set", "target.connect_timeout=-1"), "connect_timeout"),
    (("--set", "target.request_timeout=1e300"), "request_timeout"),
    (("--set", "name='\U0001f4a5'"), "name"),
    (("--set", "name=''"), "name"),
    (("--set", "repeat=1000000000"), "repeat"),
    (("--scenario", BYTES), "no scenario of that name"),
    (("--scenario", f"{BYTES}.toml"), "no such file"),
    (("--scenario", "/dev/null"), "no scenario of that name"),
    (("--scenario", "x" * 5000 + ".toml"), "--scenario"),
    (("--tags", "x"), "--tags leaves EvalUser out"),
    (("--tags", "x", "y"), "--tags"),
    (("--master", "--worker"), "contradict each other"),
    (("--master", "--processes", "2"), "contradict each other"),
    (("--processes", "0"), "processes"),
    (("--processes", "many"), "processes"),
    (("--dataset", "nothing"), "nothing"),
    (("--dataset", ""), "dataset"),
    (("--limit", "-1"), "--limit"),
    (("--limit", "x"), "--limit"),
    (("--dag", "moebius"), "moebius"),
    (("--dag-nodes", "0"), "dag_nodes"),
    (("--dag-nodes", "100000000"), "dag_nodes"),
    (("--dag-file", "/dev/null"), "/dev/null"),
    (("--dag-file", "nowhere.json"), "nowhere.json"),
    (("--program", "nowhere.json"), "nowhere.json"),
    (("--bind", "x"), "--bind"),
    (("--dataset-dir", "nowhere"), "nowhere"),
    (("--dataset-dir", "/dev/null"), "/dev/null"),
    (("--header", "no colon"), "--header"),
    (("--header", "A: ${NOT_SET_AT_ALL}"), "NOT_SET_AT_ALL"),
    (("--header", "A: b\r\nC: d"), "header"),
    (("--header", "\x00: b"[1:]), "header"),
    (("--ca-file", "nowhere.pem", "--host", "https://127.0.0.1:9"), "nowhere.pem"),
    (("--ca-file", "/dev/null", "--host", "https://127.0.0.1:9"), "/dev/null"),
    (("--server-metrics-url", "http://[::1"), "http://[::1"),
    (("--server-metrics-url", "x"), "x"),
    (("--threshold", "p(95)"), "--threshold"),
    (("--threshold", "p(1e9)<1"), "--threshold"),
    (("--threshold", "x" * 10_000), "--threshold"),
    (("--fail-on-warning", "no_such"), "no_such"),
    (("--label", BYTES), "--label"),
    (("--output", "/dev/null/x"), "/dev/null/x"),
    (("--output", "."), "that is a folder"),
    (("--output", "x" * 300), "cannot be written"),
    (("--results-dir", "/dev/null"), "cannot be made"),
    (("--results-dir", "/proc"), "/proc"),
    (("--results-dir", "x" * 300), "cannot be made"),
    (("--prometheus-port", "0"), "prometheus-port"),
    (("--prometheus-port", "70000"), "prometheus-port"),
    (("--web-port", "-1"), "web-port"),
    (("--cache", "lukewarm"), "lukewarm"),
    (("--simulate", "v9"), "v9"),
    (("--no-such-option",), "--no-such-option"),
]  # fmt: skip

COMMANDS = [
    (("gate",), "base"),
    (("gate", "--base", "http://[::1", "--candidate", "http://127.0.0.1:9"), "--base http://[::1"),
    (("gate", "--base", "http://127.0.0.1:9", "--candidate", "http://]"), "--candidate http://]"),
    (("gate", "--base-command", "x", "--candidate", "http://127.0.0.1:9"), "{port}"),
    (("gate", "--base-command", "nowhere {port}", "--candidate-command", "nowhere {port}"), "nowhere"),
    (("gate", "--base-command", "'{port}", "--candidate-command", "x {port}"), "--base-command"),
    (("gate", "--scenario", "x.toml", "--base", "http://a", "--candidate", "http://b"), "x.toml"),
    (("report",), "RUN"),
    (("report", BYTES), "not a run's folder"),
    (("report", "latest"), "no run"),
    (("report", "x" * 5000), "x"),
    (("report", "nowhere", "--format", "tea"), "tea"),
    (("report", "nowhere", "--output", "."), "folder"),
    (("report", "nowhere", "--output", f"/dev/null/{BYTES}"), "cannot be made"),
    (("compare",), "RUN"),
    (("compare", "nowhere", "nowhere"), "nowhere"),
    (("compare", BYTES, BYTES), "not a run's folder"),
    (("scenarios", "show", "nothing"), "nothing"),
    (("scenarios", BYTES), "no scenario"),
    (("answer-key", "--dag-file", "/dev/null"), "/dev/null"),
    (("answer-key", "--scenario", "/nowhere.toml"), "/nowhere.toml"),
    (("simulate", "--port", "x"), "port"),
    (("simulate", "--latency", "soon"), "soon"),
    (("simulate", "--fault", "nonsense"), "nonsense"),
    (("simulate", "--fault", "{" * 9000), "fault"),
    (("completion", "csh"), "csh"),
    (("init", "/dev/null/x"), "/dev/null"),
    (("nonsense",), "nonsense"),
    ((BYTES,), "invalid choice"),
    ((), "COMMAND"),
]  # fmt: skip

QUICK = 5


def table(cases: Any) -> list[Any]:
    return [
        pytest.param(*case, id=f"{place}", marks=[] if place < QUICK else [pytest.mark.slow])
        for place, case in enumerate(cases)
    ]


@pytest.mark.parametrize(("options", "words"), table(RUNS))
def test_a_wrong_option_of_a_run(fork_locust: Callable[..., Finished], options: Any, words: Any) -> None:
    assert_refused(fork_locust(*options), 2, words)


@pytest.mark.parametrize(("arguments", "words"), table(COMMANDS))
def test_a_wrong_command(tmp_path: Path, arguments: Any, words: Any) -> None:
    done = call_command(*arguments, cwd=tmp_path)
    assert done.returncode == 2, done
    assert re.fullmatch(r"aether-load: [^\n]+\n", done.stderr), done.stderr
    assert words in done.stderr


def test_a_taken_port_of_the_page_is_said_before_the_load(
    start_locust: Callable[..., LocustProcess], free_port: int
) -> None:
    """Locust itself finds it out in a greenlet, when everything is prepared."""
    import socket

    with socket.create_server(("127.0.0.1", free_port)):
        finished = start_locust("--web-port", str(free_port)).finish()
    assert_refused(finished, 2, f"--web-port {free_port}: it cannot be had on 127.0.0.1")
