"""Check what a scenario's types cannot say: values that contradict each other, names that are taken twice."""

from __future__ import annotations

import re
from collections.abc import Iterable

from aether_load.errors import UsageError, explained
from aether_load.redaction import hidden_url
from aether_load.runtime_client import encoded_url
from aether_load.scenario.metrics import ALIASES, METRICS, metric_of
from aether_load.scenario.parts import PhasePart, datasets_of, owners_of_changes, parts_of_phase
from aether_load.scenario.phase import phase_mistake
from aether_load.scenario.scenario import Scenario, Target
from aether_load.scenario.stage import name_of_two, names_of, plan_stages
from aether_load.scenario.threshold import Names, Scope, Threshold, ThresholdPlan, quoted, scope_of, undecidable
from aether_load.scenario.validation import changed_key, did_you_mean, nearest
from aether_load.scenario.workload_plan import HUB_DATASET_NAMES as HUB_DATASETS
from aether_load.scenario.workload_plan import MODEL_KEYS, WorkloadPlan
from aether_load.text import terminal_text

_LABEL_KEY = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_LONGEST_LABEL = 200
_DATASET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
"""As phases and scenarios are named: it stands in tables, files and labels of metrics."""
MOST_STAGES = 30_000


def check_scenario(scenario: Scenario, where: str) -> None:
    """Raise UsageError where values that are right by themselves contradict each other; `where` is the file."""
    with explained(f"Scenario {where}: ", UsageError, end=""):
        _check_target(scenario.target)
        for key, value in scenario.labels.items():
            if (mistake := label_mistake(key, value)) is not None:
                raise UsageError(f"labels.{key} = {value!r}: {mistake}")
        _check_workload(scenario)
        _check_dag(PhasePart(plan=scenario.workload))
        _check_phases(scenario)
        _check_parts(scenario)
        _check_thresholds(scenario)


def _check_target(target: Target) -> None:
    for key in ("connect_timeout", "request_timeout", "server_metrics_timeout"):
        if getattr(target, key) <= 0:
            raise UsageError(f"target.{key} is 0; an answer needs time.")
    if (mistake := tls_mistake(target)) is not None:
        raise UsageError(f"target.{mistake}")
    if not target.server_metrics and changed_key(target, ("server_metrics_timeout",)) is not None:
        raise UsageError("target.server_metrics_timeout and server_metrics = false contradict each other.")
    if target.server_metrics_url is None:
        return
    if (mistake := metrics_url_mistake(target.server_metrics_url)) is not None:
        shown = hidden_url(target.server_metrics_url)
        raise UsageError(f"target.server_metrics_url = {shown!r}: {mistake}.")
    if not target.server_metrics:
        raise UsageError("target.server_metrics_url and server_metrics = false contradict each other.")


def tls_mistake(target: Target) -> str | None:
    """Return which of the keys of TLS do not go together, in a sentence that begins at one of them, or None."""
    if target.client_key is not None and target.client_cert is None:
        return "client_key: a key goes with a certificate: give client_cert (--client-cert) too."
    if target.ca_file is not None and not target.verify_tls:
        return "ca_file: without verification (verify_tls = false, --insecure) no authority is asked; leave one away."
    return None


def _check_workload(scenario: Scenario) -> None:
    plan = scenario.workload
    paths = [plan.dataset_dir, plan.dag_file, plan.program, *(file.path for file in plan.files.values())]
    paths += [phase.trace.path for phase in scenario.phases if phase.trace is not None]
    paths += [own.get("dag_file") for _, own in owners_of_changes(scenario)]
    if any("\0" in path for path in paths if path is not None):
        raise UsageError("a path in it holds a null character.")
    _check_datasets(PhasePart(plan=plan))
    for name, file in plan.files.items():
        if _DATASET_NAME.fullmatch(name) is None:
            raise UsageError(
                f"workload.files.{terminal_text(name)}: a dataset's name has letters, digits and _ . - only, begins "
                "with a letter or a digit, and has at most 64 of them."
            )
        if name in HUB_DATASETS:
            raise UsageError(f"workload.files.{name}: that name is a known dataset's; choose another.")
        if file.answer is not None and file.options is None:
            raise UsageError(f"workload.files.{name}.answer: an answer is one of the options, so say options too.")
        if file.answer is None and (key := changed_key(file, ("answer_is",))):
            raise UsageError(f"workload.files.{name}.{key}: it says how answers are written, and no answer is named.")
    _check_source(plan, datasets_of(scenario))


