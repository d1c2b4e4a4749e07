"""The main job as another release of aether-load would run it."""

from aether_load import _version

_version.__version__ = "0.0.1"

from aether_load import AetherUser  # noqa: E402
from aether_load.load import listener  # noqa: E402

listener.install()


class PromptUser(AetherUser):
    """Send the scenario's prompts."""
