"""What a page is told of the phases and thresholds of a run that goes on."""

import json
from pathlib import Path

from aether_load.analysis.report import build_report
from aether_load.observer.live.page import LivePage
from aether_load.observer.live.state import LiveState
from aether_load.observer.messages import Gauges, StageNow
from aether_load.observer.threshold_watch import LiveThreshold
from aether_load.rundata.folder import RunFolder
from aether_load.scenario.load import from_plain
from folders import BEGAN_NS, MS, answered, make_run

SCENARIO = {
    "name": "made",
    "thresholds": [{"condition": "p(50)<10"}, {"condition": "p(50)<500"}],
    "phases": [{"name": "closed", "users": 1, "duration": 1.0}],
}


def followed(tmp_path: Path) -> tuple[RunFolder, LiveState]:
    folder = make_run(tmp_path, [answered(100 * place, 62) for place in range(10)], scenario=SCENARIO)
    manifest = folder.read_manifest()
    state = LiveState()
    state.follow(manifest, from_plain(manifest.scenario))
    return folder, state


def stage(name: str, number: int, began_ms: int) -> StageNow:
    return StageNow(name=name, users=8, number=number, of=7, began_ns=BEGAN_NS + began_ms * MS)


def test_each_phase_is_marked_where_it_begins(tmp_path: Path) -> None:
    """Once, however often it is told; the one under way has its number, and how many users send."""
    _, state = followed(tmp_path)
    for told in (stage("users-1", 1, 0), stage("users-1", 1, 0), stage("users-2", 2, 5250)):
        state.at_stage(told)
    state.users = Gauges(done=9, failed=0, active=2, thinking=0, waiting=0, cpu_s=0.0)
    state.tick()
    shown = json.loads(LivePage(state).snapshot())
    assert shown["phases"] == [{"name": "users-1", "began_s": 0.0}, {"name": "users-2", "began_s": 5.25}]
    phase = shown["phase"]
    assert (phase["number"], phase["of"], phase["name"], phase["users"]) == (2, 7, "users-2", 2)


def test_thresholds_stand_as_the_observer_sees_them_and_at_the_end_as_reported(tmp_path: Path) -> None:
    """What was so far gives way to what is."""
    folder, state = followed(tmp_path)
    state.thresholds = [LiveThreshold(condition="p(50)<10", state="undecided", phase=None, shown="")]
    state.tick()
    (live,) = json.loads(LivePage(state).snapshot())["thresholds"]
    assert (live["condition"], live["state"], live["shown"]) == ("p(50)<10", "undecided", "")
    state.end(build_report(folder), None)
    shown = json.loads(LivePage(state).snapshot())["thresholds"]
    assert [(one["condition"], one["state"], one["phase"]) for one in shown] == [
        ("p(50)<10", "broken", "closed"), ("p(50)<500", "holds", "closed"),
    ]  # fmt: skip
