"""docs/ci.md says what is so: its caller, its inputs, its commands, its namespaces."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from processes import REPOSITORY, run_command
from workflows.job import FOLDER, read

PAGE = (REPOSITORY / "docs" / "ci.md").read_text(encoding="utf-8")
GATE = read("gate.yml")
SHELL = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
(CALLER,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def block(words: str) -> str:
    (found,) = [block for block in SHELL if words in block]
    answer: str = found
    return answer


def test_the_caller_gives_what_the_workflow_asks_for() -> None:
    """Each required input, none that is not declared, and every permission that a job of it names."""
    (job,) = yaml.safe_load(CALLER)["jobs"].values()
    inputs = GATE["on"]["workflow_call"]["inputs"]
    required = {name for name, declared in inputs.items() if declared.get("required")}
    assert required <= set(job["with"]) <= set(inputs)
    granted = job["permissions"]
    assert granted == {key: value for job in GATE["jobs"].values() for key, value in job["permissions"].items()}
    file, commit = job["uses"].split("@")
    assert file == f"{job['with']['harness-repository']}/.github/workflows/gate.yml"
    assert commit == job["with"]["harness-ref"]


def test_every_input_is_explained() -> None:
    """The table has each once."""
    table = PAGE[PAGE.index("| input |") : PAGE.index("A private repository")]
    named = [name for cell in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall("`(.*?)`", cell)]
    assert named == list(GATE["on"]["workflow_call"]["inputs"])


def test_the_container_is_started_as_the_workflow_starts_it() -> None:
    """Word for word."""
    (step,) = [step for step in GATE["jobs"]["gate"]["steps"] if step.get("id") == "gate"]
    assert f"run='{block('docker run').strip().removesuffix(' aether-runtime:base')}'" in step["run"]


def test_every_option_of_the_gate_exists() -> None:
    """Those of the commands on the page and in the workflows."""
    scripts = [PAGE, *(path.read_text() for path in FOLDER.iterdir())]
    commands = re.findall(r"aether-load gate(?: [^`\n]*\\\n)*[^`\n]*", "\n".join(scripts))
    # What is quoted is another command's.
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", re.sub(r"'[^']*'", "", " ".join(commands))))
    assert {"--base", "--base-command", "--junit"} <= named
    assert named <= set(re.findall(r"--[a-z][a-z-]+", run_command("gate", "--help", cwd=REPOSITORY).stdout))


@pytest.mark.parametrize("target", re.findall(r"\]\((?!http)([^)#]+)\)", PAGE))
def test_every_link_leads_somewhere(target: str) -> None:
    """Relative links lead to files beside the page."""
    assert (REPOSITORY / "docs" / target).exists()


@pytest.fixture
def own_network() -> list[str]:
    """Words before a command that give it a network and names of namespaces of its own, gone when it ends."""
    words = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("unshare"):
        pytest.skip("network namespaces want root, ip (apt-get install iproute2) and unshare")
    if subprocess.run([*words, "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("network namespaces cannot be made here")
    return words


def test_two_runtimes_listen_on_port_3000_in_two_namespaces(own_network: list[str], tmp_path: Path) -> None:
    """Made as the page says, reached as the page says, on one core; and nothing is left when they are ended so."""
    runtime = f"#!/bin/sh\nexec {sys.executable} -m aether_load simulate --bind 0.0.0.0 --port 3000\n"
    for side in ("base", "candidate"):
        binary = tmp_path / side / "target" / "release" / "aether-runtime"
        binary.parent.mkdir(parents=True)
        binary.write_text(runtime)
        binary.chmod(0o755)
    start = block("ip netns add").replace("--cpu-list 1", f"--cpu-list {max(os.sched_getaffinity(0))}")
    addresses = re.findall(r"http://\S+:3000", block("aether-load gate"))
    wait = "timeout 20 sh -c 'until curl --silent --fail --output /dev/null {}/health; do sleep 0.05; done'"
    script = "\n".join(
        (
            "set -eu",
            "mkdir -p /run/netns",
            "mount -t tmpfs tmpfs /run/netns",
            start,
            *(f"{wait.format(address)} && echo healthy" for address in addresses),
            "for side in base candidate; do",
            '  ip netns pids "aether-$side" | xargs -n 1 taskset --cpu-list --pid',
            "done",
            block("ip netns delete"),
            "wait",
            "ip netns list",
            # The cables go with their namespaces, a moment later.
            """timeout 10 sh -c 'while ip -brief link show type veth | grep -q .; do sleep 0.02; done'""",
        )
    )
    command = [*own_network, "bash", "-c", script]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    lines = [line for line in done.stdout.splitlines() if "listening on" not in line]
    assert (len(addresses), done.returncode) == (2, 0), done.stderr + done.stdout
    assert lines[:2] == ["healthy", "healthy"]
    cores = {line.split(": ")[1] for line in lines[2:]}
    assert (len(lines), cores) == (4, {str(max(os.sched_getaffinity(0)))}), done.stdout
