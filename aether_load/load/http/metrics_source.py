"""Read the server's metrics, at the target itself or at a URL of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from aether_load.load.http.connection import Connection, TransportError
from aether_load.load.http.connection_stats import ConnectionStats
from aether_load.load.http.endpoint import Endpoint
from aether_load.protocol import METRICS_PATH
from aether_load.redaction import REDACTOR, hidden_url
from aether_load.response import compression_of
from aether_load.runtime_client import encoded_url

if TYPE_CHECKING:
    from aether_load.scenario.scenario import Target

MOST_METRICS_BYTES = 16 << 20


class MetricsSource:
    """Reads one URL on a keep-alive connection of its own, within `target.server_metrics_timeout` each time.

    The target's headers and the client's certificate go to the target's own origin and to no other.
    """

    def __init__(self, endpoint: Endpoint, target: Target) -> None:
        self._name = METRICS_PATH
        path = METRICS_PATH
        if target.server_metrics_url is not None:
            self._name = hidden_url(target.server_metrics_url)
            url = encoded_url(target.server_metrics_url)
            other = Endpoint.of(url.url, tls=target.tls.without_identity())
            same = (other.host, other.port, other.tls) == (endpoint.host, endpoint.port, endpoint.tls)
            endpoint = msgspec.structs.replace(endpoint if same else other, base_path="")
            path = url.request_uri
        self._request = endpoint.request_bytes("GET", path)
        self._connection = Connection(
            endpoint,
            ConnectionStats(),
            connect_timeout_s=target.server_metrics_timeout,
            answer_timeout_s=target.server_metrics_timeout,
            most_response_bytes=MOST_METRICS_BYTES,
        )

    def read(self) -> tuple[str | None, str | None]:
        """Return the text that came, or None and why none did."""
        try:
            status, body = self._connection.exchange(self._request)
        except TransportError as failure:
            return None, str(failure)
        if status != 200:
            return None, f"GET {self._name} answered {status}"
        if (compression := compression_of(body)) is not None:
            return None, f"GET {self._name}: {compression}"
        return REDACTOR.redact_metrics(body.decode(errors="replace")), None

    def close(self) -> None:
        """Hang up."""
        self._connection.close()
