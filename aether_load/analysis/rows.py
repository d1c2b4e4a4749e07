"""One dataset's requests in one phase's window, or all of them, as a row of figures."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from aether_load.analysis.samples import ABSENT, ANSWER_STATES
from aether_load.analysis.statistics import Distribution, Share, distribution, rounded, wilson
from aether_load.analysis.table import PhaseSamples, response_ms, service_ms
from aether_load.protocol import Outcome

_UNANSWERED = ANSWER_STATES.index("unanswered")
_MOCK = ANSWER_STATES.index("mock")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One dataset's requests in one phase's window, or all of them; `reasons` says of each None why.

    `error_rate` counts failures other than `rejected`, `rejected_rate` those; requests that we gave up ourselves
    when a run was interrupted are in neither. Throughputs count answers that came in inside the window; latencies
    are of every request sent inside it, failures too.
    """

    dataset: str
    requests_total: int
    outcomes: dict[str, int]
    ok_total: int
    error_rate: float | None
    rejected_rate: float | None
    request_throughput_rps: float | None
    ok_throughput_rps: float | None
    service_latency_ms: Distribution | None
    response_latency_ms: Distribution | None
    server_time_share: float | None
    token_cost_total: int | None
    unanswered_total: int | None
    accuracy: Share | None
    reasons: dict[str, str]


def build_row(
    name: str,
    samples: PhaseSamples,
    which: NDArray[np.bool_] | None = None,
    *,
    interrupted: bool = False,
    unscored: str | None = None,
) -> Row:
    """Return a row of requests due inside the window, and of answers that came in inside it, whenever sent.

    `which` of the samples the row is of; None for all of them. `unscored` says why no answer was scored, if so.
    """
    in_window, completed = samples.in_window, samples.completed
    if which is not None:
        in_window, completed = in_window & which, completed & which
    reasons: dict[str, str] = {}
    counts = np.bincount(samples.outcome[in_window], minlength=len(Outcome))
    outcomes = {outcome.label: int(counts[outcome]) for outcome in Outcome}
    total = int(np.count_nonzero(in_window))
    judged = total - (outcomes["cut_off"] if interrupted else 0)
    errors = judged - outcomes["ok"] - outcomes["rejected"]
    told = in_window & samples.readable
    sent = in_window & samples.was_sent
    client_ms = float(service_ms(samples, told).sum())
    any_told = bool(told.any())
    costs = samples.token_cost[told]
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
        reasons.update(
            dict.fromkeys(("server_time_share", "token_cost_total"), "no answer in the window could be read")
        )
    accuracy, unanswered, why = _accuracy(samples, in_window, unscored)
    reasons.update(why)
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
        service_latency_ms=service,
        response_latency_ms=distribution(response_ms(samples, sent)) if late else service,
        server_time_share=rounded(float(samples.server_total_ms[told].sum()) / client_ms) if client_ms else None,
        token_cost_total=int(costs[costs != ABSENT].sum()) if any_told else None,
        unanswered_total=unanswered,
        accuracy=accuracy,
        reasons=reasons,
    )


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
