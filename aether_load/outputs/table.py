"""Write tables of plain text whose columns are as wide as their widest cell."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TextIO

import msgspec

from aether_load.text import shorten

_GAP = 2
_NARROWEST_NAME = 8


class Column(msgspec.Struct, frozen=True):
    """A column: its header, its cells, and when it is left out; the lowest `rank` above 0 goes first."""

    header: str
    cells: tuple[str, ...]
    rank: int = 0

    @property
    def width(self) -> int:
        """Return the width of the widest cell."""
        return max(map(len, (self.header, *self.cells)))


def columns_of(header: Sequence[str], rows: Sequence[Sequence[str]], left_out: Sequence[str]) -> list[Column]:
    """Return the columns of a table; `left_out` names those that may be left out, the first one first."""
    ranks = {name: rank for rank, name in enumerate(left_out, start=1)}
    table = zip(header, *rows, strict=True)
    return [Column(name, tuple(cells), ranks.get(name, 0)) for name, *cells in table]


def fitted(columns: Sequence[Column], width: int) -> list[tuple[str, ...]]:
    """Return header and rows in at most `width` characters.

    Columns that may be left out are, one after the other; then the first column's cells are shortened.
    """
    left = list(columns)
    while _whole_width(left) > width and any(column.rank for column in left):
        left.remove(min((column for column in left if column.rank), key=lambda column: column.rank))
    name = left[0]
    most = max(_NARROWEST_NAME, name.width - max(0, _whole_width(left) - width))
    left[0] = Column(name.header, tuple(shorten(cell, most) for cell in name.cells))
    return list(zip(*((column.header, *column.cells) for column in left), strict=True))


def filled(text: str, width: int = 110, *, deeper: int = 2) -> str:
    """Return a text as indented lines of at most `width` characters, those behind the first `deeper` by so much."""
    return textwrap.fill(text, width, initial_indent="  ", subsequent_indent=" " * (2 + deeper)) + "\n"


def write_table(table: Sequence[Sequence[str]], out: TextIO, last: Sequence[str] | None = None) -> None:
    """Write rows under a header, the first column to the left, and a `last` one below a line."""
    out.writelines(f"{line}\n" for line in table_lines(table, last))


def table_lines(table: Sequence[Sequence[str]], last: Sequence[str] | None = None) -> list[str]:
    """Return the lines of a table."""
    rows = [*table, *([last] if last else [])]
    widths = [max(len(cells[column]) for cells in rows) for column in range(len(table[0]))]
    lines = []
    for cells in rows:
        if cells is last:
            lines.append("  " + "-" * (sum(widths) + _GAP * (len(widths) - 1)))
        rest = (cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))
        lines.append(f"  {'  '.join([cells[0].ljust(widths[0]), *rest])}".rstrip())
    return lines


def _whole_width(columns: Sequence[Column]) -> int:
    return sum(_GAP + column.width for column in columns)
