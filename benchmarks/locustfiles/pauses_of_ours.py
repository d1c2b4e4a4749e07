"""Run our users without one of the sender's own habits, as the environment says, to see what it costs."""

import gc
import os

import gevent

from aether_load import AetherUser
from aether_load.load import listener, run_disk

without = os.environ.get("COST_WITHOUT", "")
if without == "freeze":
    gc.freeze = lambda: None
elif without == "writing":
    # The first write comes with the phase's end: nothing is written while requests are sent.
    run_disk.WRITE_INTERVAL_S = 3600.0
elif without == "collector":
    gevent.spawn(gc.disable)

listener.install(scenario="eval")


class PromptUser(AetherUser):
    """Send the scenario's prompts."""
