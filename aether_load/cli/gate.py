"""Hold a candidate build against its base."""

from __future__ import annotations

import argparse

from aether_load.gate import options

DESCRIPTION = (
    "Send one load to two builds of a runtime in turns, and say whether the candidate lost more than noise and a "
    "margin: exit code 0 it did not, 4 it did, 5 that is not decided. docs/gate.md has the method."
)

add_arguments = options.add_arguments


def run(parsed: argparse.Namespace) -> int:
    """Gate a candidate and return the exit code."""
    from aether_load.gate.command import run as run_gate  # noqa: PLC0415 -- half a second of pyarrow

    return run_gate(parsed)
