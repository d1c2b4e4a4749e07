"""Thresholds that are to end a run, looked at while its folder grows."""

import os
import subprocess
import sys
from time import process_time

import msgspec
import pytest

from aether_load.observer.live_thresholds import PAUSE_BY_LOOK, READY, SHORTEST_PAUSE_S, Watch, watch
from aether_load.protocol import Outcome
from aether_load.rundata.manifest import AbortRecord
from folders import answered, failed, make_run, write_samples
from processes import REPOSITORY

REQUESTS = [answered(10 * place, 60 + place % 20, state=0, correct=1) for place in range(200)]
FOR_EVER_S = 3e7


def growing(tmp_path, *plans, requests=REQUESTS, **more):
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
def test_what_is_broken_is_found(tmp_path, condition, dataset, shown):
    """Any number of the requests, on its 99.9 % interval where it has one, with what was seen."""
    found = Watch(growing(tmp_path, {"condition": condition})).look()
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
def test_what_is_not_broken_for_certain_is_left(tmp_path, plan):
    """A limit inside the wider interval, before the delay is over, without abort_on_fail: the run goes on."""
    assert Watch(growing(tmp_path, plan)).look() is None


def test_a_window_shorter_than_the_delay_is_never_looked_at(tmp_path):
    """Its length counts, not how long ago it was."""
    plan = {"condition": "p(50)<60", "delay_abort_eval": 1.5}
    ended = {"ended_as": "completed", "window_ms": (0, 1000)}
    assert Watch(growing(tmp_path / "a", plan, **ended)).look() is None
    assert Watch(growing(tmp_path / "b", plan | {"delay_abort_eval": 0.5}, **ended)).look().after_s == 1.0


def test_a_file_that_is_being_written_is_read_as_far_as_it_goes(tmp_path):
    """A torn tail, or no sample yet, is no mistake."""
    folder = growing(tmp_path, {"condition": "p(50)<60"}, {"condition": "outcomes.timeout<1"})
    folder.samples.write_bytes(folder.samples.read_bytes()[:-30])
    watching = Watch(folder)
    assert watching.look() is None
    write_samples(folder.samples, [failed(0, 60, Outcome.TIMEOUT)])
    assert watching.look().condition == "outcomes.timeout<1"


def test_a_phase_that_is_over_is_looked_at_once_more(tmp_path):
    """Then its samples are all there, and need not be read again."""
    folder = growing(tmp_path, {"condition": "p(50)<500"}, ended_as="completed")
    watching = Watch(folder)
    assert watching.look() is None
    write_samples(folder.samples, [answered(10 * place, 900) for place in range(200)])
    assert watching.look() is None
    assert Watch(folder).look().shown == "900 [900, 900]"


def test_looking_takes_a_tenth_of_the_time_at_most():
    """Each pause is at least ten times as long as the CPU time of the look before it."""
    pauses = []

    def look():
        began = process_time()
        while process_time() < began + 0.15:
            pass

    def wait(pause_s):
        pauses.append(pause_s)
        return len(pauses) == 3

    assert watch(look, wait) is None
    assert pauses[0] == SHORTEST_PAUSE_S
    assert all(pause >= PAUSE_BY_LOOK * 0.15 for pause in pauses[1:])


def start(folder):
    child = subprocess.Popen(
        [sys.executable, "-m", "aether_load.observer.live_thresholds", str(folder.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    assert child.stdout.readline() == READY
    return child


def test_the_process_says_what_it_found_and_ends_with_its_parent(tmp_path):
    """One line when it is ready, one when a threshold is broken; none when the other end of its input is gone."""
    finding = start(growing(tmp_path / "a", {"condition": "p(50)<60"}))
    waiting = start(growing(tmp_path / "b", {"condition": "p(50)<500"}))
    said = waiting.communicate(timeout=30)[0]
    assert (said, waiting.returncode) == (b"", 0)
    line = finding.stdout.readline()
    assert msgspec.json.decode(line, type=AbortRecord).shown == "69 [67, 72]"
    assert (finding.communicate(timeout=30)[0], finding.returncode) == (b"", 0)
