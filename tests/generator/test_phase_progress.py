"""What a run says of the stage under way: to the observer, to the watchdog, and to whoever ends the run."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import gevent
import pytest

from aether_load.load.phases import phase_progress
from aether_load.load.phases.phase_progress import PhaseProgress
from aether_load.load.process.watchdog import Waiting
from aether_load.load.run_ending import EndReason, RunEnding
from aether_load.load.sending.sender_context import Tally
from aether_load.observer import messages as say
from aether_load.rundata.manifest import ClockPair, PhaseRecord
from aether_load.scenario.load import from_plain
from aether_load.scenario.stage import Stage, plan_stages

ONE = {"name": "one", "users": 3, "duration": "1s"}
TALLY = Tally(done=5, failed=1, ready=2, active=3, thinking=1, waiting=4, cpu_s=0.5)


def progress_of(
    *phases: dict[str, Any], follow: bool = False, own_tasks: Sequence[bool] = (), tally: Tally = TALLY
) -> tuple[PhaseProgress, list[Any], list[Stage], Any]:
    """Return a run's progress, what its observer was sent, its stages, and the run."""
    scenario = from_plain({"name": "s", "phases": list(phases)})
    sent: list[Any] = []
    classes = [SimpleNamespace(own_tasks=own) for own in own_tasks]
    run: Any = SimpleNamespace(
        scenario=scenario,
        observer=SimpleNamespace(send=sent.append),
        manifest=SimpleNamespace(phases=[], user_classes=classes),
        ending=RunEnding(),
        follow_user_count=follow,
    )
    senders: Any = SimpleNamespace(tally=lambda: tally, planned_requests=60)
    return PhaseProgress(run, senders), sent, plan_stages(scenario), run


def record_of(stage: Stage, window_began_ns: int | None = None) -> PhaseRecord:
    return PhaseRecord(
        name=stage.name, users=stage.users, load=stage.load, sequential=False, cache="keep", unique_prompts=False,
        began=ClockPair(7, ""), window_began_ns=window_began_ns,
    )  # fmt: skip


def test_the_observer_is_told_the_stage_that_begins() -> None:
    """With its number among those that the scenario has; before the first there is none to tell of."""
    progress, sent, stages, _ = progress_of(ONE, {"name": "up", "steps": [1, 4], "duration": "1s"})
    progress.report()
    for stage in stages:
        progress.begin(stage, record_of(stage, 8))
    assert [(each.name, each.number, each.of) for each in sent] == [("one", 1, 3), ("up-1", 2, 3), ("up-4", 3, 3)]
    assert sent[0] == say.StageNow(
        name="one", load="closed", users=3, duration_s=1.0, planned=60, began_ns=7, window_began_ns=8, number=1, of=3
    )


def test_how_many_stages_a_search_has_is_not_known() -> None:
    search = {"name": "most", "find": "max_users", "users": 4, "slo": ["p(50)<100"], "max_load": 8}
    progress, sent, stages, _ = progress_of(ONE, search)
    progress.begin(stages[0], record_of(stages[0]))
    assert (sent[0].number, sent[0].of) == (1, 0)


def test_gauges_are_told_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phase_progress, "GAUGES_INTERVAL_S", 0)
    progress, sent, _, _ = progress_of(ONE)
    reporting = gevent.spawn(progress.report_for_ever)
    with gevent.Timeout(20):
        while len(sent) < 2:
            gevent.sleep(0)
    reporting.kill()
    assert sent[0] == sent[1] == say.Gauges(done=5, failed=1, active=3, thinking=1, waiting=4, cpu_s=0.5)


def test_the_state_changes_with_everything_that_happens() -> None:
    """A stage that begins, a window that opens, and an end are such; time that passes is not."""
    progress, _, (stage,), run = progress_of(ONE)
    record = record_of(stage)
    states = [progress.state()[0]]
    progress.begin(stage, record)
    states.append(progress.state()[0])
    record.window_began_ns = 8
    states += [progress.state()[0], progress.state()[0]]
    run.ending.end(EndReason.INTERRUPTED)
    states.append(progress.state()[0])
    assert [after == before for before, after in pairwise(states)] == [False, False, True, False]


@pytest.mark.parametrize(
    ("follow", "own_tasks", "waits"), [(False, [], True), (True, [], False), (False, [True], False)]
)
def test_a_page_and_classes_of_ones_own_may_take_any_time(follow: bool, own_tasks: list[bool], waits: bool) -> None:
    progress, _, _, _ = progress_of(ONE, follow=follow, own_tasks=own_tasks)
    waiting = progress.state()[1]
    assert (waiting == Waiting("2 answers in flight", 95.0)) is waits
    assert (waiting is None) is not waits
