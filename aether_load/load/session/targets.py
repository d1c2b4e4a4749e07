"""Find the runtimes of a run, and refuse those that cannot do what the scenario asks."""

from __future__ import annotations

from aether_load.errors import UsageError
from aether_load.load.progress import ProgressLine
from aether_load.load.session.credentials import Credentials
from aether_load.load.target_probe import probe_in_time
from aether_load.protocol import Generation
from aether_load.rundata.manifest import TargetRecord
from aether_load.runtime_client import check_url
from aether_load.scenario.scenario import Scenario


def find_target(scenario: Scenario, host: str, credentials: Credentials, line: ProgressLine) -> TargetRecord:
    """Return what answers at `host`; raises TargetError, and UsageError for what it has not."""
    target = _find(host, credentials, line, "--host")
    if target.generation is Generation.V1:
        _refuse_what_v1_has_not(scenario, target.url)
    return target


def find_candidate(host: str, base: TargetRecord, credentials: Credentials, line: ProgressLine) -> TargetRecord:
    """Return the other runtime of a gate; raises UsageError where the two cannot be builds of one runtime."""
    candidate = _find(host, credentials, line, "--candidate")
    for what, of_base, of_candidate in (
        ("generation of the wire format", base.generation.value, candidate.generation.value),
        ("kind of target", base.kind, candidate.kind),
    ):
        if of_base != of_candidate:
            raise UsageError(
                f"The base at {base.url} and the candidate at {candidate.url} differ in their {what} "
                f"({of_base} and {of_candidate}), so that they are not two builds of one runtime."
            )
    return candidate


def described(target: TargetRecord) -> str:
    """Return what a target is and where."""
    kind = "SIMULATED runtime" if target.kind == "simulated" else "runtime"
    return f"{kind} {target.generation.value} at {target.url}"


def _find(host: str, credentials: Credentials, line: ProgressLine, option: str) -> TargetRecord:
    host = check_url(host, option)
    line.show(f"looking for the runtime at {host}")
    return TargetRecord.of(probe_in_time(host, credentials.headers_to(host), credentials.tls_to(host), option))


def _refuse_what_v1_has_not(scenario: Scenario, url: str) -> None:
    for number, phase in enumerate(scenario.phases):
        for key, asked, plain in (("cache", phase.cache, "keep"), ("sequential", phase.sequential, False)):
            if asked != plain:
                raise UsageError(
                    f"Scenario {scenario.name}: phases.{number}.{key} = {asked!r}: the runtime at {url} is of "
                    "generation v1, which has no cache and no parallel mode; leave the key away or give a v2 runtime."
                )
