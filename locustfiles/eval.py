"""The main job: dataset prompts against a runtime, by the `eval` scenario unless --scenario names another.

locust -f locustfiles/eval.py --headless
"""

from aether_load import AetherUser


class EvalUser(AetherUser):
    """Send the scenario's prompts: a class without tasks of its own does that."""
