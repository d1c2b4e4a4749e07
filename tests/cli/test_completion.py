"""Completion scripts, read by the shells they are for, where these are installed."""

import shutil
import subprocess
from pathlib import Path

import pytest

from aether_load.cli.main import COMMANDS
from processes import call_command

COMPLETE = '_shtab_aether_load; echo "${COMPREPLY[@]}"\n'


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_is_one_that_its_shell_reads(tmp_path: Path, shell: str) -> None:
    """It names every command and an option of a run, and has no mistake in its syntax."""
    printed = call_command("completion", shell, cwd=tmp_path)
    assert printed.returncode == 0
    assert all(name in printed.stdout for name in [*COMMANDS, "threshold", "extraction"])
    if (program := shutil.which(shell)) is None:
        pytest.skip(f"{shell} is not installed")
    (tmp_path / "script").write_text(printed.stdout)
    subprocess.run([program, "-n", "script"], cwd=tmp_path, check=True)


def test_bash_completes_commands_options_and_scenarios(tmp_path: Path) -> None:
    """What bash would offer for what is typed so far."""
    (tmp_path / "script").write_text(call_command("completion", "bash", cwd=tmp_path).stdout)
    (tmp_path / "mine.toml").touch()
    asked = "".join(
        f"COMP_WORDS=(aether-load {words}); COMP_CWORD={count}; COMPREPLY=()\n{COMPLETE}"
        for words, count in (("comp", 1), ("run sm", 2), ("run mi", 2), ("run --thr", 2), ("run --simulate v", 3))
    )
    shown = subprocess.run(
        ["bash", "-c", f"source ./script\n{asked}"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert shown.stdout.splitlines() == ["compare completion", "smoke", "mine.toml", "--threshold", "v1 v2"]
