"""Define a stock FastHttpUser that posts the same body and parses the same answer."""

import json
import os
from pathlib import Path

from locust import FastHttpUser, task

BODY = json.loads(Path(os.environ["COST_BODY"]).read_text(encoding="utf-8"))


class StockFastUser(FastHttpUser):
    """A user as Locust's documentation writes it."""

    @task
    def execute(self) -> None:
        """Send a request, and mark it as failed where its answer is no success."""
        with self.client.post("/execute", json=BODY, name="execute", catch_response=True) as response:
            answer = response.json()
            if answer["errors"] or answer.get("aborted"):
                response.failure("errors")
