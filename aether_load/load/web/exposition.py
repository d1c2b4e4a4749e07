"""Serve the live figures to Prometheus, on the page's port or on one of their own."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from typing import Any

from gevent import pywsgi

from aether_load.errors import AetherLoadError, UsageError
from aether_load.load.web.guard import Guard, Request
from aether_load.redaction import sentence_of

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PATHS = ("/metrics", "/aether/metrics")


def serve(text: Callable[[], bytes], host: str, port: int, guard: Guard) -> pywsgi.WSGIServer:
    """Serve the metrics, and nothing else, on a port of their own; raises UsageError where that port is taken."""

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        asked = Request(
            host=environ.get("HTTP_HOST"), origin=environ.get("HTTP_ORIGIN"), site=environ.get("HTTP_SEC_FETCH_SITE")
        )
        if (refusal := guard.refusal(asked)) is not None:
            start_response("403 Forbidden", [("Content-Type", "text/plain")])
            return [f"{refusal}\n".encode()]
        if environ["PATH_INFO"] not in _PATHS or environ["REQUEST_METHOD"] not in {"GET", "HEAD"}:
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"There is only /metrics here.\n"]
        try:
            body = text()
        except AetherLoadError as error:
            start_response("503 Service Unavailable", [("Content-Type", "text/plain")])
            return [f"{sentence_of(error)}\n".encode()]
        start_response("200 OK", [("Content-Type", CONTENT_TYPE)])
        return [body]

    server = pywsgi.WSGIServer((host, port), answer, log=None, error_log=logging.getLogger("aether_load"))
    try:
        server.start()
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        raise UsageError(f"--prometheus-port {port}: it cannot be had on {host or 'every interface'}: {why}.") from None
    return server
