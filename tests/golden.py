"""Whole outputs held against files that a person has read; AETHER_UPDATE_GOLDEN=1 writes them anew."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(__file__).parent / "golden_files"


def assert_golden(name: str, text: str) -> None:
    """Fail unless `text` is, to the last character, what the file of that name holds."""
    path = FOLDER / name
    if os.environ.get("AETHER_UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.is_file(), f"{path} is missing; AETHER_UPDATE_GOLDEN=1 writes it"
    assert text == path.read_text(encoding="utf-8"), f"differs from {path}; AETHER_UPDATE_GOLDEN=1 writes it anew"
