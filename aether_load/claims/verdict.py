"""Decide a claim by what was measured: supported, not supported, or not decided, with the reason."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from aether_load.claims.claim import Claim
from aether_load.claims.measurement import Measured

Finding = Literal["supported", "not_supported", "not_decided"]

SIMULATED = "SIMULATED runtime: the figure says nothing about Aether"


class ClaimVerdict(msgspec.Struct, frozen=True):
    """What was found of a claim, and why."""

    finding: Finding
    reason: str


def decide_claim(claim: Claim, measured: Measured, *, simulated: bool) -> ClaimVerdict:
    """Return the verdict on a claim.

    It is decided when the whole interval lies on one side of the published number.
    """
    if simulated:
        return ClaimVerdict("not_decided", SIMULATED)
    if claim.needs_provider and (measured.mock or measured.value is None):
        why = f"; besides, {claim.undecidable}" if claim.undecidable else ""
        answered = " and the mock provider answered" if measured.mock else ""
        return ClaimVerdict("not_decided", f"it needs a real provider{answered}{why}")
    if claim.undecidable:
        return ClaimVerdict("not_decided", claim.undecidable)
    if measured.value is None or (measured.low is None and measured.high is None):
        return ClaimVerdict("not_decided", measured.reason or "it was not measured")
    return _under_condition(claim, measured, _by_interval(claim, measured))


def _by_interval(claim: Claim, measured: Measured) -> ClaimVerdict:
    low = -math.inf if measured.low is None else measured.low
    high = math.inf if measured.high is None else measured.high
    least, most = _limits(claim)
    if least <= low and high <= most:
        return ClaimVerdict("supported", "the whole interval lies within what was published")
    if high < least or low > most:
        return ClaimVerdict("not_supported", "the whole interval lies outside what was published")
    return ClaimVerdict("not_decided", "the interval reaches over the limit of what was published")


def _limits(claim: Claim) -> tuple[float, float]:
    """Return between which values a claim is true, its tolerance included."""
    low, high = 1 - claim.tolerance, 1 + claim.tolerance
    if claim.at_least is not None:
        return claim.at_least * low, math.inf
    if claim.at_most is not None:
        return -math.inf, claim.at_most * high
    assert claim.about is not None
    return claim.about * low, claim.about * high


def _under_condition(claim: Claim, measured: Measured, verdict: ClaimVerdict) -> ClaimVerdict:
    """Take a verdict on a latency back that a provider of another speed alone may have caused.

    Latency is something beside the LLM calls and a part of their time. So it falls with that time at most in the same
    ratio, and rises at most in the same ratio.
    """
    if claim.llm_ms is None or measured.llm_ms is None or claim.at_most is None:
        return verdict
    took = f"a request's LLM calls took {measured.llm_ms:.0f} ms here and {claim.llm_ms:g} ms in the source"
    ratio = claim.llm_ms / measured.llm_ms
    scaled = _by_interval(
        claim, msgspec.structs.replace(measured, low=_times(measured.low, ratio), high=_times(measured.high, ratio))
    )
    favours_claim = ratio > 1
    is_doubtful = verdict.finding == ("supported" if favours_claim else "not_supported")
    if is_doubtful and scaled.finding != verdict.finding:
        return ClaimVerdict("not_decided", f"{took}, which may be why")
    return ClaimVerdict(verdict.finding, f"{verdict.reason}; {took}")


def _times(value: float | None, ratio: float) -> float | None:
    return None if value is None else value * ratio
