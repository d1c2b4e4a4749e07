"""A conversation: the second question depends on the first answer.

locust -f examples/conversation.py --headless -u 4 -t 10s
"""

from locust import between, task

from aether_load import AetherUser


class Customer(AetherUser):
    """Ask a question of the scenario's datasets, and now and then have a text summarised and shortened."""

    wait_time = between(0.05, 0.2)

    @task(3)
    def ask(self) -> None:
        """Send the next prompt of the scenario."""
        self.execute(self.next_prompt(), name="ask")

    @task
    def follow_up(self) -> None:
        """Use the first answer in the second question."""
        first = self.execute("Summarise this invoice: 3 chairs, 2 tables, 1,250.00 EUR.", name="first")
        if first.ok:
            self.execute(f"Shorten to five words: {first.output}", name="second")
