"""The verdict on a claim: supported, not supported, or not decided, and why."""

from typing import Any

import pytest

from aether_load.claims.claim import Claim
from aether_load.claims.measurement import Measured
from aether_load.claims.verdict import SIMULATED, ClaimVerdict, Finding, decide_claim

INSIDE = "the whole interval lies within what was published"
OUTSIDE = "the whole interval lies outside what was published"
OVER = "the interval reaches over the limit of what was published"


def claim(**more: Any) -> Claim:
    return Claim(id="one", claim="p50", source="a page", published="100 ms", **more)


def measured(low: int | None, high: int | None, **more: Any) -> Measured:
    value = more.pop("value", low if low is not None else high)
    return Measured(value=value, low=low, high=high, unit="ms", **more)


@pytest.mark.parametrize(
    ("limit", "low", "high", "finding", "reason"),
    [
        ({"at_least": 100}, 100, 120, "supported", INSIDE),
        ({"at_least": 100}, 80, 99, "not_supported", OUTSIDE),
        ({"at_least": 100}, 99, 101, "not_decided", OVER),
        ({"at_least": 100, "tolerance": 0.1}, 90, 95, "supported", INSIDE),
        ({"at_most": 100}, 80, 100, "supported", INSIDE),
        ({"at_most": 100}, 101, 120, "not_supported", OUTSIDE),
        ({"at_most": 100, "tolerance": 0.1}, 105, 115, "not_decided", OVER),
        ({"about": 100, "tolerance": 0.1}, 91, 109, "supported", INSIDE),
        ({"about": 100, "tolerance": 0.1}, 111, 120, "not_supported", OUTSIDE),
        ({"about": 100, "tolerance": 0.1}, 80, 89, "not_supported", OUTSIDE),
        ({"at_least": 100}, 120, None, "supported", INSIDE),
        ({"at_least": 100}, 80, None, "not_decided", OVER),
    ],
)
def test_the_whole_interval_decides(
    limit: dict[str, float], low: int, high: int | None, finding: Finding, reason: str
) -> None:
    """Inside, outside, or over the limit; an interval without an upper end reaches as far as one likes."""
    assert decide_claim(claim(**limit), measured(low, high), simulated=False) == ClaimVerdict(finding, reason)


@pytest.mark.parametrize(
    ("more", "found", "reason"),
    [
        ({"at_most": 1}, Measured(reason="scenario claims was not run"), "scenario claims was not run"),
        ({"at_most": 1}, measured(None, None, value=5, reason="1 pair bounds nothing"), "1 pair bounds nothing"),
        ({"at_most": 1, "undecidable": "it is not said of what"}, measured(5, 6), "it is not said of what"),
        (
            {"at_most": 9, "needs_provider": True},
            measured(5, 6, mock=True),
            "it needs a real provider and the mock provider answered",
        ),
        (
            {"needs_provider": True, "undecidable": "nobody bills a mock"},
            Measured(reason="nothing is measured of it"),
            "it needs a real provider; besides, nobody bills a mock",
        ),
    ],
)
def test_what_cannot_be_decided_says_why(more: dict[str, Any], found: Measured, reason: str) -> None:
    """No measurement, no interval, a condition that is not stated, a provider that is none."""
    assert decide_claim(claim(**more), found, simulated=False) == ClaimVerdict("not_decided", reason)


def test_a_real_provider_decides_what_needs_one() -> None:
    """Where no mock answered, the interval decides."""
    found = decide_claim(claim(at_most=9, needs_provider=True), measured(5, 6), simulated=False)
    assert found == ClaimVerdict("supported", INSIDE)


@pytest.mark.parametrize("more", [{"at_most": 100}, {"undecidable": "no"}, {"at_most": 1, "needs_provider": True}])
def test_a_simulated_runtime_decides_nothing(more: dict[str, Any]) -> None:
    """Whatever was measured."""
    assert decide_claim(claim(**more), measured(1, 2), simulated=True) == ClaimVerdict("not_decided", SIMULATED)


@pytest.mark.parametrize(
    ("llm_ms", "low", "finding", "reason"),
    [
        (200, 150, "not_decided", "{}, which may be why"),
        (200, 210, "not_supported", OUTSIDE + "; {}"),
        (200, 50, "supported", INSIDE + "; {}"),
        (50, 120, "not_supported", OUTSIDE + "; {}"),
        (50, 60, "not_decided", "{}, which may be why"),
        (50, 40, "supported", INSIDE + "; {}"),
    ],
)
def test_a_verdict_that_the_provider_alone_may_have_made_is_none(
    llm_ms: int, low: int, finding: Finding, reason: str
) -> None:
    """A latency counts against a claim, or for it, when it does so in the ratio of the LLM calls' times too."""
    took = f"a request's LLM calls took {llm_ms} ms here and 100 ms in the source"
    found = decide_claim(claim(at_most=100, llm_ms=100), measured(low, low + 5, llm_ms=llm_ms), simulated=False)
    assert found == ClaimVerdict(finding, reason.format(took))