def _check_datasets(part: PhasePart) -> None:
    plan = part.plan
    for name in plan.datasets:
        if name not in HUB_DATASETS and name not in plan.files:
            known = did_you_mean(name, [*HUB_DATASETS, *plan.files])
            raise UsageError(f"{part.where}.datasets: no dataset {name!r}; {known}")
    if len(set(plan.datasets)) != len(plan.datasets):
        raise UsageError(f"{part.where}.datasets names a dataset twice.")


def _check_parts(scenario: Scenario) -> None:
    """Check what phases and the parts of their mixes say of the workload themselves."""
    taken = {*datasets_of(scenario), *names_of(scenario).phases}
    for number in range(len(scenario.phases)):
        for part in parts_of_phase(scenario, number):
            if part.where == "workload":
                continue
            if part.name is not None and part.name in taken:
                raise UsageError(
                    f"{part.where}.name = {part.name!r}: that is a phase's or a dataset's name, and thresholds could "
                    "mean either; choose another."
                )
            if part.plan.dag == "program" and part.plan.program is None:
                raise UsageError(f'{part.where}.dag = "program": workload.program names it, and that is not there.')
            _check_datasets(part)
            _check_dag(part)


def _check_source(plan: WorkloadPlan, datasets: Iterable[str]) -> None:
    if plan.source != "sample" and not set(datasets) - set(plan.files):
        raise UsageError(
            f'workload.source = "{plan.source}": every dataset is a file of workload.files, so nothing would be read '
            "from there; leave it away."
        )
    if plan.source == "folder" and plan.dataset_dir is None:
        raise UsageError('workload.source is "folder", so workload.dataset_dir is needed.')
    if plan.source != "folder" and plan.dataset_dir is not None:
        raise UsageError(
            f'workload.dataset_dir = {plan.dataset_dir!r}: it goes with workload.source = "folder", not '
            f'"{plan.source}".'
        )


def _check_phases(scenario: Scenario) -> None:
    if len(scenario.phases) * scenario.repeat > MOST_STAGES:
        raise UsageError(f"{len(scenario.phases)} phases, {scenario.repeat} times: at most {MOST_STAGES} are possible.")
    for number, phase in enumerate(scenario.phases):
        if (mistake := phase_mistake(phase)) is not None:
            raise UsageError(f"phases.{number}.{mistake}")
        if scenario.repeat > 1 and phase.find is not None:
            raise UsageError(f"repeat: a search (phases.{number}.find) is not repeated.")
    if scenario.order != "in_turn" and scenario.repeat == 1:
        raise UsageError(f"order = {scenario.order!r} has a meaning only with repeat above 1.")
    if (count := len(plan_stages(scenario))) > MOST_STAGES:
        raise UsageError(f"phases: with loads and repetitions there are {count}; at most {MOST_STAGES} are possible.")
    if (twice := name_of_two(scenario)) is not None:
        raise UsageError(f"two phases would have the name {twice!r}; give each its own.")


def _check_thresholds(scenario: Scenario) -> None:
    found = set()
    names = names_of(scenario)
    for place, plan in enumerate(scenario.thresholds):
        if plan.delay_abort_eval and not plan.abort_on_fail:
            raise UsageError(
                f"thresholds.{place}.delay_abort_eval: it is how long abort_on_fail waits, and that is not set."
            )
        if plan.condition in found:
            raise UsageError(f"thresholds.{place}: {quoted(plan.condition)} stands there twice.")
        found.add(plan.condition)
        with explained(f"thresholds.{place}.condition = {quoted(plan.condition)}: ", ValueError, end=""):
            check_threshold(plan, names)


