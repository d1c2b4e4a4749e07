"""What threatens the meaning of a run's figures, each as a value with a sentence of advice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from aether_load.protocol import Generation

if TYPE_CHECKING:
    from aether_load.analysis.report import PhaseReport
    from aether_load.analysis.run import Manifest
    from aether_load.workload.scenario import Scenario

SATURATED_ABOVE = 0.9
SATURATED_BELOW = 0.95
COUNTED_TWICE_ABOVE = 1.02
SHORTEST_JUDGED_S = 1.0
CACHE_ENTRIES = 1000


class Warning_(msgspec.Struct, frozen=True):  # noqa: N801 -- Warning is Python's own
    """A threat to validity: a code for scripts, what is so, and what to do; `phase` None when it is the run's."""

    code: str
    phase: str | None
    message: str
    advice: str


def run_warnings(manifest: Manifest, scenario: Scenario, *, torn: bool) -> Iterator[Warning_]:
    """Yield what concerns the run as a whole."""
    if manifest.target.kind == "simulated":
        yield Warning_(
            "simulated_target",
            None,
            "The target is the simulated runtime: these figures say nothing about Aether.",
            "Give a runtime with --host URL.",
        )
    if not scenario.target.verify_tls:
        yield Warning_(
            "tls_not_verified",
            None,
            "Certificates were not verified (--insecure): whoever answered, it may not have been the target.",
            "Let the runtime's certificate be trusted, by SSL_CERT_FILE for one of your own.",
        )
    if manifest.ended_as == "running":
        yield Warning_(
            "cut_off",
            None,
            "The run was cut off by force, so its last second and its last reading of /metrics are missing.",
            "Take the figures as a look at a part, and run it again.",
        )
    elif torn:
        yield Warning_(
            "samples_torn",
            None,
            "The end of samples.arrow is missing; what came before it was read.",
            "Look at the notes in run.json for where the rest lies.",
        )
    for note in manifest.notes:
        yield Warning_("note", None, note, "Mend that before the next run.")
    limit = scenario.workload.limit
    for identity in manifest.datasets:
        if limit is not None and identity.rows_available is not None and identity.rows_available < limit:
            yield Warning_(
                "dataset_shorter_than_asked",
                None,
                f"{identity.name} has {identity.rows_available} rows, fewer than the {limit} asked for.",
                "Lower workload.limit, or use a larger source.",
            )


def phase_warnings(manifest: Manifest, scenario: Scenario, phase: PhaseReport) -> Iterator[Warning_]:
    """Yield what concerns one phase."""
    ledger, name = phase.reconciliation, phase.name
    if ledger.trust != "trusted" and scenario.target.server_metrics:
        advice = {
            "contaminated": "Give the runtime to this run alone, and one replica of it.",
            "restarted": "Find out why the runtime restarted, and run again.",
            "no_server_data": "Check GET /metrics of the target, or set target.server_metrics = false.",
        }[ledger.trust]
        yield Warning_(ledger.trust, name, f"The server's counts cannot be used: {ledger.reason}.", advice)
    elif ledger.trust == "trusted" and ledger.reason is not None:
        yield Warning_(
            "unread_answers", name, f"Counts agree only within bounds: {ledger.reason}.", "Find out why answers broke."
        )
    if phase.sender is not None and phase.sender.cpu_share_max > SATURATED_ABOVE:
        yield Warning_(
            "client_saturated",
            name,
            f"The sending process used {phase.sender.cpu_share_max:.0%} of a core in its busiest second, so latencies "
            "are its own in part.",
            "Use fewer users, or a machine that has nothing else to do.",
        )
    little = phase.correlation.littles_law_ratio
    long_enough = phase.window_s is not None and phase.window_s >= SHORTEST_JUDGED_S
    if long_enough and little is not None and little < SATURATED_BELOW:
        yield Warning_(
            "users_not_busy",
            name,
            f"Requests account for {little:.1%} of the users' time; the rest went by in this client or in pauses "
            "after lost connections.",
            "Use fewer users, or a machine that has nothing else to do.",
        )
    elif long_enough and little is not None and little > COUNTED_TWICE_ABOVE:
        yield Warning_(
            "more_in_flight_than_users", name, f"Little's ratio is {little:.3f}.", "Report this: it is a defect."
        )
    latency = phase.all.service_latency_ms
    if latency is not None and latency.p99.reliability != "ok":
        known = "only bounded from below" if latency.p99.reliability == "unreliable" else "weak"
        yield Warning_(
            "few_samples",
            name,
            f"{latency.count} samples: p99 is {known} (368 bound it, 1,000 make it firm).",
            "Send more requests: more passes, or a longer duration.",
        )
    if "accuracy" in phase.all.reasons and "mock provider" in phase.all.reasons["accuracy"]:
        yield Warning_(
            "mock_provider",
            name,
            "The runtime answers with its mock provider's fixed text, so there is no accuracy.",
            "Give the runtime a real provider to measure accuracy.",
        )
    if phase.cached_nodes_total:
        share = phase.cached_nodes_total / max(1, ledger.answered_nodes_total)
        yield Warning_(
            "cache_answered",
            name,
            f"{share:.0%} of the nodes came from the runtime's cache, so latency is of "
            + ("hits." if share == 1 else "hits and misses mixed."),
            "Send each prompt once (passes = 1) to a runtime whose cache is empty, or judge hits on their own.",
        )
    prompts = sum(identity.rows_used for identity in manifest.datasets)
    sent = phase.all.requests_total + phase.requests_outside_window_total
    if manifest.target.generation is Generation.V2 and sent > prompts > CACHE_ENTRIES:
        yield Warning_(
            "prompts_exceed_cache",
            name,
            f"{prompts} prompts were sent more than once to a cache of {CACHE_ENTRIES} entries, which evicts itself.",
            "Use --limit for a set that fits, or take every request as a miss.",
        )
