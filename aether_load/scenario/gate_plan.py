"""Define what a gate drives: windows of one load on two builds in turns, and the metrics that compare them."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from aether_load.errors import UsageError
from aether_load.scenario.duration import Seconds
from aether_load.scenario.metrics import METRICS, Better, aggregation_meant, check_aggregation, find_metric
from aether_load.scenario.parts import changes_of, parts_of_phase
from aether_load.scenario.phase import Phase
from aether_load.scenario.scenario import Scenario
from aether_load.scenario.threshold import parse_measure
from aether_load.scenario.validation import Strict, did_you_mean

DEFAULT_METRIC = "ok_throughput_rps"


class GateMetric(msgspec.Struct, frozen=True, kw_only=True):
    """The metric that is taken of each window, of one `dataset` or (None) of all requests.

    `aggregation` (with `quantile`, 0 to 1, for a percentile) is what is taken of a distribution, else None.
    """

    text: str
    dataset: str | None
    metric: str
    aggregation: str | None
    quantile: float | None
    better: Better


def parse_gate_metric(text: str) -> GateMetric:
    """Return the metric that `text` names, in the grammar of thresholds; raises ValueError with a sentence."""
    try:
        measure = parse_measure(text)
    except ValueError:
        measure = None
    if measure is None:
        raise ValueError('expected a metric, as in "ok_throughput_rps" or "response_latency_ms:p(95)".')
    metric = find_metric(measure.metric)
    if metric is None or not metric.in_gate or metric.better is None:
        known = [name for name, metric in METRICS.items() if metric.in_gate]
        meant = aggregation_meant(measure.metric)
        advice = f"did you mean {meant!r}?" if meant else did_you_mean(measure.metric, known)
        raise ValueError(f"there is no {measure.metric!r} to compare; {advice}")
    check_aggregation(metric, measure.aggregation, measure.quantile)
    if measure.aggregation in {"count", "stddev"}:
        raise ValueError(f"a {measure.aggregation} is neither better nor worse when it is higher.")
    if len(measure.where) > 1:
        raise ValueError("before the metric there is room for a dataset, no more.")
    return GateMetric(
        text=text.strip(),
        dataset=measure.where[0] if measure.where else None,
        metric=metric.name,
        aggregation=measure.aggregation,
        quantile=measure.quantile,
        better=metric.better,
    )


SIDES: tuple[Literal["base", "candidate"], ...] = ("base", "candidate")
DEFAULT_PAIRS = 30
FEWEST_PAIRS = 20
"""Pairs without which nothing is decided; the first one is dropped, so that one more has to be driven."""
MOST_PAIRS = 1000
SHORTEST_WINDOW_S, LONGEST_WINDOW_S = 0.02, 600.0


class GatePlan(Strict, frozen=True, kw_only=True):
    """A gate as it is driven: `base` and `candidate` are base URLs; in a `self_test` both are the same build.

    A comparison fails when its one-sided p is below 1 - `confidence` and its median ratio below 1 - `margin`. `command`
    is how the gate was called, secrets left out. `phase` names the phase of the scenario whose load is sent, and
    `base_name` and `candidate_name` the builds, as a reviewer knows them.
    """

    base: str
    candidate: str
    self_test: bool = False
    phase: str | None = None
    candidate_program: str | None = None
    metrics: tuple[str, ...] = (DEFAULT_METRIC,)
    pairs: int = DEFAULT_PAIRS
    window_s: float = 3.0
    margin: float = 0.05
    confidence: float = 0.99
    command: tuple[str, ...] = ()
    base_name: str | None = None
    candidate_name: str | None = None


class GateJob(Strict, frozen=True, kw_only=True):
    """What a gate hands to the Locust that it starts, in a file that only its user can read.

    `header` and `set` are options that may hold secrets: every user of the machine can read a command line.
    """

    plan: GatePlan
    header: tuple[str, ...] = ()
    set: tuple[str, ...] = ()


def gate_plan_mistake(plan: GatePlan) -> str | None:
    """Return what is wrong with a plan's numbers, as "option value: sentence", or None."""
    if not FEWEST_PAIRS < plan.pairs <= MOST_PAIRS:
        return (
            f"--pairs {plan.pairs}: from {FEWEST_PAIRS + 1} to {MOST_PAIRS} are possible: the first pair is dropped, "
            f"and fewer than {FEWEST_PAIRS} decide nothing."
        )
    if not SHORTEST_WINDOW_S <= plan.window_s <= LONGEST_WINDOW_S:
        return f"--window {plan.window_s:g}s: from {SHORTEST_WINDOW_S:g}s to {LONGEST_WINDOW_S:g}s are possible."
    if not 0 < plan.margin < 0.5:
        return f"--margin {plan.margin:g}: a share between 0 and 0.5: half of the loss that must be caught."
    if not 0.5 <= plan.confidence < 1 or math.isclose(plan.confidence, 1):
        return f"--confidence {plan.confidence:g}: from 0.5 to below 1 is possible."
    for text in plan.metrics:
        try:
            parse_gate_metric(text)
        except ValueError as error:
            return f"--metric {text}: {error}"
    if len(set(plan.metrics)) < len(plan.metrics):
        return f"--metric {plan.metrics[0]}: a metric is named twice."
    return None


