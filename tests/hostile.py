"""Copies of results in which every free text is hostile."""

from __future__ import annotations

from typing import Any

import msgspec

_TEXTS = (msgspec.inspect.StrType, msgspec.inspect.LiteralType, msgspec.inspect.EnumType)
_LISTS = (msgspec.inspect.VarTupleType, msgspec.inspect.TupleType, msgspec.inspect.ListType)
_TABLES = (msgspec.inspect.StructType, msgspec.inspect.DictType)


def with_hostile_texts(value: msgspec.Struct, text: str) -> Any:
    """Return a copy in which each text that is not one of a few words has `text` behind it.

    A scenario stays as it is: whoever reads one checks it.
    """
    kind = msgspec.inspect.type_info(type(value))
    return msgspec.convert(_changed(msgspec.to_builtins(value), kind, text), type(value))


def _changed(plain: Any, kind: Any, text: str) -> Any:
    kind = _one_kind(plain, kind)
    if isinstance(plain, str) and isinstance(kind, msgspec.inspect.StrType | msgspec.inspect.AnyType):
        return plain + text
    if isinstance(kind, msgspec.inspect.StructType):
        kinds = {field.encode_name: field.type for field in kind.fields}
        return {
            name: child if name == "scenario" and isinstance(child, dict) else _changed(child, kinds[name], text)
            for name, child in plain.items()
        }
    if isinstance(kind, msgspec.inspect.DictType):
        return {key: _changed(child, kind.value_type, text) for key, child in plain.items()}
    if isinstance(kind, msgspec.inspect.TupleType):
        return [_changed(child, one, text) for child, one in zip(plain, kind.item_types, strict=True)]
    if isinstance(kind, msgspec.inspect.VarTupleType | msgspec.inspect.ListType):
        return [_changed(child, kind.item_type, text) for child in plain]
    return plain


def _one_kind(plain: Any, kind: Any) -> Any:
    """Return which of several kinds a value is of."""
    while isinstance(kind, msgspec.inspect.Metadata):
        kind = kind.type
    if not isinstance(kind, msgspec.inspect.UnionType):
        return kind
    kinds = [_one_kind(plain, one) for one in kind.types]
    known: dict[type, tuple[Any, ...]] = {str: _TEXTS, dict: _TABLES, list: _LISTS, tuple: _LISTS}
    wanted = known.get(type(plain), ())
    return next((one for one in kinds if isinstance(one, wanted)), None)
