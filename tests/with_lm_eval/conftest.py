"""lm-eval as its users run it, offline: upstream's own tasks on rows of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evaluations import Evaluations, lay_out_like_the_hub


@pytest.fixture(scope="session")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which lm-eval's own tasks find their datasets: the real rows, or the bundled sample without them."""
    return lay_out_like_the_hub(tmp_path_factory.mktemp("rows"))


@pytest.fixture
def evaluations(rows: Any, tmp_path: Path) -> Evaluations:
    """A place to run lm-eval in."""
    return Evaluations(rows, tmp_path)
