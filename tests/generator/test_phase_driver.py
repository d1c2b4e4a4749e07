"""Phases driven over senders, a server and an observer that are fakes: what is asked of whom, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gevent
import pytest
from gevent.event import Event

from aether_load.errors import ExitCode
from aether_load.load.observer_client import CommandFailed
from aether_load.load.phases import phase_driver
from aether_load.load.phases.phase_driver import PhaseDriver
from aether_load.load.run_ending import EndReason, RunEnding
from aether_load.load.sending.sender_context import Tally
from aether_load.observer import messages as say
from aether_load.observer.messages import Gauges, Judge, Judged, StageNow, Watch
from aether_load.protocol import Generation
from aether_load.rundata.manifest import ClockPair, Manifest, PhaseRecord, TargetRecord
from aether_load.scenario.load import from_plain
from aether_load.scenario.scenario import Scenario
from aether_load.scenario.stage import Stage
from aether_load.schedule.probe import Judgement

ANOTHER = object()


class FakeObserver:
    """Notes what it is sent; judges as it is told, and fails with what is an error."""

    def __init__(self, events: list[Any], judgements: Sequence[Any]) -> None:
        self._events = events
        self._judgements = iter(judgements)

    def send(self, message: Gauges | StageNow | Watch) -> None:
        if isinstance(message, say.Watch):
            self._events.append(("watch", message.phase))
        elif isinstance(message, say.StageNow):
            self.stage = message

    def call(self, message: Judge, _limit_s: float) -> Judged:
        self._events.append(("judge", message.phase))
        judged = next(self._judgements)
        if isinstance(judged, Exception):
            raise judged
        return say.Judged(id=0, judgement=judged)


class FakeRun:
    """A run that keeps its manifest in memory, and notes what it is asked for."""

    def __init__(
        self, scenario: Scenario, events: list[Any], judgements: Sequence[Any] = (), *, gate: Any = None
    ) -> None:
        self.scenario = scenario
        self.ending = RunEnding()
        self.follow_user_count = False
        self.observer = FakeObserver(events, judgements)
        target = TargetRecord(url="http://here", kind="runtime", generation=Generation.V2, server=None)
        self.manifest = Manifest(
            id="r", scenario={}, command=[], seed=1, target=target, datasets=(), node_ids=("answer",),
            began=ClockPair(0, ""), gate=gate,
        )  # fmt: skip
        self._events = events

    def turn_to(self, stage: Stage) -> None:
        self._events.append(("turn", stage.name))

    def scrape(self, phase: str, role: str) -> None:
        self._events.append(("scrape", phase, role))

    def flush(self) -> None:
        """Write nothing."""

    def save_manifest(self) -> None:
        """Write nothing."""

    def let_observer_catch_up(self) -> None:
        self._events.append(("caught up",))


class FakeSenders:
    """Senders whose stages end at once, by what `endings` says; a callable is called while the stage is driven."""

    def __init__(
        self,
        events: list[Any],
        endings: Sequence[Any] = (),
        *,
        drains: bool = True,
        ready: bool = True,
        failing: bool = False,
    ) -> None:
        self._events = events
        self._endings = list(endings)
        self._drains = drains
        self._ready = ready
        self._failing = failing
        self._done = 0
        self.planned_requests = None
        self.drained = Event()
        self.drained.set()

    def tally(self) -> Tally:
        return Tally(done=self._done, failed=self._done if self._failing else 0, ready=3)

    def request_users(self, users: int) -> None:
        self._events.append(("users", users))

    def await_users(self, users: int) -> None:
        self._events.append(("await", users))

    def are_ready(self) -> bool:
        return self._ready

    def prepare(self, stage: Stage) -> None:
        self._events.append(("prepare", stage.name, stage.cache))

    def drive(self, stage: Stage, _record: PhaseRecord) -> str:
        self._events.append(("drive", stage.name))
        self._done += 10
        self.drained.clear()
        ending = self._endings.pop(0) if self._endings else "duration"
        return ending() if callable(ending) else ending

    def end(self, _record: PhaseRecord) -> None:
        self._events.append(("end",))
        if self._drains:
            self.drained.set()

    def cancel(self) -> None:
        self._events.append(("cancel",))

    def collect_records(self) -> None:
        self._events.append(("hand in",))

    def close(self) -> None:
        self._events.append(("close",))


def scenario_of(*phases: dict[str, Any], **more: Any) -> Scenario:
    return from_plain({"name": "s", "phases": list(phases), **more})


def driven(
    scenario: Scenario,
    *,
    judgements: Sequence[Any] = (),
    endings: Sequence[Any] = (),
    follow: bool = False,
    gate: Any = None,
    **senders: bool,
) -> tuple[FakeRun, PhaseDriver, list[Any]]:
    """Drive a scenario; return its run, its driver, and what happened in order."""
    events: list[Any] = []
    run: Any = FakeRun(scenario, events, judgements, gate=gate)
    run.follow_user_count = follow
    bound = [(lambda ending=ending: ending(run)) if callable(ending) else ending for ending in endings]
    fakes: Any = FakeSenders(events, bound, **senders)
    driver = PhaseDriver(run, fakes)
    with gevent.Timeout(20):
        driver.run_phases()
    return run, driver, events


ONE = {"name": "one", "users": 3, "duration": "1s"}
TWO = {"name": "two", "users": 5, "passes": 1, "cache": "cold"}


def interrupted(run: FakeRun) -> str:
    run.ending.end(EndReason.INTERRUPTED, 0)
    return "stopped"


def test_each_phase_is_driven_from_rest_to_rest() -> None:
    """Users first, then the server at rest, the load, and the server at rest again; the senders are closed at last."""
    run, _, events = driven(scenario_of(ONE, TWO))
    whole = [
        [
            ("users", users), ("await", users), ("turn", name), ("prepare", name, cache), ("scrape", name, "before"),
            ("watch", name), ("drive", name), ("end",), ("watch", None), ("scrape", name, "after"), ("hand in",),
            ("caught up",),
        ]
        for name, users, cache in (("one", 3, "keep"), ("two", 5, "cold"))
    ]  # fmt: skip
    assert events == [*whole[0], *whole[1], ("close",)]
    assert [(record.name, record.users, record.ended_by) for record in run.manifest.phases] == [
        ("one", 3, "duration"), ("two", 5, "duration"),
    ]  # fmt: skip
    assert all(record.ended is not None for record in run.manifest.phases)


def test_joined_stages_share_one_rest() -> None:
    """Steps are read before the first and after the last, under their shape's name, with users for the largest."""
    steps = {"name": "up", "steps": [1, 4], "duration": "1s"}
    run, _, events = driven(scenario_of(steps))
    assert [event for event in events if event[0] in {"await", "scrape", "drive", "end"}] == [
        ("await", 4), ("scrape", "up", "before"), ("drive", "up-1"), ("drive", "up-4"), ("end",),
        ("scrape", "up", "after"),
    ]  # fmt: skip
    assert [(record.name, record.joined_in) for record in run.manifest.phases] == [("up-1", "up"), ("up-4", "up")]


