"""How a stock Locust user is measured; shared by the locustfiles beside it."""

import os
from typing import Any

import gevent
from locust import events
from support.measured_interval import SETTLE_S, MeasuredInterval, write


def install() -> None:
    """Measure from shortly after the last user was spawned, for as long as the benchmark says; then quit."""

    @events.init.add_listener
    def _on_init(environment: Any, **_kwargs: Any) -> None:
        environment.events.spawning_complete.add_listener(lambda **_arguments: gevent.spawn(_measure, environment))


def _measure(environment: Any) -> None:
    total = environment.stats.total
    gevent.sleep(SETTLE_S)
    interval = MeasuredInterval(total.num_requests, total.num_failures)
    gevent.sleep(float(os.environ["COST_SECONDS"]))
    write(interval.figures(total.num_requests, total.num_failures))
    environment.runner.quit()
