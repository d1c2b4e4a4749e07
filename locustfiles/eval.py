"""The main job: dataset prompts against a runtime, by the `eval` scenario unless --scenario names another.

locust -f locustfiles/eval.py --headless
"""

from aether_load.generator import listener
from aether_load.generator.users import AetherUser

__all__ = ["AetherUser"]

listener.install(scenario="eval")