def test_an_interrupted_run_drives_no_further_phase() -> None:
    """What is in flight is awaited, and the server is read once more."""
    run, _, events = driven(scenario_of(ONE, TWO), endings=[interrupted])
    assert ("drive", "two") not in events
    assert [record.ended_by for record in run.manifest.phases] == ["stopped"]
    assert events[-4:] == [("scrape", "one", "after"), ("hand in",), ("caught up",), ("close",)]


def test_answers_that_do_not_come_in_time_are_cancelled() -> None:
    """After an interruption they have its limit; the last reading was not taken at rest, and says so."""
    _, _, events = driven(scenario_of(ONE), endings=[interrupted], drains=False)
    assert [event for event in events if event[0] in {"cancel", "scrape"}] == [
        ("scrape", "one", "before"), ("cancel",), ("scrape", "one", "during"),
    ]  # fmt: skip


def test_a_defect_of_a_load_leaves_the_server_read_and_the_senders_ended() -> None:
    """The load's own error goes on; the window that it broke is at rest all the same."""

    def broken(_run: FakeRun) -> None:
        raise ZeroDivisionError

    events: list[Any] = []
    run: Any = FakeRun(scenario_of(ONE), events)
    fakes: Any = FakeSenders(events, [lambda: broken(run)])
    driver = PhaseDriver(run, fakes)
    with pytest.raises(ZeroDivisionError):
        driver.run_phases()
    assert [event for event in events if event[0] in {"end", "close"}] == [("end",), ("close",)]


