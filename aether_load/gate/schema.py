"""Write the JSON Schema of gate.json, as published in docs/gate.schema.json.

Regenerate it with `python -m aether_load.gate.schema > docs/gate.schema.json`.
"""

from __future__ import annotations

import sys

from aether_load.gate.report import GATE_SCHEMA_VERSION, GateReport
from aether_load.outputs.schema import published_schema


def schema_text() -> str:
    """Return the schema as it stands in docs/."""
    return published_schema(GateReport, f"aether-load gate JSON, schema version {GATE_SCHEMA_VERSION}")


if __name__ == "__main__":
    sys.stdout.write(schema_text())
