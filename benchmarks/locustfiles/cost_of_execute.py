"""Run users with a task of their own on a scenario of one phase; write the sender's CPU time over its window."""

from locust import task
from support.window_cost import measure_window

from aether_load import AetherUser

measure_window()


class TaskUser(AetherUser):
    """Send the scenario's prompts by a task."""

    @task
    def ask(self) -> None:
        """Send the next prompt."""
        self.execute(self.next_prompt(), name="ask")
