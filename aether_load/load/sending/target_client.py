"""Connect to one runtime: its users' connections, its cache, and where its metrics are read."""

from __future__ import annotations

from aether_load.errors import TargetError
from aether_load.load.http.connection import Connection
from aether_load.load.http.connection_stats import ConnectionStats
from aether_load.load.http.endpoint import Endpoint
from aether_load.load.http.errors import TransportError
from aether_load.load.sending.prepared_requests import PreparedRequests
from aether_load.observer.messages import MetricsTarget
from aether_load.protocol import CACHE_CLEAR_PATH, METRICS_PATH, Generation
from aether_load.runtime_client import encoded_url
from aether_load.scenario.scenario import Target

CONTROL_TIMEOUT_S = 5.0


class TargetClient:
    """A runtime as one run sees it; a plain run has one of these, a gate two."""

    def __init__(
        self, endpoint: Endpoint, target: Target, prepared: PreparedRequests, generation: Generation = Generation.V2
    ) -> None:
        self.prepared = prepared
        self.generation = generation
        self.endpoint = endpoint
        self._target = target
        self._control = Connection(
            endpoint, ConnectionStats(), connect_timeout_s=CONTROL_TIMEOUT_S, answer_timeout_s=CONTROL_TIMEOUT_S
        )
        self._clear_request = endpoint.request_bytes("POST", CACHE_CLEAR_PATH, b"")

    def new_connection(self, pool: ConnectionStats) -> Connection:
        """Return a connection of a user's own to this runtime."""
        return Connection(
            self.endpoint,
            pool,
            connect_timeout_s=self._target.connect_timeout,
            answer_timeout_s=self._target.request_timeout,
            most_response_bytes=self._target.max_response_bytes,
        )

    def metrics_target(self) -> MetricsTarget:
        """Return where the runtime's metrics are read.

        The target's headers and the client's certificate go to the target's own origin and to no other.
        """
        endpoint, target = self.endpoint, self._target
        own = f"{'https' if endpoint.tls else 'http'}://{endpoint.authority}"
        url, headers, tls = f"{own}{endpoint.base_path}{METRICS_PATH}", dict(endpoint.headers), endpoint.tls_settings
        if target.server_metrics_url is not None:
            url = encoded_url(target.server_metrics_url).url
            other = Endpoint.of(url)
            if (other.host, other.port, other.tls) != (endpoint.host, endpoint.port, endpoint.tls):
                headers, tls = {}, tls.without_identity()
        return MetricsTarget(
            url=url,
            headers=headers,
            tls=tls,
            host=endpoint.host,
            port=endpoint.port,
            timeout_s=float(target.server_metrics_timeout),
        )

    def clear_cache(self) -> None:
        """Empty the runtime's cache; raises TargetError when it does not say that it did."""
        try:
            status, _ = self._control.exchange(self._clear_request)
        except TransportError as failure:
            raise TargetError(f"The runtime's cache could not be cleared: {failure}.") from None
        if status != 200:
            raise TargetError(f"The runtime's cache could not be cleared: POST {CACHE_CLEAR_PATH} answered {status}.")

    def close(self) -> None:
        """Close the connections."""
        self._control.close()
