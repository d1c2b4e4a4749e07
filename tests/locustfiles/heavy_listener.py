"""The main job with a listener of somebody's own that takes 5 ms of this process for each request."""

from time import perf_counter_ns
from typing import Any

from locust import events

from aether_load import AetherUser
from aether_load.load.listener import install

install()


@events.request.add_listener
def work(**_request: Any) -> None:
    until = perf_counter_ns() + 5_000_000
    while perf_counter_ns() < until:
        pass


class PromptUser(AetherUser):
    """Send the scenario's prompts."""
