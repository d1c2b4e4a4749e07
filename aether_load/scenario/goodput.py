"""What a scenario counts as a good answer, and what its tokens cost: terms for figures, not limits for a verdict."""

from __future__ import annotations

from aether_load.scenario.threshold import LATENCIES, Threshold, parse_threshold


def goodput_slo_mistake(text: str) -> str | None:
    """Return what is wrong with a condition on single requests, in a sentence, or None."""
    expected = 'expected a limit on the latency of each request, as in "response_latency_ms<500"'
    try:
        condition = parse_threshold(text)
    except ValueError:
        return f"{expected}."
    if condition.where:
        return f"it is of every request, so there is no {condition.where[0]!r} before it; {expected}."
    if condition.metric not in LATENCIES:
        return f"{condition.metric!r} is not known of each request by itself; {expected}."
    if condition.aggregation is not None:
        return f"a request has no {condition.aggregation}: it has one latency; {expected}."
    if condition.operator not in {"<", "<="}:
        return f"{condition.operator!r} is no upper limit; {expected}."
    if condition.value <= 0:
        return f"no request takes {condition.value:g} ms; {expected}."
    return None


def goodput_condition(text: str | None) -> Threshold | None:
    """Return the condition that a request must keep to count as good; None where a scenario states none."""
    return None if text is None else parse_threshold(text)
