"""What a scenario's types cannot say: values that do not go together, names that are taken, limits that none may be."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from aether_load.errors import UsageError
from aether_load.redaction import hidden_url
from aether_load.runtime_client import encoded_url
from aether_load.scenario.goodput import goodput_slo_mistake
from aether_load.scenario.phase import phase_mistake
from aether_load.scenario.stage import name_of_two
from aether_load.scenario.threshold import meaning, plan_mistake, quoted
from aether_load.scenario.validation import did_you_mean
from aether_load.scenario.workload_plan import HUB_DATASET_NAMES as HUB_DATASETS
from aether_load.scenario.workload_plan import WorkloadPlan

if TYPE_CHECKING:
    from aether_load.scenario.scenario import Scenario, Target

_LABEL_KEY = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_LONGEST_LABEL = 200


def check_scenario(scenario: Scenario, where: str) -> None:
    """Raise a UsageError where values that are right by themselves do not go together; `where` is the file."""
    plan = scenario.workload
    for key in ("connect_timeout", "request_timeout", "server_metrics_timeout"):
        if getattr(scenario.target, key) <= 0:
            raise UsageError(f"Scenario {where}: target.{key} is 0; an answer needs time.")
    if (mistake := tls_mistake(scenario.target)) is not None:
        raise UsageError(f"Scenario {where}: target.{mistake}")
    if scenario.target.server_metrics_url is not None:
        mistake = metrics_url_mistake(scenario.target.server_metrics_url)
        if mistake is not None:
            shown = hidden_url(scenario.target.server_metrics_url)
            raise UsageError(f"Scenario {where}: target.server_metrics_url = {shown!r}: {mistake}.")
        if not scenario.target.server_metrics:
            raise UsageError(
                f"Scenario {where}: target.server_metrics_url and server_metrics = false contradict each other."
            )
    for key, value in scenario.labels.items():
        if (mistake := label_mistake(key, value)) is not None:
            raise UsageError(f"Scenario {where}: labels.{key} = {value!r}: {mistake}")
    if scenario.goodput_slo is not None and (mistake := goodput_slo_mistake(scenario.goodput_slo)) is not None:
        raise UsageError(f"Scenario {where}: goodput_slo = {scenario.goodput_slo!r}: {mistake}")
    _check_thresholds(scenario, where)
    paths = [plan.dataset_dir or "", plan.dag_file or "", *(file.path for file in plan.files.values())]
    if "\0" in "".join([*paths, *(phase.trace.path for phase in scenario.phases if phase.trace is not None)]):
        raise UsageError(f"Scenario {where}: a path in it holds a null character.")
    for name in plan.datasets:
        if name not in HUB_DATASETS and name not in plan.files:
            known = did_you_mean(name, [*HUB_DATASETS, *plan.files])
            raise UsageError(f"Scenario {where}: workload.datasets: no dataset {name!r}; {known}")
    if len(set(plan.datasets)) != len(plan.datasets):
        raise UsageError(f"Scenario {where}: workload.datasets names a dataset twice.")
    for name, file in plan.files.items():
        if name in HUB_DATASETS:
            raise UsageError(
                f"Scenario {where}: workload.files.{name}: that name is a known dataset's; choose another."
            )
        if file.answer is not None and file.options is None:
            raise UsageError(
                f"Scenario {where}: workload.files.{name}.answer: an answer is one of the options, so say options too."
            )
    if plan.source == "folder" and plan.dataset_dir is None and set(plan.datasets) - set(plan.files):
        raise UsageError(f'Scenario {where}: workload.source is "folder", so workload.dataset_dir is needed.')
    try:
        _check_dag(plan)
    except UsageError as error:
        raise UsageError(f"Scenario {where}: {error}") from None
    for number, phase in enumerate(scenario.phases):
        if (mistake := phase_mistake(phase)) is not None:
            raise UsageError(f"Scenario {where}: phases.{number}.{mistake}")
        if scenario.repeat > 1 and phase.find is not None:
            raise UsageError(f"Scenario {where}: repeat: a search (phases.{number}.find) is not repeated.")
    if scenario.order != "in_turn" and scenario.repeat == 1:
        raise UsageError(f"Scenario {where}: order = {scenario.order!r} has a meaning only with repeat above 1.")
    if (twice := name_of_two(scenario)) is not None:
        raise UsageError(f"Scenario {where}: two phases would have the name {twice!r}; give each its own.")


def tls_mistake(target: Target) -> str | None:
    """Return which of the keys of TLS do not go together, in a sentence that begins at one of them, or None."""
    if target.client_key is not None and target.client_cert is None:
        return "client_key: a key goes with a certificate: give client_cert (--client-cert) too."
    if target.ca_file is not None and not target.verify_tls:
        return "ca_file: without verification (verify_tls = false, --insecure) no authority is asked; leave one away."
    return None


def _check_thresholds(scenario: Scenario, where: str) -> None:
    found = set()
    for place, plan in enumerate(scenario.thresholds):
        if (mistake := plan_mistake(plan)) is not None:
            raise UsageError(f"Scenario {where}: thresholds.{place}.{mistake}")
        condition = meaning(plan.condition)
        if condition in found:
            raise UsageError(f"Scenario {where}: thresholds.{place}: {quoted(plan.condition)} stands there twice.")
        found.add(condition)


def _check_dag(plan: WorkloadPlan) -> None:
    """Raise UsageError, with a sentence that begins at the key, for keys of the DAG that do not go together."""
    if plan.dag_nodes is not None and plan.dag not in {"chain", "fan_out"}:
        raise UsageError(
            f'workload.dag_nodes = {plan.dag_nodes}: it is for "chain" and "fan_out"; the number of nodes of '
            f'"{plan.dag}" is its own.'
        )
    if plan.dag != "file":
        for key in ("dag_file", "answer_node"):
            if (value := getattr(plan, key)) is not None:
                raise UsageError(f'workload.{key} = {value!r}: it goes with workload.dag = "file", not "{plan.dag}".')
    elif plan.dag_file is None:
        raise UsageError('workload.dag = "file": say which with workload.dag_file = "path.json", or --dag-file PATH.')


def label_mistake(key: str, value: str) -> str | None:
    """Return what is wrong with a label, in a sentence, or None."""
    if not _LABEL_KEY.fullmatch(key):
        return "a label's key has letters, digits, '_', '-' and '.', at most 64 of them."
    if ";" in value or not value.isprintable() or not 0 < len(value) <= _LONGEST_LABEL:
        return f"a label's value is one line of 1 to {_LONGEST_LABEL} characters without ';'."
    return None


def metrics_url_mistake(text: str) -> str | None:
    """Return what is wrong with a metrics URL, in half a sentence, or None."""
    try:
        url = encoded_url(text)
    except ValueError:
        return "that is no URL of metrics; give one such as http://127.0.0.1:9100/metrics"
    if url.auth is not None or url.fragment is not None:
        return "a user, a password or a fragment does not belong there"
    if not (url.path or "").strip("/"):
        return "its path is missing, which is /metrics most likely"
    return None
