"""Compute what the answers cost: tokens a second, and tokens and money for a right answer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aether_load.analysis.statistics.distribution import Share, rounded
from aether_load.analysis.statistics.window_rates import WindowRates
from aether_load.rundata.records.record_format import ABSENT
from aether_load.rundata.samples.table import PhaseSamples

_UNTOLD = "an answer in the window did not state its tokens"


def token_figures(
    samples: PhaseSamples,
    which: NDArray[np.bool_],
    due: NDArray[np.bool_],
    rates: WindowRates,
    accuracy: Share | None,
    price_usd_per_1000_tokens: float | None,
    reasons: dict[str, str],
) -> tuple[int | None, float | None, float | None, float | None]:
    """Return tokens as the runtime counts them (`token_cost`): all, a second, and for a right answer, and that in USD.

    The total is of readable answers to requests `due` in the window; the rate counts each readable answer to the
    requests `which` by the part of its time inside the window. A right answer is charged with the tokens of the wrong
    ones too: they were paid for on the way to it. `reasons` has why there is no `accuracy`, and takes why a figure is
    None.
    """
    total = _tokens(samples, due & samples.readable)
    if total is None:
        any_readable = bool((due & samples.readable).any())
        reasons["tokens_total"] = _UNTOLD if any_readable else "no answer in the window could be read"
    rate, why_no_rate = _tokens_per_s(samples, which, rates)
    if why_no_rate is not None:
        reasons["tokens_per_s"] = why_no_rate
    each = None
    if total is None:
        reasons["tokens_per_correct_answer"] = reasons["tokens_total"]
    elif accuracy is None:
        reasons["tokens_per_correct_answer"] = reasons["accuracy"]
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
        cost = float(f"{each * price_usd_per_1000_tokens / 1000:.6g}")
    return total, rounded(rate), rounded(each), cost


def _tokens(samples: PhaseSamples, which: NDArray[np.bool_]) -> int | None:
    """Return the tokens of some readable answers; None where there are none, or where one did not state its own."""
    costs = samples.token_cost[which]
    return int(costs.sum()) if len(costs) and (costs != ABSENT).all() else None


def _tokens_per_s(
    samples: PhaseSamples, which: NDArray[np.bool_], rates: WindowRates
) -> tuple[float | None, str | None]:
    if rates.reason is not None:
        return None, rates.reason
    told = which & samples.readable & (rates.shares > 0)
    if _tokens(samples, told) is None:
        return None, "no answer that could be read lies in the window" if not told.any() else _UNTOLD
    return rates.per_second(samples.token_cost, told), None
