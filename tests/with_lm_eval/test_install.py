"""What an installation puts beside the package, so that `python -m lm_eval` knows the model."""

import pkgutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from processes import REPOSITORY

pytest.importorskip("lm_eval", reason="lm-eval is not installed: pip install -e '.[lm-eval]'")

BESIDE = ["_aether_load_startup.py", "aether_load_startup.pth", "aether_load_startup.start"]


def test_this_installation_has_all_that_lm_eval_needs() -> None:
    """CI installs in editable mode: there too the three files lie where Python looks for them at its start."""
    site = Path(sysconfig.get_path("purelib"))
    assert [name for name in BESIDE if not (site / name).is_file()] == []
    assert [(site / name).read_bytes() == (REPOSITORY / "startup" / name).read_bytes() for name in BESIDE] == [True] * 3


def test_both_ways_of_starting_call_the_same() -> None:
    """The .pth line (up to Python 3.14) and the .start entry point (from 3.15 on) are one function."""
    (line,) = (REPOSITORY / "startup" / "aether_load_startup.start").read_text().splitlines()
    assert pkgutil.resolve_name(line).__name__ == "install"
    (imports,) = (REPOSITORY / "startup" / "aether_load_startup.pth").read_text().splitlines()
    module, function = line.split(":")
    assert imports == f"import {module}; {module}.{function}()"


def test_a_start_of_python_imports_nothing_more_than_the_finder() -> None:
    """What every start pays for is one small module that itself imports what is there already."""
    code = "import sys; print(' '.join(sys.modules))"
    with_it, without = (
        set(
            subprocess.run(
                [sys.executable, *flags, "-c", code], capture_output=True, text=True, check=True
            ).stdout.split()
        )
        for flags in ([], ["-S"])
    )
    assert "_aether_load_startup" in with_it
    source = (REPOSITORY / "startup" / "_aether_load_startup.py").read_text()
    top = [line for line in source.splitlines() if line.startswith(("import ", "from "))]
    assert top == ["import sys"]
    assert not {name for name in with_it - without if name.split(".")[0] in {"aether_load", "lm_eval", "msgspec"}}


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["wheel", "editable"])
def test_a_fresh_installation_registers_and_a_removal_leaves_nothing(mode: Any, tmp_path: Path) -> None:
    """Built, installed into a new environment, seen by lm-eval there, and removed without a trace."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    site = Path(
        subprocess.run(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    )
    # The dependencies are those of this environment; of its start-up files none is read from there.
    (site / "zz_dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    what = ["--editable", str(REPOSITORY)]
    if mode == "wheel":
        built = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), str(REPOSITORY)]
        subprocess.run(built, check=True)
        what = [str(path) for path in tmp_path.glob("*.whl")]
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", *what], check=True)
    seen = subprocess.run(
        [
            python,
            "-c",
            (
                "import aether_load, lm_eval.models; from lm_eval.api.registry import get_model;"
                "print(get_model('aether_stub').__name__, aether_load.__file__)"
            ),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert seen.returncode == 0, seen.stderr
    name, where = seen.stdout.split()
    assert (name, Path(where).is_relative_to(site if mode == "wheel" else REPOSITORY)) == ("AetherStub", True)
    assert [beside for beside in BESIDE if not (site / beside).is_file()] == []
    subprocess.run([python, "-m", "pip", "uninstall", "-q", "-y", "aether-load"], check=True)
    assert [beside for beside in BESIDE if (site / beside).exists()] == []
    after = subprocess.run([python, "-c", "pass"], capture_output=True, text=True, check=False)
    assert (after.returncode, after.stdout, after.stderr) == (0, "", "")
