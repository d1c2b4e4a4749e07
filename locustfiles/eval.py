"""The main job: dataset prompts against a runtime, by the `eval` scenario unless --scenario names another.

locust -f locustfiles/eval.py --headless
"""

from aether_load.load import listener
from aether_load.load.sending.users import AetherUser

__all__ = ["AetherUser"]

listener.install(scenario="eval")
