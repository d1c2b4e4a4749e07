"""Describe an evaluation as a scenario and as datasets: what was sent, under which load, and whose rows it was."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from aether_load.datasets.prompt import DatasetIdentity
from aether_load.evaluation.generation import GenerationPlan
from aether_load.evaluation.options import StubOptions
from aether_load.scenario.load import to_plain
from aether_load.scenario.phase import Phase
from aether_load.scenario.scenario import Scenario, Target
from aether_load.scenario.workload_plan import WorkloadPlan

NAME = "lm_eval"
_PURPOSE = (
    "An evaluation by lm-eval: its tasks chose the documents and their order, so that there is no seed and no source "
    "of ours; each document is asked once, and again where it cannot have run."
)


def plain_scenario(
    options: StubOptions, phases: Sequence[Phase], tasks: Iterable[str], plans: Sequence[GenerationPlan]
) -> dict[str, Any]:
    """Return what was done as a scenario's plain dict; each of the `plans` was sent.

    Seed and source are null, because lm-eval chose documents and order; `purpose` says so. `max_tokens` and
    `temperature` are null where tasks differ in them, and where they were not sent.
    """
    bounds = {plan.max_tokens for plan in plans}
    temperatures = {plan.temperature for plan in plans}
    scenario = Scenario(
        name=NAME,
        purpose=_PURPOSE,
        workload=WorkloadPlan(
            datasets=tuple(tasks),
            model=options.model_name,
            temperature=temperatures.pop() if len(temperatures) == 1 else None,
            max_tokens=bounds.pop() if len(bounds) == 1 else None,
        ),
        target=Target(
            headers=options.headers,
            verify_tls=not options.insecure,
            ca_file=options.ca_file,
            client_cert=options.client_cert,
            client_key=options.client_key,
            connect_timeout=options.connect_timeout,
            request_timeout=options.request_timeout,
            server_metrics=options.server_metrics,
        ),
        phases=tuple(phases),
    )
    plain = to_plain(scenario)
    plain["seed"] = None
    plain["workload"]["source"] = None
    return plain


def identity_of(task: str, documents: Sequence[Mapping[str, Any]]) -> DatasetIdentity:
    """Return whose rows a task's documents are, as far as the documents themselves say it.

    The revision is a digest of the documents as lm-eval handed them over; how many there would have been it did
    not say.
    """
    digest = hashlib.sha256()
    for document in documents:
        digest.update(msgspec.json.encode(document, enc_hook=str, order="deterministic") + b"\n")
    return DatasetIdentity(
        name=task,
        source=NAME,
        location=f"lm-eval task {task}",
        config=None,
        split=None,
        revision=f"sha256:{digest.hexdigest()}",
        rows_available=None,
        rows_used=len(documents),
    )
