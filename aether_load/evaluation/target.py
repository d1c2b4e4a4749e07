"""Send an evaluation's requests: blocking HTTP, one kept-alive connection a thread."""

from __future__ import annotations

import re
import ssl
import threading
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import msgspec
import urllib3

from aether_load.observer.messages import MetricsTarget
from aether_load.protocol import EXECUTE_PATH, METRICS_PATH, Outcome
from aether_load.redaction import foreign_text
from aether_load.runtime_client import TargetFacts, pool_options
from aether_load.time_limit import TimeLimit
from aether_load.tls import TlsSettings, refused_handshake

ANSWER_NODE = "answer"
"""The one node of every request's DAG."""

_MOST_READ_BYTES = 65536
_MOST_RESPONSE_BYTES = 64 << 20
_LONGEST_PAUSE_S = 30.0
_SHORTEST_PAUSE_S = 0.5
_RATE_LIMITED = re.compile(r"Rate limited: retry after (\d+)s")
_REFUSED_FOR_NOW = (429, 503)


class Exchange(msgspec.Struct, frozen=True):
    """The result of one attempt: a whole HTTP answer, or how it failed; `never_began` when no byte was sent."""

    status: int | None = None
    body: bytes = b""
    retry_after: str | None = None
    failure: Outcome | None = None
    reason: str = ""
    never_began: bool = False


class Target:
    """Sends requests to one runtime; every thread has a connection of its own, so that none waits for another's."""

    def __init__(
        self,
        facts: TargetFacts,
        headers: dict[str, str],
        *,
        tls: TlsSettings,
        connect_timeout_s: float,
        request_timeout_s: float,
    ) -> None:
        self.facts = facts
        self._headers = {"User-Agent": "aether-load", **headers}
        self._tls = tls
        self._base_path = urlsplit(facts.url).path
        self._connect_timeout_s = connect_timeout_s
        self._request_timeout_s = request_timeout_s
        self._own = _Connection(facts.url, pool_options(facts.url, tls))

    def execute(self, body: bytes) -> Exchange:
        """Send one request to /execute and return what came of it."""
        timeout = urllib3.Timeout(connect=self._connect_timeout_s, read=self._request_timeout_s)
        headers = {**self._headers, "Content-Type": "application/json"}
        late = Exchange(failure=Outcome.TIMEOUT, reason=f"no whole answer within {self._request_timeout_s:g} s")
        due = monotonic() + self._request_timeout_s
        try:
            with self._own.limit.within(self._request_timeout_s):
                answer = self._own.pool.urlopen(
                    "POST", self._base_path + EXECUTE_PATH, body=body, headers=headers, timeout=timeout, retries=False,
                    redirect=False, preload_content=False,
                )  # fmt: skip
                whole = _body(answer)
        except (urllib3.exceptions.ConnectTimeoutError, urllib3.exceptions.NewConnectionError) as error:
            return Exchange(failure=Outcome.CONNECTION_ERROR, reason=self._reason(error), never_began=True)
        except urllib3.exceptions.HTTPError as error:
            if isinstance(error, urllib3.exceptions.TimeoutError) or monotonic() >= due:
                return late
            return Exchange(failure=Outcome.CONNECTION_ERROR, reason=f"connection lost: {self._reason(error)}")
        if whole is None:
            why = f"the answer goes on beyond the limit of {_MOST_RESPONSE_BYTES} bytes"
            return Exchange(failure=Outcome.INVALID_RESPONSE, reason=why)
        if monotonic() >= due:
            # An answer that ends where its connection does would pass for a whole one.
            return late
        return Exchange(status=answer.status, body=whole, retry_after=answer.headers.get("Retry-After"))

    def metrics_target(self) -> MetricsTarget:
        """Return where the runtime's metrics are read."""
        parts = urlsplit(self.facts.url)
        return MetricsTarget(
            url=self.facts.url + METRICS_PATH,
            headers=self._headers,
            tls=self._tls,
            host=parts.hostname or "",
            port=parts.port or (443 if parts.scheme == "https" else 80),
        )

    def _reason(self, error: urllib3.exceptions.HTTPError) -> str:
        cause = error.args[0] if error.args else None
        return refused_handshake(cause, self._tls) if isinstance(cause, ssl.SSLError) else _reason(error)


class _Connection(threading.local):
    """A thread's own connection, kept alive from one exchange to the next."""

    def __init__(self, url: str, options: dict[str, Any]) -> None:
        self.limit = TimeLimit()
        parsed = urllib3.util.parse_url(url)
        pool_class = self.limit.pool_classes[parsed.scheme or "http"]
        self.pool: urllib3.HTTPConnectionPool = pool_class(parsed.host, port=parsed.port, maxsize=1, **options)


def _body(answer: urllib3.BaseHTTPResponse) -> bytes | None:
    """Return an answer's body, None for one that is larger than the limit."""
    parts: list[bytes] = []
    received = 0
    while part := answer.read1(_MOST_READ_BYTES):
        parts.append(part)
        received += len(part)
        if received > _MOST_RESPONSE_BYTES:
            answer.close()
            return None
    answer.release_conn()
    return b"".join(parts)


def pause_before_retry(exchange: Exchange, outcome: Outcome, reason: str | None, attempt: int) -> float | None:
    """Return the seconds to wait before a request is sent again, None where that is not safe.

    It is safe where nothing was generated: no connection came about, the target refused for now (429, 503), or
    the provider did. A request that may have run is not repeated: its nodes would be paid and counted twice.
    """
    backoff: float = min(_LONGEST_PAUSE_S, _SHORTEST_PAUSE_S * 2**attempt)
    if exchange.never_began:
        return backoff
    if exchange.status in _REFUSED_FOR_NOW:
        said = exchange.retry_after or ""
        return min(_LONGEST_PAUSE_S, float(said)) if said.isascii() and said.isdigit() else backoff
    if outcome is Outcome.NODE_ERROR and (limited := _RATE_LIMITED.search(reason or "")):
        return min(_LONGEST_PAUSE_S, float(limited[1]))
    return None


def _reason(error: Exception) -> str:
    text = str(error.args[-1] if error.args else error)
    # urllib3 begins with the connection's own repr, an address in memory that differs in every message.
    return foreign_text(re.sub(r"^(<[^>]*>|HTTPS?Connection\([^)]*\)): ", "", text)) or type(error).__name__
