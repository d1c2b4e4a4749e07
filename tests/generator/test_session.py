"""A session's load, prepared on runtimes that are told by a fake probe, and changed as the start form does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aether_load.errors import TargetError, UsageError
from aether_load.load import target_probe
from aether_load.load.distributed.handover import Handover
from aether_load.load.progress import ProgressLine
from aether_load.load.session import session as session_module
from aether_load.load.session.prepared_load import PreparedLoad, prepare_load
from aether_load.load.session.session import Session, new_manifest
from aether_load.protocol import Generation
from aether_load.runtime_client import TargetFacts
from aether_load.scenario.gate_plan import GatePlan
from aether_load.scenario.load import from_plain
from aether_load.scenario.scenario import Scenario
from aether_load.tls import TlsSettings

HERE, THERE = "http://here:1", "http://there:2"


@pytest.fixture(autouse=True)
def probed(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What each URL's runtime is of (V2 unless said), or the error of its probe; and what the probes were sent."""
    answers: dict[str, Any] = {"asked": []}

    def probe(url: str, headers: Mapping[str, str], *, tls: TlsSettings, option: str) -> TargetFacts:
        answers["asked"].append((url, headers, tls.client_cert, option))
        answer = answers.get(url, Generation.V2)
        if isinstance(answer, Exception):
            raise answer
        return TargetFacts(url=url, generation=answer, simulated=False, server=None)

    monkeypatch.setattr(target_probe, "probe", probe)
    return answers


def scenario(**more: Any) -> Scenario:
    """Return a scenario of two questions of the sample, with more keys."""
    plan = {
        "name": "s",
        "workload": {"datasets": ["piqa"], "limit": 2},
        "phases": [{"name": "one", "users": 1, "passes": 1}],
    }
    return from_plain(plan | more)


def prepared(scenario: Scenario, gate: GatePlan | None = None) -> PreparedLoad:
    return prepare_load(scenario, HERE, gate, ProgressLine())


SECRET = {"headers": {"x-key": "${AETHER_TEST_KEY}"}, "client_cert": "own.pem"}


def test_a_load_has_one_target_and_its_requests() -> None:
    load = prepared(scenario())
    assert [(target.url, workload is load.workload) for target, workload in load.sides] == [(HERE, True)]
    assert len(load.workload.bodies) == 2


def test_credentials_go_to_the_urls_of_the_command_line_only(
    probed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A runtime that the page's form names gets neither header nor certificate, and run.json says so."""
    monkeypatch.setenv("AETHER_TEST_KEY", "shown")
    plan = scenario(target=SECRET)
    load = prepared(plan)
    elsewhere = load.changed_to(plan, THERE, ProgressLine())
    assert probed["asked"] == [
        (HERE, {"x-key": "shown"}, "own.pem", "--host"), (THERE, {}, None, "--host"),
    ]  # fmt: skip
    assert new_manifest("r", load, None, "left out").notes == []
    assert new_manifest("r", elsewhere, None, "left out").notes == [
        f"The headers of the command line (x-key) are sent to {HERE} only; a runtime elsewhere gets none."
    ]


def test_workers_are_handed_the_names_of_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each fills in its own; the same load has the same identity each time."""
    monkeypatch.setenv("AETHER_TEST_KEY", "shown")
    load = prepared(scenario(target=SECRET))
    identity, data = load.handover(2)
    handover = msgspec.msgpack.decode(data, type=Handover)
    assert (handover.headers, handover.url, handover.workers) == (SECRET["headers"], HERE, 2)
    assert load.handover(2) == (identity, data)
    assert load.handover(3)[0] != identity


def test_a_change_keeps_what_it_does_not_touch(probed: dict[str, Any]) -> None:
    """Prompts are loaded again where other requests are asked for, and written again for another generation."""
    load = prepared(scenario())
    probed[THERE] = Generation.V1
    longer = load.changed_to(scenario(phases=[{"name": "one", "users": 2, "passes": 3}]), HERE, ProgressLine())
    assert (longer.prompts is load.prompts, longer.workload is load.workload) == (True, True)
    assert longer.scenario.phases[0].users == 2
    older = load.changed_to(load.scenario, THERE, ProgressLine())
    assert (older.prompts is load.prompts, older.workload.bodies != load.workload.bodies) == (True, True)
    other = load.changed_to(scenario(seed=9), HERE, ProgressLine())
    assert other.prompts is not load.prompts


def test_a_change_that_fails_changes_nothing(
    probed: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither a target that is gone nor one that lacks what the scenario asks takes the place of the last."""
    monkeypatch.setattr(session_module, "ObserverProcess", lambda: None)
    monkeypatch.setattr(session_module, "ObserverClient", lambda _process: None)
    session = Session(tmp_path, ProgressLine())
    session.prepare(scenario(), HERE, None, None)
    before = session.load
    probed[THERE] = TargetError("It is gone.")
    with pytest.raises(TargetError):
        session.follow_host(THERE)
    probed[THERE] = Generation.V1
    with pytest.raises(UsageError, match=r"phases\.0\.sequential = True: .* is of generation v1"):
        session.change(scenario(phases=[{"name": "one", "users": 1, "passes": 1, "sequential": True}]), THERE)
    assert session.load is before
    session.follow_host(HERE)
    assert session.load is before
    session.follow_host(THERE)
    assert session.load.target.url == THERE


def test_a_gate_has_two_targets_of_one_kind(probed: dict[str, Any]) -> None:
    plan = GatePlan(base=HERE, candidate=THERE, command=("aether-load", "gate"))
    load = prepared(scenario(), plan)
    assert [target.url for target, _ in load.sides] == [HERE, THERE]
    assert [client.endpoint.port for client in load.clients("mark")] == [1, 2]
    manifest = new_manifest("r", load, None, None)
    assert (manifest.command, manifest.gate, manifest.candidate) == (["aether-load", "gate"], plan, load.candidate)
    probed[THERE] = Generation.V1
    with pytest.raises(UsageError, match=r"generation of the wire format \(v2 and v1\)"):
        prepared(scenario(), plan)
