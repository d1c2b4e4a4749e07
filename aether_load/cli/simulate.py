"""Run the simulated runtime."""

from __future__ import annotations

from aether_load.simulator import cli

DESCRIPTION = "Run a simulated Aether runtime, to try the harness on."

add_arguments = cli.add_arguments
run = cli.run
