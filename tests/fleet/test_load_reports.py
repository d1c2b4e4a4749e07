"""What a worker's load reports is what its master has to know, and waits only where the master decides."""

from __future__ import annotations

from typing import Any

import gevent
import pytest

import unpatched_locust  # noqa: F401
from aether_load.dag.sent_dag import WorkloadDag
from aether_load.load.distributed import messages as say
from aether_load.load.distributed.worker import load_reports
from aether_load.load.distributed.worker.load_reports import LoadReports
from aether_load.protocol import NodeShape
from fake_worker import STATS, FakeLink, fake_context


@pytest.fixture
def link() -> FakeLink:
    return FakeLink()


@pytest.fixture
def context() -> Any:
    return fake_context()


@pytest.fixture
def reports(link: Any, context: Any) -> LoadReports:
    made = LoadReports(link, context)
    made.begin_stage(4)
    return made


def test_a_window_is_reported_with_its_stage(reports: LoadReports, link: FakeLink) -> None:
    """Open since an instant, or from now on; what the process has taken is sent at its edge."""
    assert reports.open_window(17) == 17
    now = reports.open_window(None)
    reports.window_edge()
    assert link.sent == [say.WindowOpened(4, 17), say.WindowOpened(4, now)]
    assert link.usages == 1


def test_an_empty_cache_is_the_masters_to_make(reports: LoadReports, link: FakeLink) -> None:
    """The load goes on when the master says so."""
    emptying = gevent.spawn(reports.empty_cache)
    assert link.wait_for(say.Idle) == say.Idle(4)
    assert not emptying.ready()
    reports.may_open_window.set()
    emptying.get(timeout=20)
    reports.begin_stage(5)
    assert not reports.may_open_window.is_set()


def test_a_load_that_is_to_end_waits_for_no_cache(reports: LoadReports) -> None:
    """And says why it ended."""
    assert reports.why_stopped() == "stopped"
    reports.stop("interrupted")
    gevent.spawn(reports.empty_cache).get(timeout=20)
    assert (reports.why_stopped(), reports.stopping.is_set()) == ("interrupted", True)


def test_announced_indexes_reach_as_far_as_half_a_second(
    reports: LoadReports, link: FakeLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At least 32 are announced, and the next announcement is due when half of them are used."""
    instants = iter([10**9 + 10**15, 2 * 10**9 + 10**15])
    monkeypatch.setattr(load_reports, "monotonic_ns", lambda: next(instants))
    assert reports.announce(0) == 16
    # 1,000 in a second: 250 in half of the half second.
    assert reports.announce(1000) == 1250
    assert link.wait_for_several(say.Announced, 2) == [say.Announced(32), say.Announced(1500)]


def test_users_notes_and_dags_are_sent_as_they_are(reports: LoadReports, link: FakeLink, context: Any) -> None:
    dag = WorkloadDag(nodes=(NodeShape("a"),), answer_node="a", part="own")
    reports.stats()
    reports.note("odd")
    context.recorder.dags.on_new(dag)
    assert link.sent == [STATS, say.Noted("odd"), say.NewDag(dag)]
