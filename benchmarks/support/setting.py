"""Make the request that is sent, run senders, and describe the machine."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from support.process_watch import ProcessWatch, cpu_s_between

from aether_load.dag.dag import asked_columns
from aether_load.dag.workload import build_workload
from aether_load.datasets.loading import load_prompts
from aether_load.environment import machine
from aether_load.protocol import Generation
from aether_load.scenario.load import find_scenario, load_scenario

HERE = Path(__file__).parents[1]
"""The folder benchmarks/."""
BODY = "body.json"
"""The file of the request that every sender posts."""
BODY_BYTES = 1500
SLACK_S = 60.0
"""What a sender needs beside the time that it sends: its start and, for ours, its results."""
COST_OF_OURS = HERE / "locustfiles" / "cost_of_ours.py"
"""Our users, which leave the sender's CPU time in a file."""
MAIN_JOB = HERE.parent / "locustfiles" / "eval.py"
"""Our users as everybody runs them."""
_SAMPLE = HERE.parent / "aether_load" / "datasets" / "sample" / "Rowan" / "hellaswag" / "validation.jsonl"
_PACKAGES = ("locust", "gevent", "geventhttpclient", "requests", "msgspec", "aiohttp", "orjson", "httpx")


class BenchmarkFailed(Exception):
    """No figure can be given; the text says why."""


@dataclass(frozen=True)
class Ended:
    """A process that has ended: what it printed, the CPU time of its whole life, and what was seen from outside."""

    exit_code: int
    out: str
    errors: str
    cpu_s: float
    elapsed_s: float
    watch: ProcessWatch

    @property
    def last_words(self) -> str:
        """Return the end of what it printed."""
        return f"{self.out[-2000:]}\n{self.errors[-2000:]}".strip()

    @property
    def resident_max_mb(self) -> float | None:
        """Return the most memory that it was seen with; None where it ended before it was looked at."""
        return round(self.watch.resident_max_bytes / 1e6, 1) or None


@dataclass(frozen=True)
class Setting:
    """What a sender is given: target, body, a folder for its files, and the core it runs on (None: any)."""

    url: str
    server_counts: bool
    body: Path
    folder: Path
    core: int | None
    users: int
    seconds: float

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment in which the programs of senders/ and locustfiles/ find what they need."""
        return python_environment() | {
            "COST_URL": self.url,
            "COST_BODY": str(self.body),
            "COST_SECONDS": str(self.seconds),
            "COST_USERS": str(self.users),
            "COST_FILE": str(self.cost_file),
        }

    @property
    def cost_file(self) -> Path:
        """Return the file to which a sender writes its figures."""
        return self.folder / "cost.json"

    @property
    def results(self) -> Path:
        """Return the results folder of `ours`."""
        return self.folder / "results"

    def run(self, command: Sequence[str], limit_s: float, watch_interval_s: float = 0.2) -> Ended:
        """Run a program on the core to its end; raises BenchmarkFailed where that is not within the limit."""
        out, errors = self.folder / "out.txt", self.folder / "errors.txt"
        began = time.monotonic()
        with out.open("wb") as to, errors.open("wb") as errors_to, pinned(self.core):
            process = subprocess.Popen(
                command, env=self.environment, stdin=subprocess.DEVNULL, stdout=to, stderr=errors_to
            )
        watch = ProcessWatch(process.pid, watch_interval_s)
        limit = threading.Timer(limit_s, process.kill)
        limit.start()
        try:
            # Popen's own wait() does not say what the process used.
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        finally:
            limit.cancel()
            watch.close()
        process.returncode = os.waitstatus_to_exitcode(status)
        elapsed_s = time.monotonic() - began
        if elapsed_s >= limit_s:
            raise BenchmarkFailed(f"not done after {limit_s:g} s: {' '.join(command)}")
        said, complained = (path.read_text(encoding="utf-8", errors="replace").strip() for path in (out, errors))
        return Ended(process.returncode, said, complained, usage.ru_utime + usage.ru_stime, elapsed_s, watch)

    def measure(self, command: Sequence[str], limit_s: float) -> dict[str, Any]:
        """Run a sender that writes its figures to `cost_file`; return them with what was seen of it from outside."""
        self.cost_file.unlink(missing_ok=True)
        ended = self.run(command, limit_s)
        if not self.cost_file.is_file():
            raise BenchmarkFailed(f"no figures, exit code {ended.exit_code}: {' '.join(command)}\n{ended.last_words}")
        figures: dict[str, Any] = json.loads(self.cost_file.read_text(encoding="utf-8"))
        return figures | {
            "exit_code": ended.exit_code,
            "resident_max_mb": ended.resident_max_mb,
            "observer_cpu_s": cpu_s_between(ended.watch.observer, figures["began_ns"], figures["ended_ns"]),
        }

    def locust(self, locustfile: Path, *options: str) -> list[str]:
        """Return the command of a headless Locust."""
        command = [sys.executable, "-m", "locust", "-f", str(locustfile), "--headless", "--host", self.url]
        return [*command, "--loglevel", "WARNING", "--only-summary", *options]

    def stock(self, locustfile: str) -> list[str]:
        """Return the command of users as Locust's documentation writes them."""
        users = str(self.users)
        return self.locust(HERE / "locustfiles" / locustfile, "-u", users, "-r", users)

    def ours(self, phase: str, *options: str, locustfile: Path = COST_OF_OURS, head: str = "") -> list[str]:
        """Return the command of our users on the one prompt; `phase` and `head` are TOML of the phase and the scenario.

        The results folder is emptied, so that it holds one run afterwards.
        """
        shutil.rmtree(self.results, ignore_errors=True)
        scenario = self.folder / "ours.toml"
        scenario.write_text(
            f"""
{head}
[workload]
datasets = ["hellaswag"]
source = "folder"
dataset_dir = "."

[target]
server_metrics = {str(self.server_counts).lower()}

[[phases]]
name = "measured"
{phase}
""",
            encoding="utf-8",
        )
        files = ("--scenario", str(scenario), "--results-dir", str(self.results))
        return self.locust(locustfile, *files, *options)


