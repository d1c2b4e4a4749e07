"""Define a phase of a scenario: one load, a shape of loads, or a search for the largest load that holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec

from aether_load.scenario.duration import Seconds
from aether_load.scenario.metrics import METRICS, aggregation_meant, check_aggregation, find_metric
from aether_load.scenario.threshold import Threshold, quoted, undecidable
from aether_load.scenario.validation import Strict, changed_key, first_repeated, nearest
from aether_load.scenario.workload_plan import DagName, MixPart

Kind = Literal["users", "rate"]
MOST_USERS = 100_000
MOST_RATE_RPS = 1_000_000.0
LEAST_SPAWN_RATE = 0.0001

_Users = Annotated[int, msgspec.Meta(ge=1, le=MOST_USERS)]
_Load = Annotated[float, msgspec.Meta(gt=0, le=MOST_RATE_RPS)]


class Ramp(Strict, frozen=True, kw_only=True):
    """A change from one load to another, over a time, before a phase's window opens."""

    # load at the start of the ramp
    from_: Annotated[float, msgspec.Meta(ge=0, le=MOST_RATE_RPS)] = msgspec.field(name="from")
    to: _Load | None = None  # load at its end; the phase's own unless said
    over: Seconds  # how long it takes


class Spike(Strict, frozen=True, kw_only=True):
    """A sudden load and what follows: the base load for `before`, `to` for `duration`, the base again for `after`."""

    to: _Load  # load of the spike
    before: Seconds  # time at the phase's own load before it
    duration: Seconds  # time at the spike's load
    after: Seconds  # time at the phase's own load after it


class TraceFile(Strict, frozen=True, kw_only=True):
    """A recorded file of requests, CSV or JSONL: when each was sent, and what.

    `timestamp` names the column of the times, `prompt` one of texts, `dataset` and `row` a dataset's row. With
    neither, the workload's prompts are sent in their order. At speed 2 it is over in half its time.
    """

    path: str  # CSV or JSONL, relative to the scenario's file
    speed: Annotated[float, msgspec.Meta(gt=0, le=10_000)] = 1.0  # 2 replays in half the time
    timestamp: str = "timestamp"  # column of the times
    timestamp_unit: Literal["s", "ms", "us", "ns"] = "s"  # unit of times that are numbers
    prompt: str = "prompt"  # column of prompts
    dataset: str = "dataset"  # column of datasets' names
    row: str = "row"  # column of rows in those datasets


