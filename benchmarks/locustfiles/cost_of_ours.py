"""Run our users on a scenario of one phase; write the sender's CPU time over the phase's window."""

from support.window_cost import measure_window

from aether_load import AetherUser

measure_window()


class PromptUser(AetherUser):
    """Send the scenario's prompts."""
