"""Make ready what a master handed over: the target, seen from here, and what each run sends."""

from __future__ import annotations

from math import ceil
from typing import Any

from aether_load.load.distributed.handover import Handover
from aether_load.load.http.endpoint import Endpoint
from aether_load.load.process.descriptors import check_descriptors
from aether_load.load.sending.locust_feed import LocustFeed
from aether_load.load.sending.prepared_requests import PreparedRequests
from aether_load.load.sending.sender_context import SenderContext
from aether_load.load.sending.target_client import TargetClient
from aether_load.load.target_probe import probe_in_time
from aether_load.scenario.command_line.headers import filled_in
from aether_load.scenario.load import from_plain
from aether_load.scenario.stage import most_users, variants


def check_handover(handover: Handover) -> None:
    """Check that this machine can send what was handed over; raises AetherLoadError.

    A target that is out of reach from here is said at once.
    """
    scenario = from_plain(handover.scenario)
    check_descriptors(ceil(most_users(scenario) / handover.workers))
    probe_in_time(handover.url, filled_in(handover.headers), scenario.target.tls, "the master's --host")


def sender_context_of(handover: Handover, run: str, worker: int, environment: Any) -> SenderContext:
    """Return what the users of this worker have in common in a run."""
    scenario = from_plain(handover.scenario)
    endpoint = Endpoint.of(handover.url, filled_in(handover.headers), scenario.target.tls)
    # Marks that make a prompt unique are of this worker's own: indexes are told apart by their worker only.
    mark_seed = f"{run} {worker}"
    workload = handover.workload
    prepared = PreparedRequests(endpoint, workload.bodies, variants(scenario), mark_seed, workload.prompt_nodes)
    target = TargetClient(endpoint, scenario.target, prepared, handover.generation)
    return SenderContext(scenario, workload, [target], handover.traces, LocustFeed(environment), worker)
