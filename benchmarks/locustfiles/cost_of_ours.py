"""Our users on a scenario of one phase; writes the sender's CPU time over the phase's window."""

import json
import os
import time
from pathlib import Path
from typing import Any

import gevent
from locust import events

from aether_load.generator import listener
from aether_load.generator.users import AetherUser

__all__ = ["AetherUser"]

listener.install(scenario="eval")


def _measure(environment: Any) -> None:
    run = environment.aether.run
    while not run.manifest.phases or run.manifest.phases[0].window_began_ns is None:
        gevent.sleep(0.01)
    cpu, done, began = time.process_time(), run.recorder.done, time.monotonic()
    while run.manifest.phases[0].window_ended_ns is None:
        cpu_now, done_now, now = time.process_time(), run.recorder.done, time.monotonic()
        gevent.sleep(0.05)
    figures = {"cpu_s": cpu_now - cpu, "requests": done_now - done, "elapsed_s": now - began}
    Path(os.environ["COST_FILE"]).write_text(json.dumps(figures), encoding="utf-8")


@events.init.add_listener
def _on_init(environment: Any, **_kwargs: Any) -> None:
    # Later than the harness's own listener of test_start, which makes the run.
    environment.events.test_start.add_listener(lambda **_arguments: gevent.spawn(_measure, environment))
