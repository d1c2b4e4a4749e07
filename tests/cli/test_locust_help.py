"""`locust -f FILE --help` lists our options, though Locust prints its help before it reads a locustfile."""

import subprocess
import sys
from pathlib import Path

import pytest

from processes import EVAL, REPOSITORY, locust_environment

START = """
import sys
sys.path.insert(0, {startup!r})
import _aether_load_startup
_aether_load_startup.install()
from locust.main import main
sys.argv = ["locust", *sys.argv[1:]]
main()
"""


def help_of(*words: str) -> str:
    """Return what Locust prints in a Python that was started with our start-up file and no other."""
    code = START.format(startup=str(REPOSITORY / "startup"))
    shown = subprocess.run(
        [sys.executable, "-c", code, *words, "--help"],
        env=locust_environment(COLUMNS="110"),
        capture_output=True,
        text=True,
        check=True,
    )
    return shown.stdout


def test_a_locustfile_of_ours_shows_its_groups() -> None:
    """Every group of options stands there, beside Locust's own."""
    text = help_of("-f", str(EVAL))
    groups = ("Web UI options:", "Scenario and prompts:", "Target:", "Load:", "Verdict:", "Results:")
    assert [name for name in groups if f"\n{name}\n" not in text] == []
    assert "  --threshold CONDITION\n" in text


@pytest.mark.slow
def test_any_other_locustfile_is_left_to_locust(tmp_path: Path) -> None:
    """It is not even run: its help is Locust's."""
    (tmp_path / "theirs.py").write_text("raise SystemExit(9)\n")
    assert "--threshold" not in help_of("-f", str(tmp_path / "theirs.py"))
    (tmp_path / "broken.py").write_text("import aether_load\nraise ValueError\n")
    assert "--threshold" not in help_of(f"--locustfile={tmp_path / 'broken.py'}")
