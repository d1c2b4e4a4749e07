"""docs/lm-eval.md, held against the lm-eval that is installed."""

import re
from typing import Any

import pytest

from processes import REPOSITORY

pytest.importorskip("lm_eval", reason="lm-eval is not installed: pip install -e '.[lm-eval]'")

SECTION = (REPOSITORY / "docs" / "lm-eval.md").read_text(encoding="utf-8")


def options_of(parser: Any) -> set[Any]:
    return {option for action in parser._actions for option in action.option_strings}


def test_every_option_that_is_named_is_one_of_lm_evals() -> None:
    """But for --list_tasks, of which it is said that it cannot come back, and the simulator's own."""
    from lm_eval._cli import HarnessCLI

    known = options_of(HarnessCLI()._subparsers.choices["run"])
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z_-]+", SECTION))
    assert {"--model_args", "--output_path", "--batch_size"} <= named
    assert named - known == {"--list_tasks", "--answer-key"}


def test_tasks_are_listed_as_the_page_says() -> None:
    """`lm-eval ls tasks` is there in place of --list_tasks."""
    from lm_eval._cli import HarnessCLI

    assert "`lm-eval ls tasks`" in SECTION
    parser = HarnessCLI()._parser
    assert parser.parse_args(["ls", "tasks"]).command == "ls"
    with pytest.raises(SystemExit):
        parser.parse_args(["run", "--list_tasks"])
