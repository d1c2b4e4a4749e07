"""`aether-load lm-eval` where lm-eval is not installed."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from processes import run_command


@pytest.mark.skipif(find_spec("lm_eval") is not None, reason="lm-eval is installed here; tests/with_lm_eval runs it")
def test_without_lm_eval_one_sentence_says_how_to_get_it(tmp_path: Path) -> None:
    """The base install stays small, and says what to type."""
    done = run_command("lm-eval", "--model", "aether_stub", "--tasks", "hellaswag", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (
        2,
        "",
        "aether-load: lm-eval is not installed: pip install 'aether-load[lm-eval]'.\n",
    )


def test_the_command_is_listed(tmp_path: Path) -> None:
    """`aether-load --help` names it."""
    assert "lm-eval" in run_command("--help", cwd=tmp_path).stdout
