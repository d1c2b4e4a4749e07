"""Twelve secrets, each given in another way, to a runtime that says all of them back: none is found anywhere."""

import base64
import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import Popen

import psutil
import pytest

from aether_load.analysis.report import build_report
from aether_load.evaluation.evaluation import Evaluation
from aether_load.evaluation.options import hide_header, read_options
from aether_load.evaluation.questions import Question
from aether_load.outputs.charts.report_charts import report_charts
from aether_load.outputs.formats import FORMATS
from aether_load.outputs.page.html import page_html
from aether_load.rundata.folder import RunFolder
from planted import PLANTED, searched
from processes import REPOSITORY, Finished, LocustProcess, call_command
from reflecting_runtime import reflecting_runtime


@pytest.fixture
def runtime() -> Iterator[str]:
    with reflecting_runtime() as url:
        yield url


OUTPUTS = (
    "--csv", "stats", "--csv-full-history", "--html", "stats.html", "--json-file", "stats", "--output", "o.json",
    "--logfile", "log.txt", "--loglevel", "DEBUG", "--print-stats", "--locust-summary", "--verbose",
)  # fmt: skip


def command_lines_of_children(process: Popen[bytes]) -> str:
    """Watch a process to its end and return the command lines of all that it started, once they are their own."""
    seen = set()
    while process.poll() is None:
        with contextlib.suppress(psutil.Error):
            # Its own, as that of a child before its program, is at first another one.
            own = psutil.Process(process.pid).cmdline()
            for child in psutil.Process(process.pid).children(recursive=True):
                line = child.cmdline()
                # Between its fork and its program a child has the command line that somebody typed.
                seen |= {" ".join(line)} if line != own else set()
        time.sleep(0.1)  # between two looks at who is there
    return "\n".join(seen)


def test_no_secret_is_found_after_a_run(
    start_locust: Callable[..., LocustProcess], runtime: str, tmp_path: Path
) -> None:
    """In the results, in Locust's own, in logs, on the terminal, on children's command lines, in reports made again."""
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    (inputs / "own.toml").write_text(
        f"[target.headers]\nX-File = '{PLANTED['scenario']}'\nX-File-Env = '${{SECRET_5}}'\n"
        "[workload]\nlimit = 6\ndatasets = ['piqa']\n[[phases]]\nusers = 2\npasses = 2\n"
    )
    basic = base64.b64encode(f"ann:{PLANTED['password of Basic']}".encode()).decode()
    folder = tmp_path / "run"
    folder.mkdir()
    process = start_locust(
        "--headless", *OUTPUTS, "--host", runtime, "--scenario", str(inputs / "own.toml"),
        "--header", f"X-Plain: {PLANTED['header']}", f"--header=X-Joined: Token token={PLANTED['header behind =']}",
        "--header", "X-Env: Bearer ${SECRET_3}", "--header", f"Authorization: Basic {basic}",
        "--header", f"X-Short: {PLANTED['short']}", "--set", f"target.headers.X-Set='{PLANTED['set']}'",
        f"--set=target.headers.X-Set-2={PLANTED['set behind =']}",
        "--server-metrics-url", f"{runtime}/metrics?token={PLANTED['query of a URL']}",
        SECRET_3=PLANTED["environment"], SECRET_5=PLANTED["scenario's environment"], folder=folder,
        locustfile=REPOSITORY / "tests" / "locustfiles" / "talkative.py",
    )  # fmt: skip
    children = command_lines_of_children(process.process)
    finished = process.finish()
    assert finished.code == 1, finished.err
    logged = (folder / "log.txt").read_text()
    assert "talkative: in {'SECRET_3': '***', 'SECRET_5': '***'}" in logged
    assert "talkative: an option: --server-metrics-url" in logged
    (run,) = (folder / "results" / "runs").iterdir()
    assert b"X-Plain" in b"".join(path.read_bytes() for path in run.iterdir() if path.is_file())
    said = [finished.out, finished.err, children]
    for name in FORMATS:
        again = call_command("report", str(run), "--no-page", "--format", name, cwd=folder)
        said += [again.stdout, again.stderr]
    report = build_report(RunFolder.open(run))
    said.append(page_html(report, report_charts(report), {}, "/* script */"))
    assert searched(folder, *said) == {}


@pytest.mark.slow
def test_no_secret_of_a_config_file_or_a_table_is_found(
    fork_locust: Callable[..., Finished], runtime: str, tmp_path: Path
) -> None:
    """Locust reads options from a file too, and --set takes the whole target."""
    config = tmp_path / "locust.conf"
    config.write_text(f'header = ["X-Config: {PLANTED["config file"]}"]\n')
    table = f"target={{headers={{X-Table='{PLANTED['set as a table']}'}}}}"
    finished = fork_locust(
        "--host", runtime, "--config", str(config), "--set", table, "--limit", "4", "--dataset", "piqa", *OUTPUTS
    )
    config.unlink()
    assert finished.code == 1, finished.err
    assert searched(tmp_path, finished.out, finished.err) == {}


def test_no_secret_is_found_after_an_evaluation(
    runtime: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In its run's folder, in what a model says, in what lm-eval writes of its arguments."""
    monkeypatch.setenv("SECRET_3", PLANTED["environment"])
    given = [f"X-Plain: {PLANTED['header']}", "X-Env: Bearer ${SECRET_3}", f"X-Short: {PLANTED['short']}"]
    arguments = {"aether_url": runtime, "results_dir": str(tmp_path / "results"), "header": given, "max_retries": 0}
    evaluation = Evaluation(read_options(arguments))
    questions = [Question("piqa", number, 0, "Why?", ("because", "so"), (0, 1)) for number in range(8)]
    chosen = evaluation.choose(questions, [{"q": number} for number in range(8)], lambda: None)
    assert len(chosen) == 8
    info = evaluation.finish()
    hide_header(arguments)
    evaluation.end(None)
    said = capsys.readouterr()
    assert searched(tmp_path, str(info), str(arguments), said.out, said.err) == {}
