"""Whom the correlation believes, against the simulator's own record; docs/correlation.md has the table."""

import shutil
from pathlib import Path

import pytest

from correlation_cases import OF_COUNTS, findings_of

SLOW = ("clock steps", "restart in the middle", "dropped answers", "foreign traffic")


@pytest.mark.parametrize("case", [pytest.param(case, marks=[pytest.mark.slow] * (case in SLOW)) for case in OF_COUNTS])
def test_trust_and_differences_are_what_the_record_says(case: str, tmp_path: Path) -> None:
    """Reconciliation, trust and exit code of each case are right, and so are the parts of the requests that stand."""
    if case == "clock steps" and shutil.which("cc") is None:
        pytest.skip("a wall clock is stepped by a library that needs a C compiler (cc)")
    findings = findings_of(case, tmp_path)
    assert [finding for finding in findings if not finding.agrees] == []
    assert len(findings) >= 8