class Phase(Strict, frozen=True, kw_only=True):
    """A part of a run with one load, or several such parts written as one.

    Closed load is `users` that each send again when their last answer is in, after `think_time`; open load is
    `rate` requests a second, due whatever the server does, served by at most `max_concurrency` users. It ends by
    the first of `duration`, `requests` and `passes` (each prompt once a pass). The window opens when all users
    are active (`spawn_rate`), and `ramp` and `warmup` are over.

    A `sweep` makes a phase of each load, at rest in between; `steps` go from one load to the next without a rest;
    both are of users unless `load_unit` says otherwise. A `spike` is three such steps, from the phase's own load and
    back to it. `find` searches for the largest load under which every condition of `slo` holds.

    `datasets`, the keys of the DAG and those of the model take the place of the workload's. With a `mix` each request
    is of one of its parts, drawn by the seed.
    """

    # name in every output; `closed`, `open` or the shape unless said
    name: Annotated[str, msgspec.Meta(pattern=r"^([A-Za-z0-9][A-Za-z0-9_.-]{0,63})?$")] = ""
    users: _Users | None = None  # closed load: users that send again after each answer
    # users started a second; all at once unless said
    spawn_rate: Annotated[float, msgspec.Meta(ge=LEAST_SPAWN_RATE, le=MOST_RATE_RPS)] | None = None
    think_time: Seconds = Seconds(0)  # pause of a user before each request
    think_time_distribution: Literal["constant", "exponential"] = "constant"  # `exponential` draws each pause
    rate: _Load | None = None  # open load: requests a second that are due
    arrivals: Literal["constant", "poisson"] | None = None  # gaps between due times; `poisson` unless said
    max_concurrency: _Users | None = None  # most requests in flight of an open load
    warmup: Seconds = Seconds(0)  # sent before the window, in no figure
    duration: Seconds | None = None  # length of the window
    requests: Annotated[int, msgspec.Meta(ge=1)] | None = None  # ends the window after so many requests
    passes: Annotated[int, msgspec.Meta(ge=1)] | None = None  # ends the window after each prompt was sent so often
    load_unit: Kind | None = None  # unit of sweep, steps, spike and ramp
    ramp: Ramp | None = None  # change of the load before the window
    # a phase for each of these loads, at rest in between
    sweep: Annotated[tuple[_Load, ...], msgspec.Meta(min_length=1)] | None = None
    # one load after the other without a rest
    steps: Annotated[tuple[_Load, ...], msgspec.Meta(min_length=1)] | None = None
    spike: Spike | None = None  # a sudden load between two times at the phase's own load
    trace: TraceFile | None = None  # replay of a recorded file
    find: Literal["max_rate", "max_users"] | None = None  # search for the largest load under which the SLO holds
    slo: tuple[Threshold, ...] = ()  # conditions of the search, as thresholds
    max_load: _Load | None = None  # largest load that a search tries
    tolerance: Annotated[float, msgspec.Meta(ge=0.01, le=1)] = 0.1  # gap between the loads at which a search ends
    shortest_probe: Seconds = Seconds(5)  # least length of a probe
    longest_probe: Seconds = Seconds(60)  # most length of a probe
    time_limit: Seconds = Seconds(900)  # limit for the whole search
    cache: Literal["keep", "cold", "warm"] = "keep"  # empty (`cold`) or fill (`warm`) the cache before the window
    unique_prompts: bool = False  # mark each prompt, so that no cache knows it
    sequential: bool = False  # run a DAG's nodes one at a time
    # datasets whose rows are sent, instead of the workload's
    datasets: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] | None = None
    dag: DagName | None = None  # shape of each request's DAG, instead of the workload's
    dag_nodes: Annotated[int, msgspec.Meta(ge=1, le=100)] | None = None  # length of a chain, width of a fan_out
    dag_file: str | None = None  # your own DAG as JSON
    answer_node: str | None = None  # node of the file whose output is scored
    model: str | None = None  # model of each LLM node
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None  # temperature of each LLM node
    max_tokens: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] | None = None  # limit of output tokens of each node
    # requests of several kinds, drawn by their weights
    mix: Annotated[tuple[MixPart, ...], msgspec.Meta(min_length=1, max_length=100)] | None = None

    @property
    def kind(self) -> Kind:
        """Tell whether the load is a number of users or a rate."""
        if self.find is not None:
            return "rate" if self.find == "max_rate" else "users"
        if self.trace is not None:
            return "rate"
        return self.load_unit or ("users" if self.rate is None else "rate")

    @property
    def shape(self) -> str | None:
        """Return the key that makes this phase more than one load, if any."""
        return next((key for key in _SHAPES if getattr(self, key) is not None), None)

    @property
    def is_plain_closed(self) -> bool:
        """Tell whether Locust's own users, spawn rate and run time can express this phase."""
        return self.kind == "users" and self.shape is None and self.ramp is None


_SHAPES = ("sweep", "steps", "spike", "trace", "find")
PHASE_ENDS = ("duration", "requests", "passes")
"""Keys of a phase that end it; the first to be reached does."""
_CLOSED_ONLY = ("users", "spawn_rate")
_OPEN_ONLY = ("rate", "arrivals", "max_concurrency")
_FIND_ONLY = ("max_load", "tolerance", "shortest_probe", "longest_probe", "time_limit")


def default_name(phase: Phase) -> str:
    """Return the name of a phase that was given none."""
    return phase.shape or ("open" if phase.kind == "rate" else "closed")


