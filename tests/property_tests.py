"""How many examples a property test tries: a fifth by default, all with `--hypothesis-profile thorough`."""

from __future__ import annotations

from hypothesis import settings

ALL = 100
QUICK = 20


def examples(number: int) -> int:
    """Return the number of examples that the profile leaves of these."""
    profile = settings.default
    assert profile is not None
    return max(1, number * profile.max_examples // ALL)