def test_users_that_do_not_come_are_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the limit the load begins with those that are there."""
    monkeypatch.setattr(phase_driver, "SPAWN_LIMIT_S", 0.01)
    run, _, events = driven(scenario_of(ONE | {"users": 40}), ready=False)
    assert run.manifest.notes == ["Only 3 of 40 users were ready within 0.01 s."]
    assert ("drive", "one") in events


def test_the_pages_users_are_not_asked_for() -> None:
    """Where Locust's page decides, the record has no number of users."""
    run, _, events = driven(scenario_of(ONE), follow=True)
    assert [event for event in events if event[0] in {"users", "await"}] == [("await", 1)]
    assert run.manifest.phases[0].users is None


def test_only_a_phase_without_an_end_is_endless() -> None:
    """The stage under way decides, once its window is open; before the first there is none."""
    seen = []

    def open_window() -> str:
        seen.append(driver.progress.is_endless)
        run.manifest.phases[-1].window_began_ns = 1
        seen.append(driver.progress.is_endless)
        return "stopped"

    events: list[Any] = []
    run: Any = FakeRun(scenario_of({"name": "on", "users": 1}), events)
    fakes: Any = FakeSenders(events, [open_window])
    driver = PhaseDriver(run, fakes)
    assert driver.progress.is_endless is False
    driver.run_phases()
    assert seen == [False, True]


SEARCH = {
    "name": "most", "find": "max_users", "users": 4, "slo": ["p(50)<100"], "shortest_probe": "1s", "max_load": 8,
    "tolerance": 0.5,
}  # fmt: skip
HOLDS = Judgement(holds=True, limited_by="held")
BREAKS = Judgement(holds=False, against=("p(50)",), limited_by="server")


def test_a_search_drives_probe_after_probe_and_keeps_its_result() -> None:
    """Each probe is a phase of its own and judged before the next; the result stands in the manifest."""
    run, _, events = driven(scenario_of(SEARCH), judgements=[HOLDS, BREAKS] * 20)
    (search,) = run.manifest.searches
    driven_phases = [event[1] for event in events if event[0] == "drive"]
    assert [probe.phase for probe in search.probes] == driven_phases == [e[1] for e in events if e[0] == "judge"]
    assert driven_phases[:2] == ["most-1-4", "most-2-8"]
    assert [(probe.load, probe.holds) for probe in search.probes[:2]] == [(4, True), (8, False)]
    assert search.found is not None
    assert [record.search for record in run.manifest.phases] == ["most"] * len(driven_phases)


def test_a_probe_that_cannot_be_judged_is_undecided() -> None:
    """The search goes on, and says why nothing was decided."""
    run, _, _ = driven(scenario_of(SEARCH), judgements=[CommandFailed("no rows", ExitCode.INVALID)] * 40)
    (search,) = run.manifest.searches
    assert {probe.holds for probe in search.probes} == {None}
    assert search.probes[0].against == ("the phase could not be judged: no rows",)
    assert search.found is not None
    assert search.found.largest_held is None


def test_a_search_that_is_interrupted_is_stopped() -> None:
    """The probe under way is judged no more."""
    run, _, events = driven(scenario_of(SEARCH), judgements=[HOLDS], endings=[interrupted])
    (search,) = run.manifest.searches
    assert search.found is not None
    assert (search.found.end, search.probes) == ("stopped", [])
    assert not [event for event in events if event[0] == "judge"]


def test_a_search_without_time_for_a_second_probe_ends_with_the_first() -> None:
    """The first probe is made in any case."""
    run, _, _ = driven(scenario_of(SEARCH | {"time_limit": "1s"}), judgements=[HOLDS] * 20)
    (search,) = run.manifest.searches
    assert search.found is not None
    assert (search.found.end, len(search.probes)) == ("out_of_time", 1)


def test_a_gate_of_a_dead_runtime_ends_with_its_first_window() -> None:
    """Where nothing succeeded in a window, the next ones are not driven."""
    scenario = scenario_of(ONE, TWO)
    _, _, events = driven(scenario, gate=ANOTHER, failing=True)
    assert [event[1] for event in events if event[0] == "drive"] == ["one"]
    _, _, events = driven(scenario, gate=ANOTHER)
    assert [event[1] for event in events if event[0] == "drive"] == ["one", "two"]
