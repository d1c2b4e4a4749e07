"""Thresholds that are to end a run, decided on its records as they are written."""

from pathlib import Path
from typing import Any

import pytest

from aether_load.observer import threshold_watch
from aether_load.observer.threshold_watch import ThresholdWatch
from aether_load.protocol import Outcome
from aether_load.rundata.folder import RunFolder
from aether_load.rundata.manifest import AbortRecord
from aether_load.rundata.records.record_reader import RecordReader
from aether_load.scenario.load import from_plain
from folders import answered, failed, make_run, write_records

REQUESTS = [answered(10 * place, 60 + place % 20, state=0, correct=1) for place in range(200)]
FOR_EVER_S = 3e7


def growing(tmp_path: Path, *plans: Any, requests: list[dict[str, Any]] = REQUESTS, **more: Any) -> RunFolder:
    """The folder of a run that goes on, its window open since the machine's first seconds."""
    scenario = {
        "name": "made",
        "goodput_slo": "response_latency_ms<70",
        "thresholds": [{"abort_on_fail": True, **plan} for plan in plans],
        "phases": [{"name": "closed", "users": 1, "duration": 1.0}],
    }
    return make_run(
        tmp_path,
        requests,
        scenario=scenario,
        **{"ended_as": "running", "window_ms": (0, None), "phase_ms": 9000, **more},
    )


class Watched:
    """A run's folder, and the watch over its thresholds, which reads on where it ended."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.manifest = folder.read_manifest()
        self.watch = ThresholdWatch(self.manifest, from_plain(self.manifest.scenario))
        self.reader = RecordReader(folder.records, follow=True)

    def look(self) -> AbortRecord | None:
        for batch in self.reader:
            self.watch.add(batch, self.reader.tables)
        return self.watch.look(self.manifest)


def look(folder: RunFolder) -> AbortRecord | None:
    return Watched(folder).look()


@pytest.mark.parametrize(
    ("condition", "dataset", "shown"),
    [
        ("p(50)<60", None, "69 [67, 72]"),
        ("piqa:p(50)<60", "piqa", "69 [67, 72]"),
        ("goodput_share>0.9", None, "0.5 [0.386689, 0.613311]"),
        ("request_throughput_rps>1000", None, "98.3848"),
        ("decomposition_mean_ms.node_path<50", None, "60"),
        ("accuracy<0.5", None, "1 [0.948643, 1]"),
    ],
)
def test_what_is_broken_is_found(tmp_path: Path, condition: str, dataset: str | None, shown: str) -> None:
    """Any number of the requests, on its 99.9 % interval where it has one, with what was seen."""
    found = look(growing(tmp_path, {"condition": condition}))
    assert found is not None
    assert found == AbortRecord(
        condition=condition, phase="closed", dataset=dataset, shown=shown, confidence=0.999, after_s=found.after_s
    )


@pytest.mark.parametrize(
    "plan",
    [
        {"condition": "p(50)<500"},
        # Broken by the interval of a single look, which is not enough for a hundred of them.
        {"condition": "p(50)<68"},
        {"condition": "p(50)<60", "delay_abort_eval": FOR_EVER_S},
        {"condition": "p(50)<60", "abort_on_fail": False},
        {"condition": "arc_easy:p(50)<60"},
    ],
)
def test_what_is_not_broken_for_certain_is_left(tmp_path: Path, plan: dict[str, Any]) -> None:
    """A limit inside the wider interval, before the delay is over, without abort_on_fail: the run goes on."""
    assert look(growing(tmp_path, plan)) is None


def test_a_window_shorter_than_the_delay_is_never_looked_at(tmp_path: Path) -> None:
    """Its length counts, not how long ago it was."""
    plan = {"condition": "p(50)<60", "delay_abort_eval": 1.5}
    ended: dict[str, Any] = {"ended_as": "completed", "window_ms": (0, 1000)}
    assert look(growing(tmp_path / "a", plan, **ended)) is None
    found = look(growing(tmp_path / "b", plan | {"delay_abort_eval": 0.5}, **ended))
    assert found is not None
    assert found.after_s == 1.0


def test_records_are_taken_in_as_they_come(tmp_path: Path) -> None:
    """A block that is being written, or no record yet, breaks nothing; what comes later is added to what came."""
    folder = growing(tmp_path, {"condition": "outcomes.timeout<1"})
    write_records(folder.records, [*REQUESTS[:100], failed(0, 60, Outcome.TIMEOUT)])
    whole = folder.records.read_bytes()
    folder.records.write_bytes(whole[:-30])
    watched = Watched(folder)
    assert watched.look() is None
    folder.records.write_bytes(whole)
    found = watched.look()
    assert found is not None
    assert (found.condition, found.shown) == ("outcomes.timeout<1", "1")


def test_a_phase_that_is_over_is_looked_at_once_more(tmp_path: Path) -> None:
    """Then its samples are all there, and are kept no longer."""
    watched = Watched(growing(tmp_path, {"condition": "p(50)<500"}, ended_as="completed"))
    assert watched.look() is None
    assert watched.watch._phases == {}
    assert watched.look() is None


def test_a_long_run_is_decided_on_a_part_of_its_requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every second one is kept when there are too many; totals and rates stay those of all."""
    monkeypatch.setattr(threshold_watch, "MOST_ROWS", 50)
    requests = [answered(place, 50 + place % 10) for place in range(1000)]
    watched = Watched(growing(tmp_path, {"condition": "ok_total>2000"}, requests=requests))
    found = watched.look()
    assert found is not None
    assert 900 <= float(found.shown) <= 1100
    (phase,) = watched.watch._phases.values()
    assert len(phase) < 1000


def test_what_the_sender_added_breaks_no_limit(tmp_path: Path) -> None:
    """A percentile is decided on its interval here too: answers that were read late end no run."""
    requests = [answered(10 * place, 90 if place % 4 == 0 else 60) for place in range(200)]
    holds = [(40 * beat + 55, 40 * beat + 89, 40 * beat + 91) for beat in range(50)]
    plan = {"condition": "p(95)<80"}
    assert look(growing(tmp_path / "held", plan, requests=requests, holds=holds)) is None
    found = look(growing(tmp_path / "free", plan, requests=requests))
    assert found is not None
    assert found.shown == "90 [90, 90]"


def test_a_page_sees_every_threshold_as_it_stands(tmp_path: Path) -> None:
    """Also those that end nothing; a number that is known only when the phase is over waits."""
    conditions = ("p(50)<100", "p(50)<60", "steadiness.cut_s<5")
    folder = growing(tmp_path, *({"condition": text, "abort_on_fail": False} for text in conditions))
    watched = Watched(folder)
    watched.watch = ThresholdWatch(watched.manifest, from_plain(watched.manifest.scenario), live=True)
    assert watched.look() is None
    assert [(one.state, one.phase, one.shown) for one in watched.watch.states()] == [
        ("holds", "closed", "69 [67, 72]"), ("broken", "closed", "69 [67, 72]"), ("undecided", None, ""),
    ]  # fmt: skip
