"""Who says how many users of a run send: its scenario, Locust's page, or a load shape."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from aether_load.load.run_start import follows_user_count
from aether_load.scenario.load import from_plain

PLAIN = {"name": "one", "users": 3, "duration": "1s"}
STEPS = {"name": "up", "steps": [1, 4], "duration": "1s"}


@pytest.mark.parametrize(
    ("phases", "headless", "shape", "follows"),
    [
        ([PLAIN], False, None, True),
        ([PLAIN], True, None, False),
        ([STEPS], False, None, False),
        ([PLAIN, PLAIN | {"name": "two"}], False, None, False),
        ([PLAIN], True, object, True),
    ],
)
def test_the_page_and_a_shape_decide_over_one_plain_phase(
    phases: list[dict[str, Any]], headless: bool, shape: type | None, follows: bool
) -> None:
    """A scenario with loads of its own keeps them, also on the page."""
    environment = SimpleNamespace(shape_class=shape, parsed_options=SimpleNamespace(headless=headless))
    assert follows_user_count(environment, from_plain({"name": "s", "phases": phases})) is follows
