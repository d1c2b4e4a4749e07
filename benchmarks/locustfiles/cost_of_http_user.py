"""Run a stock HttpUser that posts the same body and parses the same answer; write the sender's CPU time."""

import json
import os
from pathlib import Path

import stock
from locust import HttpUser, task

BODY = json.loads(Path(os.environ["COST_BODY"]).read_text(encoding="utf-8"))

stock.install()


class StockUser(HttpUser):
    """A user as Locust's documentation writes it."""

    @task
    def execute(self) -> None:
        """Send a request, and mark it as failed where its answer is no success."""
        with self.client.post("/execute", json=BODY, name="execute", catch_response=True) as response:
            answer = response.json()
            if answer["errors"] or answer.get("aborted"):
                response.failure("errors")
