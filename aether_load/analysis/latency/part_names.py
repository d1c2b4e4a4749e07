"""Name the parts of response latency for readers."""

from __future__ import annotations

from aether_load.scenario.metrics import PartName

PART_NAMES: dict[PartName, str] = {
    "start_delay": "start delay",
    "sender_hold": "sender held",
    "overhead": "outside the server",
    "scheduler": "scheduler",
    "barrier": "barriers",
    "node_path": "node path",
    "undivided_server": "server, undivided",
    "unanswered": "no readable answer",
}
