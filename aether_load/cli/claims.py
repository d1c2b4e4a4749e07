"""Measure what the Aether project publishes."""

from __future__ import annotations

import argparse

from aether_load.claims import options

DESCRIPTION = (
    "Measure the figures that the Aether project publishes, and say of each whether it is supported, not supported or "
    "not decided, and why. Without --host a simulated runtime is started, whose figures say nothing about Aether. "
    "docs/claims.md explains each claim."
)

add_arguments = options.add_arguments


def run(parsed: argparse.Namespace) -> int:
    """Measure the claims and return the exit code."""
    from aether_load.claims.command import run as run_claims  # noqa: PLC0415 -- half a second of pyarrow and scipy

    return run_claims(parsed)
