"""Follow what the server counted in a run that goes on, and whether the answers agree with it."""

from __future__ import annotations

from collections import deque

import numpy as np

from aether_load.analysis.server.scrape import Scrape, ScrapeError, difference, fell, parse_scrape
from aether_load.observer.live.counts import BUCKETS
from aether_load.observer.live.reconciliation import LiveReconciliation
from aether_load.rundata.scrapes import RawScrape


class LiveServer:
    """The nodes that the server counted between readings, by their time; `reconciliation` judges its readings.

    A reading is judged when all answers that came in before its end have been handed in.
    """

    def __init__(self, nodes_per_request: int) -> None:
        self.reconciliation = LiveReconciliation(nodes_per_request)
        self._to_judge: deque[tuple[Scrape, RawScrape, int]] = deque()
        self._last: Scrape | None = None
        self.reset()

    def reset(self) -> None:
        """Forget what was counted so far; the reconciliation goes on, because the server's counts do."""
        self.buckets = np.zeros(BUCKETS, np.int64)
        self.time_ms = 0.0

    def scraped(self, raw: RawScrape, in_flight: int) -> Scrape | None:
        """Take in a reading, with how many requests were in flight at its end; return what was counted since the last.

        That is None where it cannot be told, and before a phase.
        """
        scrape, reason = _read(raw)
        if raw.role == "before":
            self.judge_until(raw.began_ns)
            self.reconciliation.begin(scrape, None if scrape is not None else reason)
        elif scrape is None:
            self.reconciliation.fail(reason)
        else:
            self._to_judge.append((scrape, raw, in_flight))
        last, self._last = self._last, scrape
        if scrape is None or last is None or raw.role == "before" or fell(last, scrape) is not None:
            return None
        counted = difference(last, scrape)
        self.buckets += np.array(counted.buckets)
        self.time_ms += counted.node_time_sum_ms
        return counted

    def judge_until(self, written_ns: int | None = None) -> None:
        """Judge the readings that had ended at an instant (None: all) until which answers have been handed in."""
        while self._to_judge and (written_ns is None or self._to_judge[0][1].ended_ns <= written_ns):
            scrape, raw, in_flight = self._to_judge.popleft()
            self.reconciliation.judge(scrape, raw.began_ns, raw.ended_ns, in_flight)


def _read(raw: RawScrape) -> tuple[Scrape | None, str]:
    """Return what a text of /metrics says, or None and why it says nothing."""
    if raw.text is None:
        return None, f"/metrics could not be read: {raw.error}"
    try:
        return parse_scrape(raw.text), ""
    except ScrapeError as error:
        return None, f"/metrics: {error}"
