"""Refuse request bodies that the runtime refuses, with its status and sentence."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

_T = TypeVar("_T")


class BodyRefusedError(Exception):
    """A body that the runtime does not accept: 400 when it is no JSON, 422 when it is JSON of another shape."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def read_body(decode: Callable[[bytes], _T], body: bytes) -> _T:
    """Decode a request body; raises BodyRefusedError.

    As from the runtime, a client can rely on the status, on the sentence's beginning, and on the path of the value
    that is wrong. A missing field is named as the runtime names it: missing field `dag`. Other words differ.
    """
    try:
        return decode(body)
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at `$")
        if what.endswith("out of range"):  # a number that the runtime's JSON reader cannot hold
            raise _not_json(what) from None
        what = what.replace("Object missing required field", "missing field")
        where = path.strip(".`")
        sentence = f"{where}: {what}" if where else what
        raise BodyRefusedError(422, f"Failed to deserialize the JSON body into the target type: {sentence}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _not_json(str(error)) from None


def _not_json(sentence: str) -> BodyRefusedError:
    return BodyRefusedError(400, f"Failed to parse the request body as JSON: {sentence}")
