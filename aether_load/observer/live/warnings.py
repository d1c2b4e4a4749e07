"""Warn of what makes a run's figures doubtful, as far as it shows during the run.

The report's own warnings, which take the place of these at the end, have the same codes and know more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from aether_load.analysis.verdict.warnings import ACHIEVED_BELOW, CACHE_ENTRIES, SATURATED_ABOVE
from aether_load.observer.live.run import LiveRun
from aether_load.observer.live.time_bucket import TimeBucket
from aether_load.protocol import Outcome
from aether_load.rundata.manifest import Manifest
from aether_load.scenario.scenario import Scenario
from aether_load.scenario.warning_codes import WarningCode as Code

_LOOKED_AT = 5


class LiveWarning(msgspec.Struct, frozen=True):
    """A code for scripts, what is so, and what to do; a code that the report does not have is a failure's own."""

    code: str
    message: str
    advice: str


def live_warnings(
    run: LiveRun, manifest: Manifest, scenario: Scenario, cache: Literal["keep", "cold", "warm"]
) -> Iterator[LiveWarning]:
    """Yield what is to be said now of a run, in a phase that asked for this state of the cache."""
    if manifest.target.kind == "simulated":
        yield LiveWarning(
            Code.SIMULATED_TARGET,
            "The target is the simulated runtime: these figures say nothing about Aether.",
            "Give a runtime as the host.",
        )
    if not scenario.target.verify_tls:
        yield LiveWarning(
            Code.TLS_NOT_VERIFIED, "Certificates are not verified (--insecure).", "Let the certificate be trusted."
        )
    yield from _of_failures(run, scenario.max_error_rate)
    reconciliation = run.server.reconciliation.state
    if scenario.target.server_metrics and reconciliation.state in {"contaminated", "restarted", "no_server_data"}:
        yield LiveWarning(
            reconciliation.state,
            f"The server's counts cannot be used: {reconciliation.reason}.",
            "Give the runtime to this run alone, one replica of it, and see that its /metrics answers.",
        )
    yield from _of_client(run.timeline.latest(_LOOKED_AT))
    yield from _of_cache(run, sum(identity.rows_used or 0 for identity in manifest.datasets), cache)
    if run.mock_answers:
        yield LiveWarning(
            Code.MOCK_PROVIDER,
            f"{run.mock_answers} answers are the mock provider's fixed text, so that there is no accuracy.",
            "Give the runtime a real provider to measure accuracy.",
        )


def _of_failures(run: LiveRun, allowed: float) -> Iterator[LiveWarning]:
    sent = run.outcomes.total() - run.outcome_total(Outcome.DROPPED)
    wrong = sent - run.outcome_total(Outcome.OK) - run.outcome_total(Outcome.REJECTED)
    if sent and wrong / sent > allowed:
        yield LiveWarning(
            "failures",
            f"{wrong} of {sent} requests failed, {wrong / sent:.1%}; the scenario allows {allowed:.1%}.",
            "Look at the outcomes below, and in Locust's Failures tab for their reasons.",
        )
    if dropped := run.outcome_total(Outcome.DROPPED):
        yield LiveWarning(
            Code.DROPPED, f"{dropped} requests were due and never sent.", "Raise max_concurrency or take a lower rate."
        )


def _of_client(latest: list[TimeBucket]) -> Iterator[LiveWarning]:
    busiest = max((bucket.cpu_s / bucket.seconds for bucket in latest if bucket.cpu_s is not None), default=0.0)
    if busiest > SATURATED_ABOVE:
        yield LiveWarning(
            Code.CLIENT_SATURATED,
            f"The sending process used {busiest:.0%} of a core, so latencies are its own in part.",
            "Use fewer users, or a machine that has nothing else to do.",
        )
    open_load = [bucket for bucket in latest if bucket.target_rps is not None]
    if len(open_load) == _LOOKED_AT:
        due = sum((bucket.target_rps or 0.0) * bucket.seconds for bucket in open_load)
        answered = sum(bucket.requests for bucket in open_load)
        # As many may be on their way as arrive by chance in the time.
        if answered < ACHIEVED_BELOW * due - 3 * due**0.5:
            seconds = sum(bucket.seconds for bucket in open_load)
            yield LiveWarning(
                Code.ACHIEVED_RATE_LOW,
                f"{answered / seconds:.1f} requests/s were answered, of {due / seconds:.1f} due.",
                "Raise max_concurrency if users are all busy, or take a lower rate: the runtime does not keep up.",
            )


def _of_cache(run: LiveRun, prompts: int, cache: str) -> Iterator[LiveWarning]:
    hits, told = run.cached_nodes, run.cached_nodes + run.uncached_nodes
    if hits and cache == "keep":
        yield LiveWarning(
            Code.CACHE_ANSWERED,
            f"{hits / told:.0%} of the nodes came from the runtime's cache, so latency is of hits and misses mixed.",
            "Ask for a cold or a warm cache, or judge hits on their own.",
        )
    if hits and cache == "cold":
        yield LiveWarning(
            Code.COLD_PHASE_WITH_HITS,
            f"The cache was to be cold, and {hits} of {told} nodes came from it.",
            "End the load after one pass over the prompts.",
        )
    if cache == "warm" and hits < told:
        yield LiveWarning(
            Code.WARM_PHASE_WITH_MISSES,
            f"The cache was to be warm, and {told - hits} of {told} nodes were not in it.",
            f"Take prompts that fit into its {CACHE_ENTRIES} entries.",
        )
    sent, entries = run.outcomes.total(), prompts * run.nodes_per_request
    if told and sent > prompts and entries > CACHE_ENTRIES:
        yield LiveWarning(
            Code.PROMPTS_EXCEED_CACHE,
            f"{prompts} prompts are sent more than once to a cache of {CACHE_ENTRIES} entries, which evicts itself.",
            "Take fewer rows, or every request as a miss.",
        )
