"""Measure a stock Locust user; shared by the locustfiles beside it."""

import os
from typing import Any

import gevent
from locust import events
from support.measured_interval import SETTLE_S, MeasuredInterval, write


def install(*, with_latencies: bool = False) -> None:
    """Measure from shortly after the last user was spawned, for as long as the benchmark says; then quit.

    `with_latencies` also keeps the latency of each request, which Locust's own statistics round.
    """
    latencies_ms: list[float] | None = [] if with_latencies else None

    @events.init.add_listener
    def _on_init(environment: Any, **_kwargs: Any) -> None:
        environment.events.spawning_complete.add_listener(lambda **_: gevent.spawn(_measure, environment, latencies_ms))
        if latencies_ms is not None:
            environment.events.request.add_listener(lambda response_time, **_: latencies_ms.append(response_time))


def _measure(environment: Any, latencies_ms: list[float] | None) -> None:
    total = environment.stats.total
    gevent.sleep(SETTLE_S)
    if latencies_ms is not None:
        latencies_ms.clear()
    interval = MeasuredInterval(total.num_requests, total.num_failures)
    gevent.sleep(float(os.environ["COST_SECONDS"]))
    write(interval.figures(total.num_requests, total.num_failures) | {"latencies_ms": latencies_ms})
    environment.runner.quit()
