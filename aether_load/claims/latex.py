"""Write the cells of the paper's tables, and the claims, as LaTeX that can be copied."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TextIO

from aether_load.claims.report import ClaimsReport
from aether_load.claims.text import HEADER, Table, cells, summary, tables
from aether_load.text import terminal_text, with_safe_texts

_SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "±": r"$\pm$",
}  # fmt: skip
_TO_ESCAPE = re.compile("|".join(map(re.escape, _SPECIAL)))


def write_claims_latex(report: ClaimsReport, out: TextIO) -> None:
    """Write one `tabular` a table; comments say where the figures come from."""
    report = with_safe_texts(report, terminal_text)
    out.write(f"% aether-load claims: {summary(report)}\n")
    out.writelines(f"% {run.id}: {run.status}\n" for run in report.runs)
    claims: Table = ("claims", HEADER, [(row.claim.claim, *cells(row, report)) for row in report.claims], "")
    for title, header, rows, note in (claims, *tables(report)):
        out.write(f"\n% {title}{f'. {note}' if note else ''}\n")
        _write_tabular(header, rows, out)


def _write_tabular(header: Sequence[str], rows: Iterable[Sequence[str]], out: TextIO) -> None:
    out.write(f"\\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}\n\\hline\n")
    out.write(_line(header) + "\\hline\n")
    out.writelines(_line(row) for row in rows)
    out.write("\\hline\n\\end{tabular}\n")


def _line(texts: Sequence[str]) -> str:
    return " & ".join(map(latex_text, texts)) + " \\\\\n"


def latex_text(text: str) -> str:
    """Return a text that LaTeX sets as it is."""
    return _TO_ESCAPE.sub(lambda found: _SPECIAL[found[0]], text)
