"""What `aether-load gate` starts: two builds of a runtime in turns; `aether-load gate --help` says how."""

from aether_load.load import listener
from aether_load.load.sending.users import AetherUser

__all__ = ["AetherUser"]

listener.install(scenario="gate")
