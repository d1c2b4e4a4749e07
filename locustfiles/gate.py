"""What `aether-load gate` starts: two builds of a runtime in turns; `aether-load gate --help` says how."""

from aether_load import AetherUser
from aether_load.load import listener

listener.install(scenario="gate")


class GateUser(AetherUser):
    """Send the scenario's prompts to the build whose turn it is."""
