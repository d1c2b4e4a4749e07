"""A workflow's job, run here step by step as GitHub runs it: conditions, environment, outputs, bash and its flags."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from processes import REPOSITORY
from workflows.expression import Functions, fill_in, holds

FOLDER = REPOSITORY / ".github" / "workflows"
FILES = ("GITHUB_ENV", "GITHUB_OUTPUT", "GITHUB_PATH", "GITHUB_STEP_SUMMARY")

Action = Callable[[dict[str, str]], object]
"""What stands in for an action: takes its inputs, raises AssertionError if it would fail."""


def read(name: str) -> dict[str, Any]:
    """Return a workflow; YAML 1.1 reads the key `on` as true, which is undone."""
    workflow: dict[Any, Any] = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
    workflow["on"] = workflow.pop(True)
    return workflow


@dataclass
class Step:
    """How one step ended; `code` and `text` (both outputs) of those that ran a script."""

    name: str
    outcome: str = "skipped"
    code: int | None = None
    text: str = ""
    outputs: dict[str, str] = field(default_factory=dict)


@dataclass
class Ended:
    """A job that has ended."""

    conclusion: str
    steps: list[Step]
    outputs: dict[str, str]
    summary: str

    def __getitem__(self, name: str) -> Step:
        return next(step for step in self.steps if step.name == name)

    @property
    def scripts(self) -> set[str]:
        """The names of the steps whose script was run."""
        return {step.name for step in self.steps if step.code is not None}


@dataclass
class Machine:
    """What a job finds: its two folders, what stands in for actions, and its environment over this process's own."""

    workspace: Path
    temp: Path
    actions: Mapping[str, Action]
    environment: Mapping[str, str] = field(default_factory=dict)
    left_out: frozenset[str] = frozenset()
    """Names of steps that count as passed and are not executed."""

    def files(self) -> dict[str, Path]:
        return {name: self.temp / name for name in FILES}


def run_job(
    workflow: dict[str, Any], name: str, machine: Machine, contexts: Mapping[str, Any], given: Mapping[str, str]
) -> Ended:
    """Run a job; `given` takes the place of values of the same name in any `env`, each of which must be there."""
    job = workflow["jobs"][name]
    machine.workspace.mkdir(parents=True, exist_ok=True)
    machine.temp.mkdir(parents=True, exist_ok=True)
    for path in machine.files().values():
        path.write_text("")
    steps: dict[str, dict[str, Any]] = {}
    held = {"inputs": {}, "needs": {}, **contexts, "runner": {"temp": str(machine.temp)}, "steps": steps, "env": {}}
    failed = any(need["result"] != "success" for need in held["needs"].values())

    def functions() -> Functions:
        return {
            "always": lambda: True,
            "cancelled": lambda: False,
            "success": lambda: not failed,
            "failure": lambda: failed,
            "hashFiles": lambda pattern: "".join(map(str, sorted(machine.workspace.glob(pattern)))),
        }

    if not holds(job.get("if"), held, functions()):
        return Ended("skipped", [], {}, "")
    failed = False
    unused = set(given)

    def environment(more: Mapping[str, object]) -> dict[str, str]:
        unused.difference_update(more)
        return {key: given[key] if key in given else fill_in(value, held, functions()) for key, value in more.items()}

    held["env"] = environment(workflow.get("env", {})) | environment(job.get("env", {}))
    done = []
    for plan in job["steps"]:
        step = Step(plan.get("name", plan.get("uses", "")))
        done.append(step)
        if not holds(plan.get("if"), held, functions()):
            pass
        elif step.name in machine.left_out:
            step.outcome = "success"
        elif "uses" in plan:
            inputs = {key: fill_in(value, held, functions()) for key, value in plan.get("with", {}).items()}
            machine.actions[plan["uses"].split("@")[0]](inputs)
            step.outcome = "success"
        else:
            where = machine.workspace / plan.get("working-directory", ".")
            _run_script(step, plan["run"], where, machine, held["env"] | environment(plan.get("env", {})), held)
        failed = failed or step.outcome == "failure"
        if "id" in plan:
            steps[plan["id"]] = {"outcome": step.outcome, "outputs": step.outputs}
        held["env"] = held["env"] | _pairs(machine.files()["GITHUB_ENV"])
    assert not unused, f"no env of the job has {sorted(unused)}"
    outputs = {key: fill_in(value, held, functions()) for key, value in job.get("outputs", {}).items()}
    summary = machine.files()["GITHUB_STEP_SUMMARY"].read_text()
    return Ended("failure" if failed else "success", done, outputs, summary)


def _run_script(
    step: Step, script: str, where: Path, machine: Machine, environment: Mapping[str, str], contexts: Mapping[str, Any]
) -> None:
    files = machine.files()
    files["GITHUB_OUTPUT"].write_text("")
    path = machine.temp / "step.sh"
    path.write_text(script)
    added = files["GITHUB_PATH"].read_text().split()
    tools = [machine.environment.get("PATH", ""), str(Path(sys.executable).parent), os.environ["PATH"]]
    finished = subprocess.run(
        # These are the flags of `shell: bash`.
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(path)],
        cwd=where,
        env={
            **{key: value for key, value in os.environ.items() if not key.startswith(("LOCUST_", "GITHUB_", "GIT_"))},
            "PYTHONPATH": str(REPOSITORY),
            **environment,
            **machine.environment,
            "PATH": ":".join([*added, *filter(None, tools)]),
            **{name: str(file) for name, file in files.items()},
            "GITHUB_WORKSPACE": str(machine.workspace),
            "GITHUB_REPOSITORY": contexts["github"]["repository"],
            "RUNNER_TEMP": str(machine.temp),
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    step.code, step.text = finished.returncode, finished.stdout
    step.outcome = "success" if finished.returncode == 0 else "failure"
    step.outputs.update(_pairs(files["GITHUB_OUTPUT"]))


def _pairs(file: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in file.read_text().splitlines())
