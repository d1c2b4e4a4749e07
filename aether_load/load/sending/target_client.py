"""One runtime that a run sends to: its requests, its metrics, its process, its cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aether_load.errors import TargetError
from aether_load.load.http.connection import Connection, TransportError
from aether_load.load.http.connection_stats import ConnectionStats
from aether_load.load.http.metrics_source import MetricsSource
from aether_load.load.server_watch import ServerWatch
from aether_load.protocol import CACHE_CLEAR_PATH

if TYPE_CHECKING:
    from aether_load.load.http.endpoint import Endpoint
    from aether_load.load.sending.prepared_requests import PreparedRequests
    from aether_load.rundata.process_usage import ServerReading
    from aether_load.scenario.scenario import Target

CONTROL_TIMEOUT_S = 5.0


class TargetClient:
    """A runtime as one run sees it; a plain run has one of these, a gate two."""

    def __init__(self, endpoint: Endpoint, target: Target, book: PreparedRequests) -> None:
        self.book = book
        self._endpoint = endpoint
        self._target = target
        self._metrics = MetricsSource(endpoint, target)
        self._watch = ServerWatch(endpoint.host, endpoint.port)
        self._control = Connection(
            endpoint, ConnectionStats(), connect_timeout_s=CONTROL_TIMEOUT_S, answer_timeout_s=CONTROL_TIMEOUT_S
        )
        self._clear_request = endpoint.request_bytes("POST", CACHE_CLEAR_PATH, b"")

    def new_connection(self, pool: ConnectionStats) -> Connection:
        """Return a connection of a user's own to this runtime."""
        return Connection(
            self._endpoint,
            pool,
            connect_timeout_s=self._target.connect_timeout,
            answer_timeout_s=self._target.request_timeout,
            most_response_bytes=self._target.max_response_bytes,
        )

    def read_metrics(self) -> tuple[str | None, str | None]:
        """Return the text of /metrics, or None and why there is none."""
        return self._metrics.read()

    def clear_cache(self) -> None:
        """Empty the runtime's cache; raises TargetError when it does not say that it did."""
        try:
            status, _ = self._control.exchange(self._clear_request)
        except TransportError as failure:
            raise TargetError(f"The runtime's cache could not be cleared: {failure}.") from None
        if status != 200:
            raise TargetError(f"The runtime's cache could not be cleared: POST {CACHE_CLEAR_PATH} answered {status}.")

    def find_process(self) -> None:
        """Look for the runtime's process on this machine; not to be done under load."""
        self._watch.find()

    def read_process(self) -> ServerReading | None:
        """Return what the runtime's process has taken so far, if it can be read."""
        return self._watch.read()

    def close(self) -> None:
        """Hang up."""
        self._metrics.close()
        self._control.close()
