"""One dataset's requests in one phase's window, or all of them, as a row of figures."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from aether_load.analysis.latency.decomposition import PartName
from aether_load.analysis.phase.goodput import goodput
from aether_load.analysis.phase.tokens import token_figures
from aether_load.analysis.statistics.distribution import Distribution, Share, distribution, rounded, wilson
from aether_load.protocol import Outcome
from aether_load.rundata.samples import ABSENT, ANSWER_STATES
from aether_load.rundata.table import PhaseSamples, response_ms, service_ms
from aether_load.scenario.threshold import Threshold

_UNANSWERED = ANSWER_STATES.index("unanswered")
_MOCK = ANSWER_STATES.index("mock")
NO_CACHE_TOLD = "no answer said whether a node came from the cache"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One dataset's requests in one phase's window, or all of them; `reasons` says of each None why.

    `error_rate` counts failures other than `rejected`, `rejected_rate` those; requests that we gave up ourselves
    when a run was interrupted are in neither. Throughputs count answers that came in inside the window; latencies
    are of every request sent inside it, failures too. `goodput_rps` counts answers that succeeded and kept the
    scenario's `goodput_slo`, `goodput_share` such requests among all that were due, dropped ones too.
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
    request_throughput_rps: float | None  # answers in the window over its length
    ok_throughput_rps: float | None  # answers that succeeded over its length
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
) -> Row:
    """Return a row of requests due inside the window, and of answers that came in inside it, whenever sent.

    `which` of the samples the row is of; None for all of them. `parts_ms` has the parts of their response latency.
    """
    interrupted, unscored = terms.interrupted, terms.unscored
    in_window, completed = samples.in_window, samples.completed
    if which is not None:
        in_window, completed = in_window & which, completed & which
    reasons: dict[str, str] = {}
    counts = np.bincount(samples.outcome[in_window], minlength=len(Outcome))
    outcomes = {outcome.label: int(counts[outcome]) for outcome in Outcome}
    total = int(np.count_nonzero(in_window))
    judged = total - (outcomes["cancelled"] if interrupted else 0)
    errors = judged - outcomes["ok"] - outcomes["rejected"]
    told = in_window & samples.readable
    sent = in_window & samples.was_sent
    client_ms = float(service_ms(samples, told).sum())
    any_told = bool(told.any())
    window_s = samples.window_s or None
    if judged == 0:
        reasons["error_rate"] = reasons["rejected_rate"] = "no request was sent in the window and had its time"
    if window_s is None:
        reasons["request_throughput_rps"] = reasons["ok_throughput_rps"] = "there was no window"
    service = distribution(service_ms(samples, sent))
    # In closed load a request is due when it is sent, and the two are one.
    late = bool(np.any(samples.sent_ns[sent] != samples.due_ns[sent]))
    if service is None:
        reasons["service_latency_ms"] = reasons["response_latency_ms"] = "no request was sent in the window"
    if not any_told:
        reasons["server_time_share"] = "no answer in the window could be read"
    accuracy, unanswered, why = _accuracy(samples, in_window, unscored)
    good = goodput(samples, in_window & ~_given_up(samples, interrupted=interrupted), completed, terms.goodput_slo)
    price = terms.price_usd_per_1000_tokens
    tokens = token_figures(samples, in_window, completed, accuracy, why.get("accuracy"), price)
    cached = samples.node_cached[told]
    if not (cached != ABSENT).any():
        reasons["cached_nodes_total"] = reasons["uncached_nodes_total"] = NO_CACHE_TOLD
    if parts_ms is None:
        reasons["decomposition_mean_ms"] = "no request was sent in the window"
    reasons = {**reasons, **why, **good.reasons, **tokens.reasons}
    done = int(np.count_nonzero(completed))
    done_well = int(np.count_nonzero(completed & (samples.outcome == Outcome.OK)))
    return Row(
        dataset=name,
        requests_total=total,
        outcomes=outcomes,
        ok_total=outcomes["ok"],
        error_rate=rounded(errors / judged) if judged else None,
        rejected_rate=rounded(outcomes["rejected"] / judged) if judged else None,
        request_throughput_rps=rounded(done / window_s) if window_s else None,
        ok_throughput_rps=rounded(done_well / window_s) if window_s else None,
        goodput_rps=good.rps,
        goodput_share=good.share,
        service_latency_ms=service,
        response_latency_ms=distribution(response_ms(samples, sent)) if late else service,
        server_time_share=rounded(float(samples.server_total_ms[told].sum()) / client_ms) if client_ms else None,
        tokens_total=tokens.tokens_total,
        tokens_per_s=tokens.tokens_per_s,
        tokens_per_correct_answer=tokens.tokens_per_correct_answer,
        cost_per_correct_answer_usd=tokens.cost_per_correct_answer_usd,
        cached_nodes_total=_count(cached == 1) if "cached_nodes_total" not in reasons else None,
        uncached_nodes_total=_count(cached == 0) if "cached_nodes_total" not in reasons else None,
        decomposition_mean_ms=parts_ms,
        unanswered_total=unanswered,
        accuracy=accuracy,
        reasons=reasons,
    )


def _given_up(samples: PhaseSamples, *, interrupted: bool) -> NDArray[np.bool_]:
    """Tell which requests were given up by ourselves when the run was interrupted, and had no chance."""
    given_up: NDArray[np.bool_] = samples.outcome == (Outcome.CANCELLED if interrupted else ABSENT)
    return given_up


def _count(which: NDArray[np.bool_]) -> int:
    return int(np.count_nonzero(which))


def _accuracy(
    samples: PhaseSamples, which: NDArray[np.bool_], unscored: str | None
) -> tuple[Share | None, int | None, Mapping[str, str]]:
    """Return the share of right answers among those scored, how many gave no letter, and why either is None.

    An answer without a letter is wrong, not left out. The mock's fixed text is no answer, so one of it voids the
    figure: what the rest scored would stand for a mixture that nobody asked about.
    """
    states = samples.answer_state[which]
    mock = int(np.count_nonzero(states == _MOCK))
    if mock:
        why = f"{mock} of {len(states)} answers are the mock provider's fixed text, which answers nothing"
        return None, None, {"accuracy": why, "unanswered_total": why}
    correct = samples.correct[which]
    scored = int(np.count_nonzero(correct != ABSENT))
    if scored == 0:
        why = unscored or "no answer was scored: none came, or the rows do not say which option is right"
        return None, None, {"accuracy": why, "unanswered_total": why}
    right = int(np.count_nonzero(correct == 1))
    return wilson(right, scored), int(np.count_nonzero(states == _UNANSWERED)), {}
