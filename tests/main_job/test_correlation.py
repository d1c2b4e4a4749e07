"""The correlation of sound and faulty runs against the simulator's own record, as in docs/correlation.md."""

import re
from pathlib import Path

import pytest

from correlation_cases import BEGIN, CASES, DOCS, END, OF_TIME, findings_of

SLOW = ("slow node", "saturated client", "slow network")


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=[pytest.mark.slow, pytest.mark.alone] if case in SLOW else []) for case in OF_TIME],
)
def test_where_the_time_went_is_what_the_record_says(case: str, tmp_path: Path) -> None:
    """Reconciliation, parts and tail of each case are right, within the error that stands beside them."""
    findings = findings_of(case, tmp_path)
    assert [finding for finding in findings if not finding.agrees] == []
    assert len(findings) >= 8


def test_the_docs_have_every_case() -> None:
    """The table in docs/correlation.md was written from these cases, and found what it expected."""
    text = DOCS.read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([a-z ]+) \| (.+?) \|", text[text.index(BEGIN) : text.index(END)], re.MULTILINE)
    assert list(dict.fromkeys(case for case, _ in rows))[1:] == list(CASES)
