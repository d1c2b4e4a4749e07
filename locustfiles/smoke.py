"""A few lines are enough for a locustfile of your own: another default scenario, and the same users."""

from aether_load import AetherUser
from aether_load.load import listener

listener.install(scenario="smoke")


class SmokeUser(AetherUser):
    """Send the scenario's prompts."""