def gate_scenario(scenario: Scenario, plan: GatePlan) -> Scenario:
    """Return the scenario that a gate drives: the load of one phase, in windows, on two sides in the order ABBA.

    Raises UsageError where it is not clear which phase is meant, or where its load is no steady one.
    """
    phase = _phase(scenario, plan.phase)
    where = f"Scenario {scenario.name}, phase {phase.name}"
    if phase.shape is not None:
        raise UsageError(f"{where}: a gate sends one steady load, and this phase is a {phase.shape}; name another.")
    number = scenario.phases.index(phase)
    own = changes_of(phase).keys() & {"dag", "dag_file"}
    if plan.candidate_program is not None and (own or phase.mix is not None):
        what = "is a mix" if phase.mix is not None else "has a DAG of its own"
        raise UsageError(
            f"--candidate-program {plan.candidate_program}: phase {phase.name} {what}, so that it is unclear what the "
            "program is compared with; name another phase."
        )
    if plan.candidate_program is not None and scenario.workload.dag != "program":
        raise UsageError(
            f"--candidate-program {plan.candidate_program}: the scenario sends no program to compare it with; name one "
            "with --program PATH."
        )
    if scenario.target.server_metrics_url is not None and plan.candidate_program is None:
        raise UsageError(f"{where}: target.server_metrics_url is of one runtime, and a gate has two; leave it away.")
    metrics = [parse_gate_metric(text) for text in plan.metrics]
    parts = parts_of_phase(scenario, number)
    sent = list(
        dict.fromkeys(label for part in parts for label in (part.name, *part.plan.datasets) if label is not None)
    )
    for metric in metrics:
        if phase.kind == "rate" and METRICS[metric.metric].unit.endswith("/s"):
            raise UsageError(
                f"{where}: in open load {metric.metric} is the rate that was asked for; compare a latency, as in "
                "--metric 'response_latency_ms:p(95)', or take a phase of closed load."
            )
        if metric.dataset is not None and metric.dataset not in sent:
            known = did_you_mean(metric.dataset, sent)
            raise UsageError(f"--metric {metric.text}: the scenario sends no dataset {metric.dataset!r}; {known}")
        if metric.metric == "goodput_rps" and scenario.goodput_slo is None:
            raise UsageError(f"--metric {metric.text}: the scenario states no goodput_slo, as in --set goodput_slo=…")
    goal = None if phase.ramp is None else phase.ramp.to
    sides = tuple(
        msgspec.structs.replace(
            phase,
            name=side,
            duration=Seconds(plan.window_s),
            requests=None,
            passes=None,
            # A ramp is another load than the window's, and a gate would repeat it sixty times.
            spawn_rate=None,
            ramp=None,
            rate=phase.rate or (goal if phase.kind == "rate" else None),
            users=phase.users or (int(goal) if goal is not None and phase.kind == "users" else None),
            load_unit=None,
        )
        for side in SIDES
    )
    # Limits on one run's numbers decide nothing between two builds.
    return msgspec.structs.replace(scenario, phases=sides, repeat=plan.pairs, order="abba", thresholds=())


def _phase(scenario: Scenario, name: str | None) -> Phase:
    names = [phase.name for phase in scenario.phases]
    if name is None:
        if len(names) > 1:
            raise UsageError(
                f"Scenario {scenario.name} has the phases {', '.join(names)}; say with --phase whose load the gate "
                "sends."
            )
        return scenario.phases[0]
    if name not in names:
        raise UsageError(f"--phase {name}: scenario {scenario.name} has no such phase; {did_you_mean(name, names)}")
    return scenario.phases[names.index(name)]
