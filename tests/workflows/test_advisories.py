"""What CI says of known advisories, whatever pip-audit answers."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from processes import REPOSITORY

VULNERABLE = {
    "name": "thing", "version": "1.0", "vulns": [{"id": "PYSEC-2026-1", "fix_versions": ["1.1"], "aliases": []}],
}  # fmt: skip
CLEAN = {"name": "other", "version": "2.0", "vulns": []}
EDITABLE = {"name": "aether-load", "skip_reason": "distribution marked as editable"}
UNKNOWN = {"name": "third", "skip_reason": "Dependency not found on PyPI and could not be audited: third (3.0)"}


@pytest.fixture
def check(tmp_path: Path) -> Callable[..., Any]:
    """Run the check with a pip-audit that prints what it is told, and the advisories that do not concern us."""
    shutil.copy(REPOSITORY / ".ci" / "check_advisories.py", tmp_path)

    def run(answer: str, ignored: str = "# none\n") -> tuple[int, list[str]]:
        (tmp_path / "advisories").write_text(ignored)
        (tmp_path / "answer").write_text(answer)
        audit = tmp_path / "pip-audit"
        audit.write_text(f'#!/bin/sh\necho "$@" > "{tmp_path}/words"\ncat "{tmp_path}/answer"\n')
        audit.chmod(0o755)
        done = subprocess.run(
            [sys.executable, tmp_path / "check_advisories.py"], capture_output=True, text=True, check=False,
            env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        )  # fmt: skip
        return done.returncode, (done.stdout + done.stderr).splitlines()

    return run


@pytest.mark.parametrize(
    ("packages", "code", "said"),
    [
        ([CLEAN, EDITABLE], 0, ["1 packages were looked up, 0 advisories found"]),
        (
            [CLEAN, VULNERABLE],
            1,
            ["thing 1.0: PYSEC-2026-1, fixed in 1.1", "2 packages were looked up, 1 advisories found"],
        ),
        (
            [UNKNOWN],
            0,
            [
                "0 packages were looked up, 0 advisories found",
                "not looked up, because this index has no advisories of them: 1",
            ],
        ),
    ],
)
def test_what_is_found_decides(
    check: Callable[..., Any], packages: list[dict[str, Any]], code: int, said: list[str]
) -> None:
    assert check(json.dumps({"dependencies": packages})) == (code, said)


def test_an_index_out_of_reach_is_said(check: Callable[..., Any]) -> None:
    assert check("") == (0, ["skipped: the advisories cannot be had here"])


def test_an_advisory_is_left_out_with_a_reason_only(check: Callable[..., Any], tmp_path: Path) -> None:
    assert check('{"dependencies": []}', "PYSEC-2026-1 only of a server that we do not run\n")[0] == 0
    assert (tmp_path / "words").read_text().endswith("--format json --ignore-vuln PYSEC-2026-1\n")
    code, said = check('{"dependencies": []}', "PYSEC-2026-1\n")
    assert (code, said) == (
        1, [f"{tmp_path}/advisories, line 1: PYSEC-2026-1 has no reason; write it behind the id."]
    )  # fmt: skip
