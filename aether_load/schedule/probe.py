"""Define a probe of a capacity search: the load, what was measured under it, and its judgement."""

from __future__ import annotations

from typing import Literal

import msgspec

Purpose = Literal["double", "halve", "bisect", "confirm", "repeat"]
LimitedBy = Literal["server", "client", "held"]


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """A load to try, for how long, and why."""

    load: float
    duration_s: float
    purpose: Purpose


class SloReading(msgspec.Struct, frozen=True, kw_only=True):
    """One condition of the SLO under a probe: its state, and the metric's value with its 95 % interval.

    `low` and `high` are None where nothing bounds the metric on that side; `value` is None where `reason` says why.
    """

    condition: str
    state: Literal["holds", "broken", "undecided"]
    value: float | None
    low: float | None
    high: float | None
    reason: str | None = None


class ProbeMeasurement(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured under a probe's load; `reasons` has the reason of each None.

    `achieved_load` is in the unit of the load. CPU shares are of one core (1.0 is a full core): the busiest second
    of the busiest sender, and the busiest second of the server's processes added up.
    """

    achieved_load: float | None
    slo: tuple[SloReading, ...]
    error_rate: float | None
    sender_cpu_share: float | None
    server_cpu_share: float | None
    reasons: dict[str, str] = {}


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """The judgement on a probe: whether the SLO held (None: undecided), and the reasons `against` it.

    `limited_by` is what kept the SLO from holding, `held` where it held, None where the probe is undecided. With
    `more_decides` a probe is undecided because it had too few requests, and not because nothing was measured.
    """

    holds: bool | None
    more_decides: bool = True
    against: tuple[str, ...] = ()
    limited_by: LimitedBy | None = None
    throughput_rps: float | None = None
    measured: ProbeMeasurement | None = None
