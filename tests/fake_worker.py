"""What a worker's units are given in place of its master and of its users."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import gevent
from gevent.event import Event

import unpatched_locust  # noqa: F401
from aether_load.load.distributed import messages as say
from aether_load.load.sending.sender_context import Tally, Window
from aether_load.rundata.records.record_buffer import RecordBuffer


class FakeLink:
    """A master that only listens."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.ended: list[Any] = []
        self.statistics = self.usages = 0
        self._more = Event()

    def send(self, message: say.Message) -> None:
        self.sent.append(message)
        self._more.set()

    def send_process_usage(self) -> None:
        self.usages += 1

    def send_statistics(self) -> None:
        self.statistics += 1

    def end(self, *reason: object) -> None:
        self.ended.append(reason)

    def said(self, *kinds: type[Any]) -> list[Any]:
        return [message for message in self.sent if isinstance(message, kinds)]

    def wait_for(self, kind: type[Any]) -> Any:
        """Wait for the first message of a kind."""
        return self.wait_for_several(kind, 1)[0]

    def wait_for_several(self, kind: type[Any], count: int) -> list[Any]:
        """Wait for as many messages of a kind."""
        with gevent.Timeout(20):
            while len(self.said(kind)) < count:
                self._more.wait()
                self._more.clear()
        return self.said(kind)


def fake_context() -> Any:
    """Return what the users of a worker share, with three users that wait and nothing in flight."""
    drained = Event()
    drained.set()
    return SimpleNamespace(
        recorder=SimpleNamespace(done=5, failed=1, dags=SimpleNamespace(on_new=None)),
        user_pool=SimpleNamespace(waiting=3, active=2, thinking=1, backlog=[None] * 4, drained=drained),
        buffer=RecordBuffer(["p"], ["d"], 1),
        pool=SimpleNamespace(opened=7, stale_reopened=2),
        window=Window(),
        tally=lambda: STATS.tally,
    )


STATS = say.WorkerStats(Tally(done=5, failed=1, ready=3, active=2, thinking=1, waiting=4))
"""How things stand in a `fake_context`."""
