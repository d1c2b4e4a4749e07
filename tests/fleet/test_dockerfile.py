"""The Dockerfile's commands do what they are there for, in a clean virtual environment in place of a container."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from processes import REPOSITORY

LINES = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8").splitlines()


def instructions(name: str) -> list[str]:
    return [line.split(" ", 1)[1] for line in LINES if line.startswith(name + " ")]


def test_everything_that_it_copies_is_there() -> None:
    copied = [path for line in instructions("COPY") for path in line.split()[:-1]]
    assert [path for path in copied if not (REPOSITORY / path).exists()] == []
    assert {"aether_load", "locustfiles", "scenarios", "startup"} <= set(copied)


@pytest.mark.slow
def test_its_commands_install_and_run_the_main_job(tmp_path: Path) -> None:
    work = tmp_path / "app"
    work.mkdir()
    for line in instructions("COPY"):
        *sources, target = line.split()
        for source in sources:
            path = REPOSITORY / source
            if path.is_dir():
                shutil.copytree(path, work / target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(path, work / target)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    places = f"{tmp_path / 'venv' / 'bin'}:/usr/bin:/bin"
    environment: dict[str, str] = {
        "PATH": places,
        "HOME": str(tmp_path),
        **dict(line.split("=") for line in instructions("ARG")),
    }
    for command in instructions("RUN"):
        subprocess.run(command, shell=True, cwd=work, env=environment, check=True)
    (entry,), (more,) = instructions("ENTRYPOINT"), instructions("CMD")
    start = [*json.loads(entry), *json.loads(more), "--no-page", "--verbose", "--processes", "2", "--limit", "5"]
    done = subprocess.run(start, cwd=work, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "25 nodes answered, 25 counted by the server: trusted" in done.stdout
    assert list((work / "results" / "runs").glob("*/samples.arrow"))
