"""Check JSON against a schema that docs/ publishes."""

from __future__ import annotations

import json

import jsonschema

from processes import REPOSITORY


def assert_keeps_to(schema: str, text: str | bytes) -> None:
    """Fail unless a JSON text keeps to the schema of that name in docs/."""
    jsonschema.validate(json.loads(text), json.loads((REPOSITORY / "docs" / schema).read_bytes()))
