"""The main job with listeners that log all that they can lay hands on, and fail with it in their error."""

import logging
import os
import sys
from typing import Any

from locust import events

from aether_load import AetherUser
from aether_load.load.listener import install

install()


@events.test_start.add_listener
def say(**_start: Any) -> None:
    log = logging.getLogger("talkative")
    log.info("started as %s", sys.argv)
    log.warning("in %r", {name: value for name, value in os.environ.items() if name.startswith("SECRET")})
    for word in sys.argv:
        log.info("an option: %s", word)


@events.test_start.add_listener
def fail(**_start: Any) -> None:
    raise RuntimeError(f"not with {sys.argv[1:]}")


class PromptUser(AetherUser):
    """Send the scenario's prompts."""
