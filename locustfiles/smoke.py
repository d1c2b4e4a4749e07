"""Ten lines are enough for a locustfile of your own: another default scenario, and the same users."""

from aether_load.load import listener
from aether_load.load.sending.users import AetherUser

__all__ = ["AetherUser"]

listener.install(scenario="smoke")
