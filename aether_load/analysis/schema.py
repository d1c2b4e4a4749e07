"""The JSON Schema of the nightly JSON, as published in docs/nightly.schema.json.

Regenerate it with `python -m aether_load.analysis.schema > docs/nightly.schema.json`.
"""

from __future__ import annotations

import sys
from typing import Any

import msgspec

from aether_load.analysis.report import REPORT_SCHEMA_VERSION, Report


def nightly_schema() -> dict[str, Any]:
    """Return the schema of `report_json`'s output."""
    schema = msgspec.json.schema(Report)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"aether-load nightly JSON, schema version {REPORT_SCHEMA_VERSION}",
        **schema,
    }


def schema_text() -> str:
    """Return the schema as it stands in docs/."""
    return msgspec.json.format(msgspec.json.encode(nightly_schema()), indent=2).decode() + "\n"


if __name__ == "__main__":
    sys.stdout.write(schema_text())