def phase_mistake(phase: Phase) -> str | None:
    """Return the first contradiction in a phase, as "key: sentence", or None."""
    checks = (_of_shape, _of_trace, _of_kind, _of_whole_users, _of_times, _of_mix, _of_search)
    return next((mistake for check in checks for mistake in check(phase)), None)


def _of_shape(phase: Phase) -> Iterator[str]:
    shapes = [key for key in _SHAPES if getattr(phase, key) is not None]
    if len(shapes) > 1:
        yield f"{shapes[1]}: a phase has one shape, and {shapes[0]} is there already; make two phases of it."
    shape = phase.shape
    if phase.ramp is not None and shape is not None:
        yield f"ramp: it leads to one load, so it does not go with {shape}."
    if phase.load_unit is not None and shape not in {"sweep", "steps", "spike"} and phase.ramp is None:
        yield "load_unit: it says what sweep, steps, spike or ramp are loads of, and none of them is there."
    if shape in {"spike", "find"} and (key := changed_key(phase, PHASE_ENDS)):
        yield f"{key}: {shape} says itself how long it lasts."
    if shape == "steps" and phase.duration is None:
        yield "duration: each of the steps needs one."
    if shape == "steps" and (key := changed_key(phase, ("requests", "passes"))):
        yield f"{key}: steps follow each other by the clock, so only duration is possible."
    if shape in {"sweep", "steps"} and (key := changed_key(phase, ("users", "rate"))):
        kind = ' and say load_unit = "rate"' if key == "rate" and phase.load_unit is None else ""
        yield f"{key}: the loads are those of {shape}; leave it away{kind}."
    if shape in {"steps", "spike"} and phase.spawn_rate is not None:
        yield f"spawn_rate: in {shape} one load follows the other at once; a phase of one load may have it."
    loads = phase.sweep or phase.steps or ()
    if len(set(loads)) != len(loads):
        yield f"{shape}: a load stands there twice; for repetitions there is the scenario's repeat."


def _of_trace(phase: Phase) -> Iterator[str]:
    if phase.trace is not None:
        if key := changed_key(phase, ("rate", "arrivals")):
            yield f"{key}: the times of a trace are in its file; say trace.speed to change them."
        if phase.warmup:
            yield "warmup: a trace begins with its first request; put a phase before it that warms up."
        if phase.passes is not None:
            yield "passes: a trace is sent once; for repetitions there is the scenario's repeat."


def _of_whole_users(phase: Phase) -> Iterator[str]:
    if phase.kind != "users":
        return
    loads = [("sweep", load) for load in phase.sweep or ()] + [("steps", load) for load in phase.steps or ()]
    if phase.spike is not None:
        loads.append(("spike.to", phase.spike.to))
    if phase.ramp is not None:
        loads += [("ramp.from", phase.ramp.from_), ("ramp.to", phase.ramp.to or 1)]
    if phase.find is not None:
        loads.append(("max_load", phase.max_load or 1))
    for key, load in loads:
        if load != int(load) or load > MOST_USERS:
            advice = 'there is find = "max_rate".' if key == "max_load" else 'say load_unit = "rate".'
            yield f"{key}: {load:g} is no number of users from 0 to {MOST_USERS}; for rates {advice}"


def _of_mix(phase: Phase) -> Iterator[str]:
    if phase.mix is None:
        return
    if phase.trace is not None:
        yield "mix: a trace says itself what is sent, and in which order; leave one of them away."
    if phase.passes is not None:
        yield "passes: the parts of a mix are drawn, so that no pass sends each prompt once; say requests or duration."
    if (twice := first_repeated(part.name for part in phase.mix)) is not None:
        yield f"mix: two parts have the name {twice!r}."