def check_threshold(plan: ThresholdPlan, names: Names) -> None:
    """Raise ValueError with a sentence when no run of a scenario with these names can answer a threshold."""
    condition = plan.condition
    metric = metric_of(condition.metric, condition.aggregation, condition.quantile)
    scope = _scope_of(condition, names)
    if metric.of != "row" and scope.dataset is not None:
        raise ValueError(f"{metric.name} is of a whole {metric.of}: leave the dataset {scope.dataset!r} away.")
    if metric.of == "search":
        if not names.searches:
            raise ValueError(f"{metric.name} is of a search, and no phase of the scenario has find.")
        if scope.phase is not None and scope.phase not in names.searches:
            raise ValueError(f"{metric.name} is of a search, and phase {scope.phase!r} is none.")
    elif scope.phase in names.searches or not names.phases - names.searches:
        what = f"phase {scope.phase!r} is a search" if scope.phase else "every phase is a search"
        raise ValueError(f"{what}, whose probes are judged by its slo; of a search there is search.largest_held.")
    if plan.abort_on_fail and metric.of != "row":
        raise ValueError(
            f"{metric.name} is known only when its phase is over, so it cannot end the run early; leave abort_on_fail "
            "away, or take a number of the requests."
        )
    if (why := undecidable(condition)) is not None:
        raise ValueError(why)


def _scope_of(condition: Threshold, names: Names) -> Scope:
    last = condition.where[-1] if condition.where else ""
    named = sorted(names.phases | names.datasets)
    if last and condition.aggregation is not None and last not in named and nearest(last, named) is None:
        # In "request_latncy_ms:p(95)<500" it is a metric that is misspelt.
        distributions = [name for name, metric in METRICS.items() if metric.form == "distribution"]
        near = nearest(last, [*distributions, *ALIASES])
        advice = did_you_mean(last, named if near is None else [near])
        raise ValueError(f"there is no phase, no dataset and no distribution {last!r}; {advice}")
    return scope_of(condition.where, names)


def _check_dag(part: PhasePart) -> None:
    """Raise UsageError, with a sentence that begins at the key, for keys of the DAG that do not go together."""
    plan, where = part.plan, part.where
    if plan.dag_nodes is not None and plan.dag not in {"chain", "fan_out"}:
        raise UsageError(
            f'{where}.dag_nodes = {plan.dag_nodes}: it is for "chain" and "fan_out"; the number of nodes of '
            f'"{plan.dag}" is its own.'
        )
    if plan.answer_node is not None and plan.dag not in {"file", "program"}:
        raise UsageError(
            f"{where}.answer_node = {plan.answer_node!r}: it is for a DAG file or a program; the answering node of "
            f'"{plan.dag}" is its own.'
        )
    for dag, key, option in (("file", "dag_file", "--dag-file"), ("program", "program", "--program")):
        value = getattr(plan, key)
        if plan.dag != dag and value is not None:
            raise UsageError(f'{where}.{key} = {value!r}: it goes with {where}.dag = "{dag}", not "{plan.dag}".')
        if plan.dag == dag and value is None:
            raise UsageError(f'{where}.dag = "{dag}": say which with {where}.{key} = "path.json", or {option} PATH.')
    if plan.dag in {"file", "program"} and (model_key := changed_key(plan, MODEL_KEYS)) is not None:
        raise UsageError(
            f"{where}.{model_key} = {getattr(plan, model_key)!r}: the nodes of a {plan.dag} have their own; leave it "
            "away."
        )
    if plan.dag != "program" and (plan.inputs or plan.bind != "literal"):
        key = "inputs" if plan.inputs else "bind"
        raise UsageError(f"workload.{key}: it is for a program, which workload.program or --program PATH names.")


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
