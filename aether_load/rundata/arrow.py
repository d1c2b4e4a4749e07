"""Arrow arrays made of numpy's and read into them, buffer by buffer.

pyarrow's own ways between the two (`pa.array`, `to_numpy`, `fill_null`, scalars) load pandas when they are first
used: half a second of CPU time and memory that a process which sends has no use for.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Column = NDArray[Any]


def texts(values: Iterable[str]) -> pa.Array:
    """Return texts as an Arrow array of strings."""
    encoded = [value.encode() for value in values]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    return pa.StringArray.from_buffers(len(encoded), pa.py_buffer(ends), pa.py_buffer(b"".join(encoded)))


def numbers(values: Column, absent: NDArray[np.bool_] | None = None) -> pa.Array:
    """Return numbers as an Arrow array, null where `absent`."""
    values = np.ascontiguousarray(values)
    kind = pa.from_numpy_dtype(values.dtype)
    return pa.Array.from_buffers(kind, len(values), [_validity(absent), pa.py_buffer(values)])


def flags(values: NDArray[np.bool_], absent: NDArray[np.bool_] | None = None) -> pa.Array:
    """Return truth values as an Arrow array, null where `absent`."""
    return pa.Array.from_buffers(pa.bool_(), len(values), [_validity(absent), _bits(values)])


def bytes_of_16(values: Column, absent: NDArray[np.bool_] | None = None) -> pa.Array:
    """Return items of 16 bytes as an Arrow array, null where `absent`."""
    whole = np.ascontiguousarray(values)
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(whole), [_validity(absent), pa.py_buffer(whole)])


def lists(lengths: NDArray[np.integer[Any]], values: pa.Array, absent: NDArray[np.bool_] | None = None) -> pa.Array:
    """Return `values` cut into lists of these lengths, null where `absent`."""
    ends = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=ends[1:])
    return pa.Array.from_buffers(
        pa.list_(values.type), len(lengths), [_validity(absent), pa.py_buffer(ends)], children=[values]
    )


def filled(column: pa.Array, absent: int = -1) -> Column:
    """Return an Arrow array's numbers, `absent` for null."""
    kind = np.dtype(str(column.type))
    if len(column) == 0:
        return np.empty(0, kind)
    valid, data = column.buffers()
    found: Column = np.frombuffer(data, kind, len(column), column.offset * kind.itemsize)
    if column.null_count == 0:
        return found
    bits = np.unpackbits(np.frombuffer(valid, np.uint8), bitorder="little")
    return np.where(bits[column.offset : column.offset + len(column)], found, kind.type(absent))


def filled_flags(column: pa.Array, absent: int = -1) -> Column:
    """Return an Arrow array's truth values as 0 and 1, `absent` for null."""
    return filled(pc.cast(column, pa.int8()), absent)


def halves_of_16(column: pa.Array) -> NDArray[np.uint64]:
    """Return an Arrow array's items of 16 bytes as two numbers each, zeros for null."""
    if len(column) == 0:
        return np.zeros((0, 2), np.uint64)
    valid, data = column.buffers()
    found = np.frombuffer(data, "<u8", 2 * len(column), column.offset * 16).reshape(-1, 2)
    if column.null_count == 0:
        return found
    bits = np.unpackbits(np.frombuffer(valid, np.uint8), bitorder="little")
    return np.where(bits[column.offset : column.offset + len(column), np.newaxis], found, np.uint64(0))


def _validity(absent: NDArray[np.bool_] | None) -> pa.Buffer | None:
    return None if absent is None or not absent.any() else _bits(~absent)


def _bits(values: NDArray[np.bool_]) -> pa.Buffer:
    return pa.py_buffer(np.packbits(values, bitorder="little"))
