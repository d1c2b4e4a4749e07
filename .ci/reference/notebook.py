"""A notebook made of a script, whose cells begin at lines with `# %%`."""

import json
import re
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


def notebook_of(name: str) -> str:
    """Return the notebook of the example of that name."""
    script = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    cells = [_cell(number, cell) for number, cell in enumerate(re.split(r"^# %%", script, flags=re.MULTILINE)[1:])]
    metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    book = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(book, indent=1, ensure_ascii=False) + "\n"


def _cell(number: int, text: str) -> dict[str, object]:
    mark, _, body = text.partition("\n")
    source = body.strip("\n")
    if mark.strip() == "[markdown]":
        source = re.sub(r"^# ?", "", source, flags=re.MULTILINE)
        return {"cell_type": "markdown", "id": f"cell-{number}", "metadata": {}, "source": _lines(source)}
    return {
        "cell_type": "code", "execution_count": None, "id": f"cell-{number}", "metadata": {}, "outputs": [],
        "source": _lines(source),
    }  # fmt: skip


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)
