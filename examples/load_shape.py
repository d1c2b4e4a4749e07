"""A load of your own shape: users come and go in steps, and the shape says when the run is over.

locust -f examples/load_shape.py --headless
"""

from locust import LoadTestShape, constant, task

from aether_load import AetherUser

STEPS = ((3, 2), (6, 6), (9, 3))
"""Until which second, how many users."""


class Steps(LoadTestShape):
    """Two users, then six, then three."""

    def tick(self) -> tuple[int, float] | None:
        """Return how many users there are to be, and how many may start a second; None at the end."""
        seconds = self.get_run_time()
        return next(((users, 100.0) for until, users in STEPS if seconds < until), None)


class Customer(AetherUser):
    """Ask one question after the other."""

    wait_time = constant(0.05)

    @task
    def ask(self) -> None:
        """Send the next prompt of the scenario."""
        self.execute(self.next_prompt(), name="ask")
