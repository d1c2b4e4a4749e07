"""Read a file of rows, each value as the file has it: CSV, JSON, JSON lines and Parquet.

No value is bent to fit its column: a cell of CSV is a text, and a JSON number keeps its kind whatever stands in the
rows beside it. A row that does not fit its header is an error, never a shifted row.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from aether_load.bounded import read_bounded, size_text
from aether_load.errors import explained
from aether_load.scenario.validation import first_repeated
from aether_load.text import decode_text

Row = dict[str, Any]

_DELIMITERS = {",": "a comma", ";": "a semicolon", "\t": "a tab"}
_LINE_END = re.compile(r"\r\n?|\n")
_SEPARATOR_HINT = re.compile(r"sep=([,;\t])(?:\r\n?|\n|\Z)")
"""The first line that Excel reads and writes to name the separator of a CSV file."""
_LONGEST_CELL = 1 << 30
MOST_FILE_BYTES = 2 << 30
_MOST_UNPACKED_BYTES = 4 << 30
_MOST_PARQUET_ROWS = 10_000_000
"""A Parquet file of a megabyte may hold terabytes of one value."""
_CSV_MISTAKES = {
    "unexpected end of data": "a quoted cell begins here and never ends; write a double quote inside a cell twice",
    "expected after": "text follows the closing quote of a cell; write a double quote inside a cell twice",
    "field larger": "a cell is longer than a gigabyte",
}
_KINDS = {dict: "an object", list: "a list", str: "a text", type(None): "null", bool: "true or false"}


class Table(msgspec.Struct, frozen=True):
    """The rows of a file, and the line on which each begins; a Parquet file has no lines."""

    path: Path
    rows: list[Row]
    lines: list[int] | None = None

    def place(self, index: int) -> str:
        """Return where the row of this index stands, for a message: file, row from 1, and line."""
        line = "" if self.lines is None else f" (line {self.lines[index]})"
        return f"{self.path}, row {index + 1}{line}"


def read_table(path: Path, content: bytes | None = None) -> Table:
    """Read the rows of a file; `content` is what it holds, where that was read already.

    Every row has every column that any row has; what a JSON row leaves out is null. Raises ValueError with a sentence
    that names the file and, where it is one row's, row and line.
    """
    read = FORMATS.get(path.suffix.lower())
    if read is None:
        raise ValueError(f"{path}: the name ends in none of {', '.join(FORMATS)}, so the format is unknown")
    with explained(f"{path} cannot be read: ", kind=ValueError, end=""):
        return read(path, read_bounded(path, MOST_FILE_BYTES) if content is None else content)


def _read_csv(path: Path, content: bytes) -> Table:
    text = _text(path, content)
    hint = _SEPARATOR_HINT.match(text)
    skipped = 1 if hint else 0
    text = text[hint.end() :] if hint else text
    delimiter = hint[1] if hint else _delimiter(text)
    records = _records(text, delimiter)
    rows: list[Row] = []
    lines: list[int] = []
    columns: list[str] = []
    try:
        for line, cells in records:
            if not columns:
                columns = cells
                # A column without a name, as pandas writes for its index, cannot be asked for.
                if (twice := first_repeated(filter(None, columns))) is not None:
                    raise _CsvMistake(line, f"the header names column {twice!r} twice; give each a name of its own")
                continue
            if len(cells) != len(columns):
                raise ValueError(
                    f"{path}, row {len(rows) + 1} (line {line + skipped}) has {len(cells)} "
                    f"{'cell' if len(cells) == 1 else 'cells'}, and the header has {len(columns)}; a cell that holds "
                    f"{_DELIMITERS[delimiter]} must stand in double quotes"
                )
            rows.append({name: cell for name, cell in zip(columns, cells, strict=True) if name})
            lines.append(line + skipped)
    except _CsvMistake as mistake:
        raise ValueError(f"{path}, line {mistake.line + skipped}: {mistake}") from None
    return Table(path, rows, lines)


class _CsvMistake(Exception):
    def __init__(self, line: int, sentence: str) -> None:
        super().__init__(sentence)
        self.line = line


def _records(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each record that is not blank, with the line on which it begins."""
    csv.field_size_limit(_LONGEST_CELL)
    # newline="" keeps line ends inside quoted cells as they are, and ends a record at CR, LF or both.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line, begun = 1, False
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            known = (sentence for words, sentence in _CSV_MISTAKES.items() if words in str(error))
            raise _CsvMistake(line, next(known, "this is not CSV")) from None
        if cells is None:
            return
        # Spreadsheets write an empty first line as ",,,".
        is_blank = not cells or (cells[0].isspace() and len(cells) == 1) or not (begun or any(map(str.strip, cells)))
        if not is_blank:
            begun = True
            yield line, cells


