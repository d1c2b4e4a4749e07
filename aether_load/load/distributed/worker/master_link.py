"""Send messages to a worker's master."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic_ns, process_time
from typing import Any

import psutil
from locust.exception import RPCError

from aether_load.errors import ExitCode
from aether_load.load.distributed import messages as say
from aether_load.load.distributed.cluster_socket import locust_message


class MasterLink:
    """A worker's way to its master; `end` ends this worker, for a reason that its user is told."""

    def __init__(self, runner: Any, end: Callable[[str, ExitCode], None]) -> None:
        """Take Locust's runner, whose socket it is."""
        self._runner = runner
        self._process = psutil.Process()
        self.end = end

    def send(self, message: say.Message) -> None:
        """Send the master a message; where that is refused for long the master is as good as gone."""
        try:
            self._runner.client.send(locust_message(message, self._runner.client_id))
        except RPCError as error:
            self.end(f"the master cannot be reached any more ({error}).", ExitCode.INVALID)

    def send_process_usage(self) -> None:
        """Tell what this process has taken so far."""
        self.send(say.ProcessUsage(monotonic_ns(), process_time(), self._process.memory_info().rss))

    def send_statistics(self) -> None:
        """Have Locust's own numbers on their way before anything that is said later."""
        self._runner._send_stats()  # noqa: SLF001 -- Locust sends them each three seconds, and has no other way