def python_environment() -> dict[str, str]:
    """Return the environment in which Python finds this tree's packages, and Locust no options of somebody's own."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")}
    paths = [str(HERE), str(HERE.parent), os.environ.get("PYTHONPATH", "")]
    return plain | {"PYTHONPATH": os.pathsep.join(path for path in paths if path)}


def write_one_row(folder: Path) -> Path:
    """Write the bundled row whose body is nearest to 1.5 kB as a dataset into `folder`; return the file of that body.

    Every sender posts this body: ours as the one prompt of its dataset, the others from the file.
    """
    scenario = load_scenario(find_scenario("eval"), {"workload.datasets": ["hellaswag"]})
    prompts, _ = load_prompts(scenario, asked_columns(scenario.workload))
    bodies = build_workload(prompts, scenario.workload, Generation.V2).bodies
    nearest = min(range(len(bodies)), key=lambda index: abs(len(bodies[index]) - BODY_BYTES))
    row = _SAMPLE.read_text(encoding="utf-8").splitlines()[int(prompts[nearest].id.rsplit("/", 1)[1])]
    copy = folder / "Rowan" / "hellaswag" / "validation.jsonl"
    copy.parent.mkdir(parents=True)
    copy.write_text(row + "\n", encoding="utf-8")
    body = folder / BODY
    body.write_bytes(bodies[nearest])
    return body


def cores() -> tuple[int, int]:
    """Return a core for the server and one for the sender; the same on a machine of one core."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[-1]


@contextmanager
def pinned(core: int | None) -> Iterator[None]:
    """Have processes that are started inside run on `core` (None: any) from their start, when Go counts its cores."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def end_children_on_sigterm() -> None:
    """Unwind the stack on SIGTERM, so that no server or sender outlives its benchmark."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def allow_descriptors(count: int) -> None:
    """Raise the limit of open files for this process and all that it starts."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard not in {resource.RLIM_INFINITY, -1} and hard < count:
        raise BenchmarkFailed(f"{count} open files are needed and the machine allows {hard} (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (count if hard == resource.RLIM_INFINITY else hard, hard))


def environment(server: str) -> dict[str, Any]:
    """Return the machine, its load now, the versions and the server: no figure means anything without them."""
    versions = {"python": sys.version.split()[0]}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "machine": machine(),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "versions": versions,
        "server": server,
    }


def write_json(path: Path | None, content: dict[str, Any]) -> None:
    """Write a benchmark's figures to the file that --json names."""
    if path is not None:
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