def _delimiter(text: str) -> str:
    """Return the separator by which the header has most cells; a comma where none has more."""
    counts = {}
    for delimiter in _DELIMITERS:
        try:
            counts[delimiter] = len(next(_records(text, delimiter), (1, []))[1])
        except _CsvMistake:
            counts[delimiter] = 0
    return max(counts, key=lambda delimiter: counts[delimiter])


def _read_json(path: Path, content: bytes) -> Table:
    """Read an object a line, or a list of objects."""
    text = _text(path, content)
    if text.lstrip().startswith("["):
        listed = _json(text, str(path))
        rows = [_object(value, f"{path}, row {number}") for number, value in enumerate(listed, 1)]
        return Table(path, _with_all_columns(rows))
    rows, lines = [], []
    # Not splitlines, which also splits where a text holds U+2028 as it is.
    for number, line in enumerate(_LINE_END.split(text), 1):
        if line.strip():
            rows.append(_object(_json(line, f"{path}, line {number}"), f"{path}, row {len(rows) + 1} (line {number})"))
            lines.append(number)
    return Table(path, _with_all_columns(rows), lines)


class _TooLarge(Exception):
    """A file that is much larger when it is unpacked."""


def _read_parquet(path: Path, content: bytes) -> Table:
    import pyarrow as pa  # noqa: PLC0415 -- 40 MB, which the process that sends has no use for
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        size = sum(file.metadata.row_group(place).total_byte_size for place in range(file.num_row_groups))
        if size > _MOST_UNPACKED_BYTES or file.metadata.num_rows > _MOST_PARQUET_ROWS:
            raise _TooLarge(f"it holds {file.metadata.num_rows} rows, and {size_text(size)} before it is decoded")
        table = file.read()
        names = table.column_names
        rows = table.to_pylist()
    except MemoryError:
        raise
    except _TooLarge as error:
        most = f"{_MOST_PARQUET_ROWS} rows and {size_text(_MOST_UNPACKED_BYTES)}"
        raise ValueError(f"{path}: {error}; at most {most} are read") from None
    except Exception:  # noqa: BLE001 -- whatever the library says is about the bytes of the file
        raise ValueError(f"{path} is not a Parquet file, or it is damaged") from None
    if (twice := first_repeated(names)) is not None:
        raise ValueError(f"{path}: it has two columns {twice!r}; give each a name of its own")
    return Table(path, rows)


FORMATS: dict[str, Callable[[Path, bytes], Table]] = {
    ".jsonl": _read_json,
    ".ndjson": _read_json,
    ".json": _read_json,
    ".csv": _read_csv,
    ".parquet": _read_parquet,
}


def _text(path: Path, content: bytes) -> str:
    with explained(f"{path}, ", ValueError, ValueError, end=""):
        return decode_text(content)


def _json(text: str, place: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"{place} is not JSON: {_json_mistake(error)}") from None


def _json_mistake(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    if "truncated" in str(error):
        return "it ends in the middle of a value"
    # Keep what follows the prefix "JSON is malformed" and stands before the path " - at ".
    reason = str(error).removeprefix("JSON is malformed: ").split(" - at ")[0]
    return reason[:1].lower() + reason[1:].replace("`", "'").rstrip(".")


def _object(value: Any, place: str) -> Row:
    if not isinstance(value, dict):
        raise ValueError(f"{place} holds {_KINDS.get(type(value), 'a number')}, and an object is needed")  # noqa: TRY004
    return value


def _with_all_columns(rows: list[Row]) -> list[Row]:
    columns = {name: None for row in rows for name in row}
    return [row if len(row) == len(columns) else {**columns, **row} for row in rows]
