"""A master's port that cannot be had: one sentence in place of Locust's traceback."""

from __future__ import annotations

import sys
from typing import Any

from locust.env import Environment
from locust.exception import RPCError

from aether_load import ExitCode


def explain_taken_port() -> None:
    """Have a master whose port is taken say so and end as a mistake of usage.

    Locust binds before any of its events, so that there is nothing to listen to.
    """
    bind: Any = Environment.create_master_runner
    if getattr(bind, "explains", False):
        return

    def create_master_runner(self: Environment, *arguments: Any, **options: Any) -> Any:
        try:
            return bind(self, *arguments, **options)
        except RPCError as error:
            asked = self.parsed_options
            where = f"{asked.master_bind_host}:{asked.master_bind_port}" if asked is not None else "its port"
            sys.stderr.write(
                f"aether-load: The master cannot listen at {where} ({error}). End what listens there, or give "
                "--master-bind-port, and the same as --master-port to its workers (with --processes: both here).\n"
            )
            sys.exit(int(ExitCode.USAGE))

    vars(create_master_runner)["explains"] = True
    vars_of: Any = Environment
    vars_of.create_master_runner = create_master_runner
