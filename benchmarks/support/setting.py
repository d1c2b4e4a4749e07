"""What the benchmarks share: the request that is sent, where processes run, and what the machine is."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from aether_load.dag.workload import build_workload
from aether_load.datasets.loading import load_prompts
from aether_load.environment import machine
from aether_load.protocol import Generation
from aether_load.rundata.folder import RunFolder
from aether_load.scenario.load import find_scenario, load_scenario

HERE = Path(__file__).parents[1]
"""The folder benchmarks/."""
BODY = "body.json"
"""The file of the request that every sender posts."""
BODY_BYTES = 1500
SLACK_S = 60.0
"""What a sender needs beside its stretch, on a busy machine: its start, and for ours its results."""
_SAMPLE = HERE.parent / "aether_load" / "workload" / "sample" / "Rowan" / "hellaswag" / "validation.jsonl"
_PACKAGES = ("locust", "gevent", "geventhttpclient", "requests", "msgspec", "aiohttp", "orjson", "httpx")


class BenchmarkFailed(Exception):
    """No figure can be given; the text says why."""


@dataclass(frozen=True)
class Setting:
    """What a sender is given: target, body, the core it runs on, and a folder for its files."""

    url: str
    server_counts: bool
    body: Path
    folder: Path
    core: int
    users: int
    seconds: float

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment in which the programs of senders/ and locustfiles/ find what they need."""
        paths = [str(HERE), str(HERE.parent), os.environ.get("PYTHONPATH", "")]
        return os.environ | {
            "COST_URL": self.url,
            "COST_BODY": str(self.body),
            "COST_SECONDS": str(self.seconds),
            "COST_USERS": str(self.users),
            "COST_FILE": str(self.cost_file),
            "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        }

    @property
    def cost_file(self) -> Path:
        """Return the file in which a sender leaves its figures."""
        return self.folder / "cost.json"

    def run(self, command: Sequence[str], limit_s: float) -> dict[str, Any]:
        """Run a sender on its core until it ends; return the figures that it left, and its exit code."""
        self.cost_file.unlink(missing_ok=True)
        said = self.folder / "said.txt"
        with said.open("wb") as words, pinned(self.core):
            process = subprocess.Popen(
                command, env=self.environment, stdin=subprocess.DEVNULL, stdout=words, stderr=subprocess.STDOUT
            )
        try:
            code = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            raise BenchmarkFailed(f"not done after {limit_s:g} s: {' '.join(command)}") from None
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if not self.cost_file.is_file():
            words_said = said.read_text(encoding="utf-8", errors="replace").strip()
            raise BenchmarkFailed(f"no figures, exit code {code}: {' '.join(command)}\n{words_said[-4000:]}")
        figures: dict[str, Any] = json.loads(self.cost_file.read_text(encoding="utf-8"))
        return figures | {"exit_code": code}

    def locust(self, locustfile: str, *options: str) -> list[str]:
        """Return the command of a headless Locust on one of locustfiles/."""
        command = [sys.executable, "-m", "locust", "-f", str(HERE / "locustfiles" / locustfile), "--headless"]
        return [
            *command,
            "--host",
            self.url,
            "-u",
            str(self.users),
            "--loglevel",
            "WARNING",
            "--only-summary",
            *options,
        ]

    def ours(self, phase_end: str) -> list[str]:
        """Return the command of our users on the one prompt, for a phase that ends as the line of TOML says."""
        scenario = self.folder / "null.toml"
        scenario.write_text(
            f"""
[workload]
datasets = ["hellaswag"]
source = "folder"
dataset_dir = "."

[target]
server_metrics = {str(self.server_counts).lower()}

[[phases]]
name = "closed"
{phase_end}
""",
            encoding="utf-8",
        )
        return self.locust(
            "cost_of_ours.py", "--scenario", str(scenario), "--results-dir", str(self.folder / "results")
        )


def write_one_row(folder: Path) -> Path:
    """Make `folder` a data set of the bundled row whose body is nearest to 1.5 kB; return the file of that body.

    Every sender posts this body: ours as the one prompt of its data set, the others from the file.
    """
    scenario = load_scenario(find_scenario("eval"), {"workload.datasets": ["hellaswag"]})
    prompts, _ = load_prompts(scenario)
    bodies = build_workload(prompts, scenario.workload, Generation.V2).bodies
    nearest = min(range(len(bodies)), key=lambda index: abs(len(bodies[index]) - BODY_BYTES))
    row = _SAMPLE.read_text(encoding="utf-8").splitlines()[int(prompts[nearest].id.rsplit("/", 1)[1])]
    copy = folder / "Rowan" / "hellaswag" / "validation.jsonl"
    copy.parent.mkdir(parents=True)
    copy.write_text(row + "\n", encoding="utf-8")
    body = folder / BODY
    body.write_bytes(bodies[nearest])
    return body


def only_run(folder: Path) -> RunFolder:
    """Return the one run that `Setting.ours` left in the folder."""
    (path,) = (folder / "results" / "runs").iterdir()
    return RunFolder(path)


def cores() -> tuple[int, int]:
    """Return the null server's core and the sender's; the same one on a machine of one core."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[-1]


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Have what is started inside begin its life on `core`: a Go program counts its cores at its start."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def end_children_on_sigterm() -> None:
    """Have SIGTERM unwind the stack, so that no server or sender outlives its benchmark."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def allow_descriptors(count: int) -> None:
    """Raise the limit of open files for this process and all that it starts."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard not in {resource.RLIM_INFINITY, -1} and hard < count:
        raise BenchmarkFailed(f"{count} open files are needed and the machine allows {hard} (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (count if hard == resource.RLIM_INFINITY else hard, hard))


def surroundings(null_server: str) -> dict[str, Any]:
    """Return what a figure is worth nothing without: machine, its load now, versions, null server."""
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
        "null_server": null_server,
    }


def write_json(path: Path | None, content: dict[str, Any]) -> None:
    """Write a benchmark's result where --json says."""
    if path is not None:
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
