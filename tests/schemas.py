"""Check JSON against a schema that docs/ publishes."""

from __future__ import annotations

import json
import sys

from processes import REPOSITORY


def assert_keeps_to(schema: str, text: str | bytes) -> None:
    """Fail unless a JSON text keeps to the schema of that name in docs/."""
    # Where this is installed, jsonschema builds a grammar of IRIs with it for two seconds; no schema of ours has one.
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    import jsonschema

    jsonschema.validate(json.loads(text), json.loads((REPOSITORY / "docs" / schema).read_bytes()))
