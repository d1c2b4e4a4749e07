"""Reading a request body, and saying why not in the words of the runtime's own JSON reader."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Generic, TypeVar, get_args

import msgspec

from aether_load.simulator.wire import NodeType, RefKind, RequestV1, RequestV2, Sensitivity

_T = TypeVar("_T")
_VARIANTS = {"node_type": NodeType, "kind": RefKind, "sensitivity": Sensitivity}
_EXPECTED = {"str": "a string", "float": "f64", "bool": "a boolean", "array": "a sequence", "object": "a map"}
_STRUCTS = {
    "dag": "struct Dag",
    "metadata": "struct DagMetadata",
    "render_policy": "struct RenderPolicy",
    "execution_hints": "struct ExecutionHints",
    "retry": "struct RetryConfig",
    "provenance": "struct Provenance",
    "source_location": "struct SourceLocation",
    "nodes": "struct DagNode",
    "template_refs": "struct TemplateRef",
}
_ROOTS: dict[type, str] = {RequestV1: "struct Dag", RequestV2: "struct ExecuteRequest"}
_INTEGERS = {"priority": "i32", "base_delay_ms": "u64", "max_delay_ms": "u64", "max_value_length": "usize"}
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")
_WHITESPACE = re.compile(r"[ \t\n\r]*")
_scan = json.JSONDecoder().raw_decode


class BodyRefusedError(Exception):
    """A body that the runtime does not accept: 400 when it is no JSON, 422 when it is JSON of another shape."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class BodyReader(Generic[_T]):
    """Reads bodies of one type."""

    def __init__(self, body_type: type[_T]) -> None:
        self._type = body_type
        self._decode = msgspec.json.Decoder(body_type).decode

    def read(self, body: bytes) -> _T:
        """Return the decoded body; BodyRefusedError with the runtime's sentence otherwise."""
        try:
            return self._decode(body)
        except (ValueError, RecursionError):
            return self._read_slowly(body)

    def _read_slowly(self, body: bytes) -> _T:
        """Read again with a reader that knows integers beyond 64 bits, and find the words for what is wrong."""
        try:
            text = body.decode()
            value = json.loads(text, parse_int=read_integer, parse_float=_float, parse_constant=_refuse_constant)
            text.encode()
            msgspec.json.encode(value)
        except RecursionError:
            raise _no_json(f"recursion limit exceeded at line 1 column {min(len(body), 128)}") from None
        except json.JSONDecodeError as error:
            what = "EOF while parsing a value" if error.pos >= len(text.rstrip()) else "expected value"
            raise _no_json(f"{what} at line {error.lineno} column {error.colno}") from None
        except ValueError as error:
            reason = "invalid unicode code point" if isinstance(error, UnicodeError) else str(error)
            raise _no_json(f"{reason} at line 1 column {len(body)}") from None
        try:
            return msgspec.convert(value, self._type)
        except msgspec.ValidationError as error:
            sentence = _explain(str(error), text, value, self._type)
            raise BodyRefusedError(
                422, f"Failed to deserialize the JSON body into the target type: {sentence}"
            ) from None


def _no_json(sentence: str) -> BodyRefusedError:
    return BodyRefusedError(400, f"Failed to parse the request body as JSON: {sentence}")


def read_integer(digits: str) -> int | float:
    """Integers of 64 bits stay exact; longer ones become floats, as in the runtime."""
    if len(digits) > 20:
        return _float(digits)
    value = int(digits)
    return value if -(2**63) <= value < 2**64 else float(value)


def _float(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError("number out of range")
    return value


def _refuse_constant(_name: str) -> float:
    raise ValueError("expected value")


def _explain(message: str, text: str, value: object, body_type: type) -> str:
    """Turn msgspec's message into serde's: the path without `$.`, serde's words, and the place in the text."""
    what, _, where = message.partition(" - at `$")
    steps = [name or (index if index == "..." else int(index)) for name, index in _STEP.findall(where.rstrip("`"))]
    offset, found, steps = _locate(text, value, steps)
    words = _words(what, steps, found, _ROOTS.get(body_type, ""))
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).lstrip(".")
    line = text.count("\n", 0, offset) + 1
    column = len(text[text.rfind("\n", 0, offset) + 1 : offset].encode())
    return f"{path}: {words} at line {line} column {column}" if path else f"{words} at line {line} column {column}"


def _words(what: str, steps: list[str | int], found: object, root: str) -> str:
    names = [step for step in steps if isinstance(step, str)]
    name = names[-1] if names else ""
    if missing := re.match(r"Object missing required field (`.*`)", what):
        return f"missing field {missing[1]}"
    if what.startswith("Invalid enum value"):
        variants = ", ".join(f"`{variant}`" for variant in get_args(_VARIANTS[name]))
        return f"unknown variant `{found}`, expected one of {variants}"
    if what.startswith("Expected `int` ") or what == "Number out of range":
        return f"invalid value: integer `{found}`, expected {_INTEGERS.get(name, 'u32')}"
    wanted = re.match(r"Expected `(\w+)", what)
    expected = _EXPECTED.get(wanted[1] if wanted else "", _INTEGERS.get(name, "u32"))
    if wanted and wanted[1] == "object" and name != "context":
        expected = _STRUCTS.get(name, root) if name != "constants" else "a map"
    return f"invalid type: {_describe(found)}, expected {expected}"


def _describe(found: object) -> str:
    match found:
        case None:
            return "null"
        case bool():
            return f"boolean `{str(found).lower()}`"
        case int():
            return f"integer `{found}`"
        case float():
            return f"floating point `{found}`"
        case str():
            return f"string {json.dumps(found, ensure_ascii=False)}"
        case list():
            return "sequence"
    return "map"


def _locate(text: str, value: Any, steps: list[str | int]) -> tuple[int, object, list[str | int]]:
    """Find a path in the text: the offset of the value's end, the value, and the path with its keys named."""
    start = _skip(text, 0)
    path: list[str | int] = []
    for step in steps:
        if isinstance(value, list) and isinstance(step, int):
            start, value = _item(text, start, step), value[step]
        else:
            if step == "...":  # a key that msgspec does not name; the only maps of one type hold texts
                step = next(key for key, held in value.items() if not isinstance(held, str))  # noqa: PLW2901
            start, value = _member(text, start, str(step)), value[step]
        path.append(step)
    return _scan(text, start)[1], value, path


def _skip(text: str, offset: int) -> int:
    match = _WHITESPACE.match(text, offset)
    return match.end() if match else offset


def _member(text: str, offset: int, name: str) -> int:
    """Offset of the last member called `name` of the object that begins at `offset`."""
    found = offset
    offset = _skip(text, offset + 1)
    while text[offset] != "}":
        key, offset = _scan(text, offset)
        offset = _skip(text, _skip(text, offset) + 1)  # past the colon
        if key == name:
            found = offset
        offset = _skip(text, _scan(text, offset)[1])
        if text[offset] == ",":
            offset = _skip(text, offset + 1)
    return found


def _item(text: str, offset: int, index: int) -> int:
    """Offset of the item at `index` of the array that begins at `offset`."""
    offset = _skip(text, offset + 1)
    for _ in range(index):
        offset = _skip(text, _skip(text, _scan(text, offset)[1]) + 1)  # past the comma
    return offset