def _of_kind(phase: Phase) -> Iterator[str]:
    if phase.kind == "rate":
        if key := changed_key(phase, _CLOSED_ONLY):
            how = "max_concurrency says how many users serve it"
            yield f"{key}: that is of closed load, and this phase is open; {how}."
        if phase.think_time:
            yield "think_time: in open load no user thinks; the rate says when requests are due."
        has_goal = phase.ramp is not None and phase.ramp.to is not None
        if phase.rate is None and not has_goal and phase.shape not in {"sweep", "steps", "find", "trace"}:
            yield "rate: an open load needs one."
    elif key := changed_key(phase, _OPEN_ONLY):
        yield f"{key}: that is of open load, and this phase is closed; {_how_to_open(phase)}."
    if phase.think_time_distribution == "exponential" and not phase.think_time:
        yield "think_time_distribution: there is no think_time to draw."


def _how_to_open(phase: Phase) -> str:
    if phase.find is not None:
        return 'say find = "max_rate" to open it'
    if phase.load_unit is not None or phase.shape in {"sweep", "steps"}:
        return 'say load_unit = "rate" to open it'
    return "give it a rate to open it"


def _of_times(phase: Phase) -> Iterator[str]:
    spike, ramp = phase.spike, phase.ramp
    windows = {"duration": phase.duration}
    if spike is not None:
        windows |= {"spike.before": spike.before, "spike.duration": spike.duration, "spike.after": spike.after}
    for key, lasts in windows.items():
        if lasts is not None and lasts <= 0:
            yield f"{key} is 0; a window needs time."
    if ramp is not None:
        if ramp.over <= 0:
            yield "ramp.over is 0; a ramp takes time."
        load = phase.rate if phase.kind == "rate" else phase.users
        if ramp.to is not None and load is not None and ramp.to != load:
            yield f"ramp.to: {ramp.to:g} is not the phase's load of {load:g}; leave one of them away."
        if phase.spawn_rate is not None:
            yield "spawn_rate: the ramp already says how fast users start; leave one of them away."
    if phase.cache == "warm" and phase.unique_prompts:
        yield 'unique_prompts: no cache has seen them, so that cache = "warm" has nothing to warm; leave one away.'


def _of_search(phase: Phase) -> Iterator[str]:
    if phase.find is None:
        if phase.slo:
            yield "slo: it is what find searches under; for a limit on any phase there are the scenario's thresholds."
        if key := changed_key(phase, _FIND_ONLY):
            yield f"{key}: it bounds a search, and there is no find."
        return
    if not phase.slo:
        yield 'slo: a search needs at least one condition, as in slo = "p(99)<500".'
    for condition in phase.slo:
        if (mistake := _slo_mistake(condition)) is not None:
            yield f"slo: {quoted(condition)}: {mistake}"
    if len(set(phase.slo)) < len(phase.slo):
        yield "slo: a condition stands there twice."
    for key in ("shortest_probe", "longest_probe", "time_limit"):
        if getattr(phase, key) <= 0:
            yield f"{key} is 0; a probe needs time."
    for key in ("longest_probe", "time_limit"):
        if getattr(phase, key) < phase.shortest_probe:
            yield f"{key}: {getattr(phase, key):g} s is below the {phase.shortest_probe:g} s of shortest_probe."
    start = phase.rate if phase.kind == "rate" else phase.users
    if phase.max_load is not None and start is not None and phase.max_load < start:
        yield f"max_load: {phase.max_load:g} is below the load of {start:g} that the search begins at."


def _slo_mistake(condition: Threshold) -> str | None:
    metric = find_metric(condition.metric)
    if metric is None or not metric.in_search:
        known = [name for name, metric in METRICS.items() if metric.in_search]
        near = aggregation_meant(condition.metric) or nearest(condition.metric, known, cutoff=0.5)
        advice = f"did you mean {near!r}?" if near else f"there are {', '.join(known)}."
        return f"there is no metric {condition.metric!r} of a probe; {advice}"
    try:
        check_aggregation(metric, condition.aggregation, condition.quantile)
    except ValueError as error:
        return str(error)
    if condition.where:
        return f"a search is judged on all requests of a probe; leave {':'.join(condition.where)} away."
    return undecidable(condition)
