"""An error inside `explained` becomes one sentence of the kind that was asked for."""

from __future__ import annotations

import errno
import os

import pytest

from aether_load.errors import ResultsError, UsageError, explained


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a/file"), "No space left on device"),
        (OSError("nothing of the system's"), "nothing of the system's"),
        (TimeoutError("timed out"), "timed out"),
    ],
)
def test_the_reason_stands_in_the_sentence(error: OSError, reason: str) -> None:
    """That of the system, where there is one; else what the error itself says."""
    with pytest.raises(ResultsError) as raised, explained("It failed: ", kind=ResultsError, end="!"):
        raise error
    assert str(raised.value) == f"It failed: {reason}!"


def test_only_the_errors_that_are_expected_are_changed() -> None:
    with pytest.raises(UsageError, match=r"^It is no number: no\.$"), explained("It is no number: ", ValueError):
        raise ValueError("no")
    with pytest.raises(KeyError), explained("It is no number: ", ValueError):
        raise KeyError("key")
