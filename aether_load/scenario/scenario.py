"""A scenario: what is sent, to what, under which load; read from TOML."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from aether_load.scenario.duration import Seconds
from aether_load.scenario.phase import Phase
from aether_load.scenario.threshold import RequestLimit, ThresholdPlan
from aether_load.scenario.validation import Strict
from aether_load.scenario.warning_codes import WarningCode
from aether_load.scenario.workload_plan import WorkloadPlan
from aether_load.tls import TlsSettings


class Target(Strict, frozen=True, kw_only=True):
    """How to talk to the runtime; its address comes from the command line.

    In `headers`, `${NAME}` stands for a variable of the environment. Without `verify_tls` any certificate is accepted;
    `ca_file` holds the authorities to trust, `client_cert` and `client_key` what the client shows of itself.
    An answer of more than `max_response_bytes` is an `invalid_response`. `server_metrics_url` is where the server's
    metrics are read, if not at the target's own /metrics; one reading may take `server_metrics_timeout`.
    """

    headers: dict[str, str] = msgspec.field(default_factory=dict)
    verify_tls: bool = True
    ca_file: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    connect_timeout: Seconds = Seconds(5)
    request_timeout: Seconds = Seconds(30)
    max_response_bytes: Annotated[int, msgspec.Meta(ge=1, le=2**40)] = 64 << 20
    server_metrics: bool = True
    server_metrics_url: str | None = None
    server_metrics_timeout: Seconds = Seconds(2)

    @property
    def tls(self) -> TlsSettings:
        """Return how TLS to the target is set up."""
        return TlsSettings(self.verify_tls, self.ca_file, self.client_cert, self.client_key)


class Scenario(Strict, frozen=True, kw_only=True):
    """One run's plan, every default filled in.

    With `repeat` the phases are driven that often: in turn, there and back ("abba") or shuffled by the seed, so
    that what drifts meanwhile falls on all of them alike. A request that succeeds and keeps `goodput_slo`
    ("response_latency_ms<500") counts to the goodput; it decides no verdict. That is what the `thresholds` do: each
    is a condition, or a table of one with more keys. The `labels` name the run in its results and change nothing else.
    """

    name: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
    purpose: str = ""
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    seed: int = 42
    max_error_rate: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.01
    fail_on_warning: tuple[WarningCode, ...] = ()
    goodput_slo: RequestLimit | None = None
    thresholds: tuple[ThresholdPlan, ...] = ()
    workload: WorkloadPlan = WorkloadPlan()
    target: Target = Target()
    repeat: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    order: Literal["in_turn", "abba", "shuffled"] = "in_turn"
    phases: Annotated[tuple[Phase, ...], msgspec.Meta(min_length=1)]
