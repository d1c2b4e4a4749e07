"""Build the sdist and the wheel, check them, and run the main job from each in an empty environment.

`python .ci/check_package.py FOLDER` leaves both in a folder. Exit 1 where one is not as it should be.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

MOST_BASE_MB = 480
"""What the base install may take on disk, with the environment that it lies in."""
REPOSITORY = Path(__file__).parents[1]
IN_WHEEL = (
    "aether_load/_scm_version.py", "aether_load/_shipped/scenarios/eval.toml",
    "aether_load/_shipped/locustfiles/eval.py", "_aether_load_startup.py", "aether_load_startup.pth",
    "aether_load_startup.start",
)  # fmt: skip
IN_SDIST = ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "SECURITY.md", "tests/conftest.py", ".ci/run")


def call(*words: str | Path, cwd: Path = REPOSITORY) -> str:
    """Run a program to its end and return what it printed; its failure ends this one."""
    environment = {key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    ended = subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode:
        sys.exit(f"{' '.join(map(str, words))} ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}")
    return ended.stdout


def missing() -> list[str]:
    """Return what should be in the two files and is not."""
    with zipfile.ZipFile(one("*.whl")) as wheel:
        names = set(wheel.namelist())
    with tarfile.open(one("*.tar.gz")) as sdist:
        of_sdist = {name.partition("/")[2] for name in sdist.getnames()}
    of_package = (path for path in (REPOSITORY / "aether_load").rglob("*") if path.is_file() and path.suffix != ".pyc")
    wanted = [*IN_WHEEL, *(path.relative_to(REPOSITORY).as_posix() for path in of_package)]
    return [*(name for name in wanted if name not in names), *(name for name in IN_SDIST if name not in of_sdist)]


def one(pattern: str) -> Path:
    """Return the one file of a kind that was built."""
    (found,) = folder.glob(pattern)
    return found


def install_and_run(file: Path, where: Path, *options: str) -> int:
    """Install a file into an empty environment, run it elsewhere, and return the size of the environment in MB."""
    environment = where / "environment"
    call(sys.executable, "-m", "venv", environment)
    call(environment / "bin" / "pip", "install", "--quiet", *options, file)
    command = environment / "bin" / "aether-load"
    version = call(command, "--version", cwd=where).strip()
    print(f"{file.name}: {version}")
    call(command, "run", "--limit", "10", "--no-self-check", cwd=where)
    (page,) = where.glob("results/runs/*/report.html")
    print(f"{file.name}: installed and run; a page of {page.stat().st_size >> 10} KB")
    files = (path for path in environment.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(path.stat().st_blocks for path in files) * 512 >> 20


folder = Path(sys.argv[1]).resolve()


def main() -> int:
    """Build, check, install and run."""
    call(sys.executable, "-m", "build", "--outdir", folder, REPOSITORY)
    print(call(sys.executable, "-m", "twine", "check", "--strict", one("*.whl"), one("*.tar.gz")), end="")
    print(call(Path(sys.executable).parent / "check-wheel-contents", one("*.whl")), end="")
    problems = [f"{name} is missing" for name in missing()]
    with tempfile.TemporaryDirectory() as where:
        size = install_and_run(one("*.whl"), Path(where))
    print(f"the environment takes {size} MB")
    if size > MOST_BASE_MB:
        problems.append(f"the base install takes {size} MB, more than {MOST_BASE_MB} MB")
    with tempfile.TemporaryDirectory() as where:
        # Byte code takes pip longer than all else, and is the same as the wheel's.
        install_and_run(one("*.tar.gz"), Path(where), "--no-compile")
    print("\n".join(problems) or "package: both files are as they should be")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
