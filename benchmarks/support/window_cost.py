"""Write what a sending process takes in CPU time over its phase's window, from inside Locust."""

from typing import Any

import gevent
from locust import events
from support.measured_interval import MeasuredInterval, write

_STEP_S = 0.05


def measure_window() -> None:
    """Have this Locust write the figures of its one phase."""

    def on_init(environment: Any, **_kwargs: Any) -> None:
        # Later than the harness's own listener of test_start, which makes the run.
        environment.events.test_start.add_listener(lambda **_arguments: gevent.spawn(_measure, environment))

    hooks: Any = events
    hooks.init.add_listener(on_init)


def _measure(environment: Any) -> None:
    context = environment.aether
    while context.window.began_ns is None:
        gevent.sleep(0.01)
    recorder = context.recorder
    interval = MeasuredInterval(recorder.done, recorder.failed)
    figures = interval.figures(recorder.done, recorder.failed)
    # The last figures inside the window count: what comes after it is results, not sending.
    while context.window.ended_ns is None:
        figures = interval.figures(recorder.done, recorder.failed)
        gevent.sleep(_STEP_S)
    write(figures)
