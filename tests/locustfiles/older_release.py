"""The main job as another release of aether-load would run it."""

import aether_load

aether_load.__version__ = "0.0.1"

from aether_load.generator import listener  # noqa: E402
from aether_load.generator.users import AetherUser  # noqa: E402

__all__ = ["AetherUser"]

listener.install()
