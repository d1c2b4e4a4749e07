"""Scoring by the documents' own labels, of answers that are in already."""

import json
from typing import Any

import pytest

from aether_load.datasets.rows import SAMPLE_FOLDER
from aether_load.evaluation.gold import gold_of
from evaluations import FILES, gold_letter


@pytest.mark.parametrize("task", ["hellaswag", "piqa", "winogrande", "arc_easy", "arc_challenge"])
def test_the_sets_that_we_know_are_scored_by_their_own_labels(task: str) -> None:
    """Each bundled row's right option is the one that its label names."""
    rows = [json.loads(line) for line in (SAMPLE_FOLDER / FILES[task]).read_text().splitlines()]
    for row in rows:
        options = row.get("endings") or (
            [row["sol1"], row["sol2"]] if "sol1" in row
            else [row["option1"], row["option2"]] if "option1" in row
            else row["choices"]["text"]
        )  # fmt: skip
        gold = gold_of(row, options)
        assert gold is not None
        assert "ABCDE"[gold] == gold_letter(row)
        assert gold_of(row, list(reversed(options))) is None or options == list(reversed(options))


@pytest.mark.parametrize(
    "document",
    [
        {"query": "what", "gold": 1},
        {"goal": "g", "sol1": "a", "sol2": "b", "label": -1},
        {"goal": "g", "sol1": "a", "sol2": "b", "label": "no number"},
        {"goal": "g", "sol1": "a", "sol2": "b", "label": 7},
    ],
)
def test_a_document_that_does_not_say_is_not_scored(document: dict[str, Any]) -> None:
    """Another schema, a hidden label, a label out of bounds: no score, and no wrong one."""
    assert gold_of(document, ["a", "b"]) is None
