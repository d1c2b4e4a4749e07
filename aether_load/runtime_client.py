"""A runtime's quieter endpoints: is it there, is it well, which generation is it."""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec
import urllib3

from aether_load.errors import TargetError, UsageError
from aether_load.protocol import CACHE_STATS_PATH, EXECUTE_PATH, HEALTH_PATH, Generation
from aether_load.redaction import foreign_text, hidden_url

PROBE_TIMEOUT_S = 1.5
SIMULATOR_HEADER = "x-aether-load-simulator"
"""Every answer of the simulator has this header. Its name is ours, because many proxies replace `Server`."""

_BODY_LIMIT = 64 * 1024
_MISSING_FIELD = re.compile(r"missing field [`'\"]?(dag|nodes)\b")


class TargetFacts(msgspec.Struct, frozen=True):
    """What a probe found out: the base URL without a trailing slash, the generation, and who answers."""

    url: str
    generation: Generation
    simulated: bool
    server: str | None


def check_url(url: str, option: str = "--host") -> str:
    """Return a target's base URL in plain form; raises UsageError, which names `option`, for what is none."""
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        is_url = False
    if not is_url:
        shown = hidden_url(url)
        raise UsageError(f"{option} {shown}: not a URL of a runtime; give one such as http://127.0.0.1:3000.")
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise UsageError(
            f"{option} {hidden_url(url)}: only scheme, host, port and path belong there; a password goes into a header."
        )
    return url.rstrip("/")


def probe(
    url: str, headers: Mapping[str, str] | None = None, *, verify_tls: bool = True, option: str = "--host"
) -> TargetFacts:
    """Find out whether a healthy runtime answers at `url`, and which; raises TargetError within 5 s if not.

    The generation shows in how the runtime refuses an empty body, which runs nothing and counts nothing: it
    names the field that it misses. Where something in between rewrites refusals, the cache endpoints tell.
    """
    url = check_url(url, option)
    # The report says that certificates were not verified; urllib3 would say it at every request.
    warnings.simplefilter("ignore", urllib3.exceptions.InsecureRequestWarning)
    with urllib3.PoolManager(
        retries=False,
        timeout=urllib3.Timeout(total=PROBE_TIMEOUT_S),
        headers=dict(headers or {}),
        cert_reqs="CERT_REQUIRED" if verify_tls else "CERT_NONE",
        assert_hostname=None if verify_tls else False,
    ) as pool:
        try:
            health, _ = _ask(pool, "GET", url + HEALTH_PATH)
            if health.status != 200:
                raise TargetError(f"The runtime at {url} is not healthy: GET {HEALTH_PATH} answered {health.status}.")
            generation = _generation(pool, url)
        except urllib3.exceptions.HTTPError as error:
            raise TargetError(
                f"No runtime can be reached at {url} ({_reason(error)}). Start it there, "
                + (
                    "say where it is with --host, or leave --host away to use the simulated runtime."
                    if option == "--host"
                    else f"or say where it is with {option}."
                )
            ) from None
    simulated = SIMULATOR_HEADER in health.headers
    server = health.headers.get("server")
    return TargetFacts(url, generation, simulated, None if server is None else foreign_text(server))


def _ask(pool: urllib3.PoolManager, method: str, url: str, **more: Any) -> tuple[urllib3.BaseHTTPResponse, bytes]:
    """Send a request; return the answer and the first bytes of its body, whatever comes after them."""
    answer = pool.request(method, url, redirect=False, preload_content=False, **more)
    ends = time.monotonic() + PROBE_TIMEOUT_S
    body = b""
    while len(body) < _BODY_LIMIT and time.monotonic() < ends and (piece := answer.read1(_BODY_LIMIT)):
        body += piece
    answer.close()
    return answer, body


def _generation(pool: urllib3.PoolManager, url: str) -> Generation:
    headers = {**pool.headers, "Content-Type": "application/json"}
    refusal, body = _ask(pool, "POST", url + EXECUTE_PATH, body=b"{}", headers=headers)
    if refusal.status == 422 and (missing := _MISSING_FIELD.search(body.decode(errors="replace"))):
        return Generation.V2 if missing.group(1) == "dag" else Generation.V1
    if refusal.status in {400, 422}:
        stats, _ = _ask(pool, "GET", url + CACHE_STATS_PATH)
        if stats.status in {200, 404}:
            return Generation.V2 if stats.status == 200 else Generation.V1
    raise TargetError(
        f"What answers at {url} is not an Aether runtime: POST {EXECUTE_PATH} with an empty object was answered "
        f"{refusal.status}, where a runtime refuses it with 422."
    )


def _reason(error: urllib3.exceptions.HTTPError) -> str:
    if isinstance(error, urllib3.exceptions.NameResolutionError):
        return "its name is not known"
    if isinstance(error, urllib3.exceptions.NewConnectionError):
        return "connection refused or no route"
    if isinstance(error, urllib3.exceptions.TimeoutError):
        return f"no answer within {PROBE_TIMEOUT_S} s"
    if isinstance(error, urllib3.exceptions.ProtocolError):
        return "what answers there closes the connection or does not speak HTTP"
    if isinstance(error, urllib3.exceptions.SSLError):
        return f"TLS: {foreign_text(str(error))}"
    return foreign_text(str(error)) or type(error).__name__
