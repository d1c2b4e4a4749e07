"""Run Locust: `python -m aether_load.load.process`, followed by Locust's own command line."""

from __future__ import annotations

import sys
from importlib import import_module

from aether_load.load.process.signals import end_early_on_signals
from aether_load.streams import mend_streams


def main() -> None:
    """Take signals and mend the outputs first: Locust's imports take a second."""
    mend_streams()
    end_early_on_signals()
    sys.argv[0] = "locust"
    import_module("locust.main").main()


if __name__ == "__main__":
    main()
