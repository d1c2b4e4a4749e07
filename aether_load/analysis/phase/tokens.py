"""What the answers cost: tokens a second, and tokens and money for a right answer."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from aether_load.analysis.statistics.distribution import Share, rounded
from aether_load.rundata.record_format import ABSENT
from aether_load.rundata.table import PhaseSamples


class TokenFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens as the runtime counts them (`token_cost`); each None has a reason by its name.

    The total is of readable answers to requests due in the window, the rate of those that came in inside it.
    """

    tokens_total: int | None
    tokens_per_s: float | None
    tokens_per_correct_answer: float | None
    cost_per_correct_answer_usd: float | None
    reasons: dict[str, str]


def token_figures(
    samples: PhaseSamples,
    due: NDArray[np.bool_],
    completed: NDArray[np.bool_],
    accuracy: Share | None,
    why_no_accuracy: str | None,
    price_usd_per_1000_tokens: float | None,
) -> TokenFigures:
    """Return what the answers to requests `due` in a window, and those `completed` in it, have cost.

    A right answer is charged with the tokens of the wrong ones too: they were paid for on the way to it.
    """
    reasons: dict[str, str] = {}
    total = _tokens(samples, due & samples.readable)
    rate = None
    if total is None:
        reasons["tokens_total"] = "no answer in the window could be read"
    window_s = samples.window_s or None
    if window_s is None:
        reasons["tokens_per_s"] = "there was no window"
    else:
        came_in = _tokens(samples, completed & samples.readable)
        rate = None if came_in is None else came_in / window_s
        if rate is None:
            reasons["tokens_per_s"] = "no answer that could be read came in inside the window"
    each = None
    if total is None:
        reasons["tokens_per_correct_answer"] = reasons["tokens_total"]
    elif accuracy is None:
        reasons["tokens_per_correct_answer"] = why_no_accuracy or "no answer was scored"
    elif accuracy.hits == 0:
        reasons["tokens_per_correct_answer"] = f"none of {accuracy.count} answers was right"
    else:
        each = total / accuracy.hits
    cost = None
    if price_usd_per_1000_tokens is None:
        reasons["cost_per_correct_answer_usd"] = "the scenario states no workload.price_usd_per_1000_tokens"
    elif each is None:
        reasons["cost_per_correct_answer_usd"] = reasons["tokens_per_correct_answer"]
    else:
        cost = each * price_usd_per_1000_tokens / 1000
    return TokenFigures(
        tokens_total=total,
        tokens_per_s=rounded(rate),
        tokens_per_correct_answer=rounded(each),
        cost_per_correct_answer_usd=None if cost is None else float(f"{cost:.6g}"),
        reasons=reasons,
    )


def _tokens(samples: PhaseSamples, which: NDArray[np.bool_]) -> int | None:
    """Return the tokens of some requests, None where there is no such request."""
    if not which.any():
        return None
    costs = samples.token_cost[which]
    return int(costs[costs != ABSENT].sum())
