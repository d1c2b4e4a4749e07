"""Write the JSON Schema of the nightly JSON, as published in docs/nightly.schema.json.

Regenerate it with `python -m aether_load.outputs.schema > docs/nightly.schema.json`.
"""

from __future__ import annotations

import sys

import msgspec

from aether_load.analysis.report import REPORT_SCHEMA_VERSION, Report


def schema_text() -> str:
    """Return the schema of `report_json`'s output as it stands in docs/."""
    return published_schema(Report, f"aether-load nightly JSON, schema version {REPORT_SCHEMA_VERSION}")


def published_schema(kind: type, title: str) -> str:
    """Return the JSON Schema of a type, under a title, as it is published."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        **msgspec.json.schema(kind),
    }
    return msgspec.json.format(msgspec.json.encode(schema), indent=2).decode() + "\n"


if __name__ == "__main__":
    sys.stdout.write(schema_text())
