"""Locust's own web interface in the test's process, which Locust is kept from patching."""

from __future__ import annotations

import argparse
from types import SimpleNamespace
from typing import Any

import unpatched_locust  # noqa: F401


def locust_web_ui() -> Any:
    """Return Locust's web interface with our tab in it, listening nowhere."""
    from locust.env import Environment
    from locust.web import WebUI

    from aether_load.load.web.tab import add_aether_tab

    environment = Environment()
    environment.parsed_options = argparse.Namespace(web_base_path="")
    web_ui = WebUI(environment, "127.0.0.1", 0, delayed_start=True)
    live_view: Any = SimpleNamespace(
        folders={},
        users_sending=None,
        ask=lambda what: b"" if what == "metrics" else b"{}",
    )
    add_aether_tab(web_ui, live_view, lambda: None)
    return web_ui
