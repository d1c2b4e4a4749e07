"""Define a scenario: what is sent, to which target, under which load."""

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

    # sent with every request; `${NAME}` is read from the environment
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    verify_tls: bool = True  # false accepts any certificate
    ca_file: str | None = None  # authorities to trust, as PEM
    client_cert: str | None = None  # certificate that the client shows, as PEM
    client_key: str | None = None  # its key, unless the certificate's file holds it
    connect_timeout: Seconds = Seconds(5)  # limit for opening a connection
    request_timeout: Seconds = Seconds(30)  # limit for an answer; beyond it the outcome is `timeout`
    # a larger answer is an `invalid_response`
    max_response_bytes: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)] = 64 << 20
    server_metrics: bool = True  # false: the target has no /metrics
    server_metrics_url: str | None = None  # where /metrics is, if not at the target
    server_metrics_timeout: Seconds = Seconds(2)  # limit for one reading of /metrics

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

    # name of the run; the file's name unless said
    name: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
    purpose: str = ""  # one sentence for the report
    labels: dict[str, str] = msgspec.field(default_factory=dict)  # labels of the run in its results, like `--label`
    seed: int = 42  # order of the prompts and of all that is drawn
    # share of failures above which the run fails (exit code 1)
    max_error_rate: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.01
    fail_on_warning: tuple[WarningCode, ...] = ()  # codes of warnings that make the run invalid (exit code 5)
    goodput_slo: RequestLimit | None = None  # limit that a request keeps to count as goodput; decides no verdict
    thresholds: tuple[ThresholdPlan, ...] = ()  # conditions that decide the verdict (exit code 4)
    request_names: tuple[str, ...] = ()  # names that own user classes give requests, for thresholds to be about them
    workload: WorkloadPlan = WorkloadPlan()  # what is sent
    target: Target = Target()  # how to talk to the runtime
    repeat: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1  # how often the phases are run
    order: Literal["in_turn", "abba", "shuffled"] = "in_turn"  # order of repeated phases: `abba` is there and back
    phases: Annotated[tuple[Phase, ...], msgspec.Meta(min_length=1)]  # the loads, one after the other
