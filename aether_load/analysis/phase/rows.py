"""Compute a row of figures: one dataset's requests in one phase's window, or all of them."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from aether_load.analysis.latency.divided import ratio
from aether_load.analysis.phase.goodput import goodput
from aether_load.analysis.phase.tokens import token_figures
from aether_load.analysis.statistics.distribution import Distribution, Share, distribution, rounded, wilson
from aether_load.analysis.statistics.window_rates import WindowRates, window_rates
from aether_load.protocol import Outcome
from aether_load.rundata.records.record_format import ABSENT, ANSWER_STATES
from aether_load.rundata.samples.table import PhaseSamples, response_latencies, service_latencies, service_ms
from aether_load.scenario.metrics import PartName
from aether_load.scenario.threshold import Threshold

_UNANSWERED = ANSWER_STATES.index("unanswered")
_MOCK = ANSWER_STATES.index("mock")
NO_CACHE_TOLD = "no answer said whether a node came from the cache"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One dataset's requests in one phase's window, or all of them; `reasons` says of each None why.

    Counts, shares and latencies are of requests due inside the window, failures too. `error_rate` counts failures other
    than `rejected`, `rejected_rate` those; requests that were given up when a run was interrupted are in neither. Rates
    count each request by the share of its time from sent to answered that lies inside the window; below one wave there
    is none. `goodput_rps` counts requests that succeeded and kept the scenario's `goodput_slo`, `goodput_share` such
    requests among all that were due, dropped ones too.
    `tokens_per_correct_answer` is of all readable answers' tokens, wrong ones' too, and the cost the same in money.
    `decomposition_mean_ms` has each part's mean contribution to response latency; they add up to its mean. Cached
    and uncached nodes are those of answers that said so. Of the server's own figures there is no part a dataset:
    it counts nodes, and does not know datasets.
    """

    dataset: str  # name of the dataset, or `all`
    requests_total: int  # requests due in the window
    outcomes: dict[str, int]  # requests by outcome
    ok_total: int  # requests that succeeded
    error_rate: float | None  # share of failures other than `rejected`
    rejected_rate: float | None  # share refused by the prompt guard
    request_throughput_rps: float | None  # requests a second, by their time inside the window
    ok_throughput_rps: float | None  # requests that succeeded a second, likewise
    goodput_rps: float | None  # of those, the ones that kept `goodput_slo`
    goodput_share: Share | None  # good requests among all that were due
    service_latency_ms: Distribution | None  # from sent to answered
    response_latency_ms: Distribution | None  # from due to answered
    server_time_share: float | None  # server's totals over client time
    tokens_total: int | None  # tokens as the runtime counts them
    tokens_per_s: float | None  # tokens a second of the window
    tokens_per_correct_answer: float | None  # all tokens over the right answers
    cost_per_correct_answer_usd: float | None  # the same in money
    cached_nodes_total: int | None  # nodes that came from the cache
    uncached_nodes_total: int | None  # nodes that did not
    decomposition_mean_ms: dict[PartName, float] | None  # mean of each part of latency; they add up to its mean
    unanswered_total: int | None  # scored answers without a letter
    accuracy: Share | None  # right answers among those scored
    reasons: dict[str, str]  # why a key is null


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What a scenario and a run say on how a row's figures are to be made.

    `unscored` says why no answer was scored, if so.
    """

    interrupted: bool = False
    unscored: str | None = None
    goodput_slo: Threshold | None = None
    price_usd_per_1000_tokens: float | None = None


_NO_TERMS = Terms()


def build_row(
    name: str,
    samples: PhaseSamples,
    which: NDArray[np.bool_] | None = None,
    terms: Terms = _NO_TERMS,
    parts_ms: dict[PartName, float] | None = None,
    rates: WindowRates | None = None,
) -> Row:
    """Return a row of a phase's requests, `which` of them or all.

    `parts_ms` has the parts of their response latency; without `rates` the number of users is not looked at.
    """
    which = np.ones(len(samples), np.bool_) if which is None else which
    rates = rates or window_rates(samples)
    due = samples.in_window & which
    told, sent = due & samples.readable, due & samples.was_sent
    reasons: dict[str, str] = {}
    outcomes, error_rate, rejected_rate = _counts(samples, due, reasons, interrupted=terms.interrupted)
    service, response = _latencies(samples, sent, reasons)
    accuracy, unanswered = _accuracy(samples, due, terms.unscored, reasons)
    judged = due & (samples.outcome != Outcome.CANCELLED) if terms.interrupted else due
    good_rps, good_share = goodput(samples, which, judged, rates, terms.goodput_slo, reasons)
    tokens, tokens_per_s, tokens_each, usd_each = token_figures(
        samples, which, due, rates, accuracy, terms.price_usd_per_1000_tokens, reasons
    )
    cached = samples.node_cached[told]
    any_cache_told = bool((cached != ABSENT).any())
    if rates.reason is not None:
        reasons["request_throughput_rps"] = reasons["ok_throughput_rps"] = rates.reason
    if not told.any():
        reasons["server_time_share"] = "no answer in the window could be read"
    if not any_cache_told:
        reasons["cached_nodes_total"] = reasons["uncached_nodes_total"] = NO_CACHE_TOLD
    if parts_ms is None:
        reasons["decomposition_mean_ms"] = "no request was sent in the window"
    return Row(
        dataset=name,
        requests_total=sum(outcomes.values()),
        outcomes=outcomes,
        ok_total=outcomes["ok"],
        error_rate=error_rate,
        rejected_rate=rejected_rate,
        request_throughput_rps=rounded(rates.per_second(which)),
        ok_throughput_rps=rounded(rates.per_second(which & (samples.outcome == Outcome.OK))),
        goodput_rps=good_rps,
        goodput_share=good_share,
        service_latency_ms=service,
        response_latency_ms=response,
        server_time_share=ratio(samples.server_total_ms[told].sum(), service_ms(samples, told).sum()),
        tokens_total=tokens,
        tokens_per_s=tokens_per_s,
        tokens_per_correct_answer=tokens_each,
        cost_per_correct_answer_usd=usd_each,
        cached_nodes_total=int(np.count_nonzero(cached == 1)) if any_cache_told else None,
        uncached_nodes_total=int(np.count_nonzero(cached == 0)) if any_cache_told else None,
        decomposition_mean_ms=parts_ms,
        unanswered_total=unanswered,
        accuracy=accuracy,
        reasons=reasons,
    )


def _counts(
    samples: PhaseSamples, due: NDArray[np.bool_], reasons: dict[str, str], *, interrupted: bool
) -> tuple[dict[str, int], float | None, float | None]:
    """Return how the requests due in the window ended, the rate of errors, and that of rejected requests."""
    by_outcome = np.bincount(samples.outcome[due], minlength=len(Outcome))
    outcomes = {outcome.label: int(by_outcome[outcome]) for outcome in Outcome}
    judged = sum(outcomes.values()) - (outcomes["cancelled"] if interrupted else 0)
    if judged == 0:
        reasons["error_rate"] = reasons["rejected_rate"] = "no request was sent in the window and had its time"
        return outcomes, None, None
    errors = judged - outcomes["ok"] - outcomes["rejected"]
    return outcomes, rounded(errors / judged), rounded(outcomes["rejected"] / judged)


def _latencies(
    samples: PhaseSamples, sent: NDArray[np.bool_], reasons: dict[str, str]
) -> tuple[Distribution | None, Distribution | None]:
    """Return the distributions of service and response latency of the requests `sent`."""
    service = distribution(*service_latencies(samples, sent))
    if service is None:
        reasons["service_latency_ms"] = reasons["response_latency_ms"] = "no request was sent in the window"
        return None, None
    # In closed load a request is due when it is sent, and the two are one.
    late = bool(np.any(samples.sent_ns[sent] != samples.due_ns[sent]))
    return service, distribution(*response_latencies(samples, sent)) if late else service


def _accuracy(
    samples: PhaseSamples, which: NDArray[np.bool_], unscored: str | None, reasons: dict[str, str]
) -> tuple[Share | None, int | None]:
    """Return the share of right answers among those scored, and how many gave no letter.

    An answer without a letter is wrong, not left out. The mock's fixed text is no answer, so one of it voids the
    figure: the accuracy of the rest would be of another mixture of rows.
    """
    states = samples.answer_state[which]
    mock = int(np.count_nonzero(states == _MOCK))
    if mock:
        why = f"{mock} of {len(states)} answers are the mock provider's fixed text, which answers nothing"
        reasons["accuracy"] = reasons["unanswered_total"] = why
        return None, None
    correct = samples.correct[which]
    scored = int(np.count_nonzero(correct != ABSENT))
    if scored == 0:
        why = unscored or "no answer was scored: none came, or the rows do not say which option is right"
        reasons["accuracy"] = reasons["unanswered_total"] = why
        return None, None
    right = int(np.count_nonzero(correct == 1))
    return wilson(right, scored), int(np.count_nonzero(states == _UNANSWERED))
