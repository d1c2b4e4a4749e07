"""Read a runtime's /metrics in a thread, so that a slow server holds up nothing else."""

from __future__ import annotations

import queue
import threading
import warnings
from collections.abc import Callable
from time import monotonic, monotonic_ns

import urllib3

from aether_load.observer.messages import MetricsTarget
from aether_load.redaction import REDACTOR, foreign_text, hidden_url
from aether_load.response import compression_of
from aether_load.rundata.manifest import now
from aether_load.rundata.scrapes import RawScrape
from aether_load.runtime_client import pool_options
from aether_load.time_limit import TimeLimit

MOST_BYTES = 16 << 20


class MetricsReader:
    """Reads the metrics of runtimes within a time limit, each on a connection that it keeps; one reading at a time."""

    def __init__(self) -> None:
        self._limit = TimeLimit()
        self._pools: dict[str, urllib3.PoolManager] = {}

    def read(self, target: MetricsTarget, phase: str, role: str) -> RawScrape:
        """Take a reading."""
        began = now()
        text, error = self.text(target)
        return RawScrape(
            phase=phase,
            role=role,
            began_ns=began.monotonic_ns,
            ended_ns=monotonic_ns(),
            began_utc=began.utc,
            text=text,
            error=error,
        )

    def text(self, target: MetricsTarget) -> tuple[str | None, str | None]:
        """Return the text that came, or None and why none did."""
        pool = self._pools.get(target.url)
        if pool is None:
            pool = self._pools[target.url] = _pool(target, self._limit)
        due = monotonic() + target.timeout_s
        try:
            with self._limit.within(target.timeout_s):
                answer = pool.request("GET", target.url, redirect=False, preload_content=False)
                try:
                    body = answer.read(MOST_BYTES + 1, decode_content=False)
                finally:
                    answer.release_conn()
        except (urllib3.exceptions.HTTPError, OSError) as failure:
            return None, _late(target) if monotonic() >= due else _reason(failure, target)
        if monotonic() >= due:
            # An answer that ends where its connection does would pass for a whole one.
            return None, _late(target)
        name = hidden_url(target.url)
        if answer.status != 200:
            return None, f"GET {name} answered {answer.status}"
        if len(body) > MOST_BYTES:
            return None, f"GET {name}: the answer has more than {MOST_BYTES >> 20} MiB"
        if (compression := compression_of(body)) is not None:
            return None, f"GET {name}: {compression}"
        return REDACTOR.redact_metrics(body.decode(errors="replace")), None


class Scraper:
    """Takes readings one after the other; `done` is called in the scraper's thread with each.

    Readings that are asked for while one is under way wait for it, but for those of `during`, which are left out.
    """

    def __init__(self, done: Callable[[RawScrape, int], None]) -> None:
        self._done = done
        self._jobs: queue.Queue[tuple[MetricsTarget, str, str, int] | None] = queue.Queue()
        self._is_busy = False
        threading.Thread(target=self._work, name="scraper", daemon=True).start()

    @property
    def is_busy(self) -> bool:
        """Tell whether a reading is under way or waits."""
        return self._is_busy or not self._jobs.empty()

    def scrape(self, target: MetricsTarget, phase: str, role: str, answer_to: int) -> None:
        """Have a reading taken; `answer_to` is handed on to `done`."""
        self._jobs.put((target, phase, role, answer_to))

    def close(self) -> None:
        """Take no further reading."""
        self._jobs.put(None)

    def _work(self) -> None:
        reader = MetricsReader()
        while (job := self._jobs.get()) is not None:
            self._is_busy = True
            target, phase, role, answer_to = job
            raw = reader.read(target, phase, role)
            self._is_busy = False
            self._done(raw, answer_to)


def _pool(target: MetricsTarget, limit: TimeLimit) -> urllib3.PoolManager:
    # The report says that certificates were not verified; urllib3 would say it at every request.
    warnings.simplefilter("ignore", urllib3.exceptions.InsecureRequestWarning)
    pool = urllib3.PoolManager(
        retries=False,
        timeout=urllib3.Timeout(total=target.timeout_s),
        headers={"Accept-Encoding": "identity", "User-Agent": "aether-load", **target.headers},
        **pool_options(target.url, target.tls),
    )
    pool.pool_classes_by_scheme = limit.pool_classes
    return pool


def _reason(failure: Exception, target: MetricsTarget) -> str:
    if isinstance(failure, urllib3.exceptions.TimeoutError):
        return _late(target)
    if isinstance(failure, urllib3.exceptions.NewConnectionError):
        return "connection refused or no route"
    return foreign_text(f"{type(failure).__name__}: {failure}")


def _late(target: MetricsTarget) -> str:
    return f"no whole answer within {target.timeout_s:g} s"
