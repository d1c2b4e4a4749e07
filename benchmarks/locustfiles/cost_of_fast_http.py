"""Stock FastHttpUser: posts the same body and parses the same answer; writes the sender's CPU time."""

import json
import os
import time
from pathlib import Path
from typing import Any

import gevent
from locust import FastHttpUser, events, task

BODY = json.loads(Path(os.environ["COST_BODY"]).read_text(encoding="utf-8"))


class StockUser(FastHttpUser):
    """A user as Locust's documentation writes it."""

    @task
    def execute(self) -> None:
        """Send a request and look whether its answer is a success."""
        with self.client.post("/execute", json=BODY, name="execute", catch_response=True) as response:
            answer = response.json()
            if answer["errors"] or answer.get("aborted"):
                response.failure("errors")


def _measure(environment: Any) -> None:
    stats = environment.stats.total
    cpu, done, began = time.process_time(), stats.num_requests, time.monotonic()
    gevent.sleep(float(os.environ["COST_SECONDS"]))
    figures = {
        "cpu_s": time.process_time() - cpu,
        "requests": stats.num_requests - done,
        "elapsed_s": time.monotonic() - began,
        "failures": stats.num_failures,
    }
    Path(os.environ["COST_FILE"]).write_text(json.dumps(figures), encoding="utf-8")
    environment.runner.quit()


@events.init.add_listener
def _on_init(environment: Any, **_kwargs: Any) -> None:
    environment.events.spawning_complete.add_listener(lambda **_arguments: gevent.spawn(_measure, environment))
