"""Run an observer: `python -m aether_load.observer`, with the sender's socket as standard input."""

from __future__ import annotations

import os
import signal
import socket
import sys

from aether_load.observer.service import Observer
from aether_load.streams import mend_streams


def main() -> int:
    """Observe until the sender says that this is all, or is gone."""
    mend_streams()
    # The sender decides when this process ends: a Ctrl-C at the terminal is for the load.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with_priority = 10
    os.nice(with_priority)
    Observer(socket.socket(fileno=os.dup(0))).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
