"""Check a runtime's URL, find out whether it is healthy, and which generation it is."""

from __future__ import annotations

import re
import ssl
import time
import warnings
from collections.abc import Mapping
from typing import Any

import msgspec
import urllib3

from aether_load.errors import TargetError, UsageError
from aether_load.protocol import CACHE_STATS_PATH, EXECUTE_PATH, HEALTH_PATH, Generation
from aether_load.redaction import foreign_text, hidden_url
from aether_load.time_limit import TimeLimit
from aether_load.tls import TlsSettings, may_be_refused, refused_handshake

PROBE_TIMEOUT_S = 1.5
_LIMIT_S = 4.0
SIMULATOR_HEADER = "x-aether-load-simulator"
"""Every answer of the simulator has this header. Its name is ours, because many proxies replace `Server`."""

_BODY_LIMIT = 64 * 1024
_NOT_IN_A_HOST = re.compile(r"""[\s"%<>\\^`{|}]""")
_NO_TEXT = re.compile("[\udc80-\udcff]")
_MISSING_FIELD = re.compile(r"missing field [`'\"]?(dag|nodes)\b")


class TargetFacts(msgspec.Struct, frozen=True):
    """What a probe found: the base URL, encoded and without a trailing slash, the generation, and the server."""

    url: str
    generation: Generation
    simulated: bool
    server: str | None


def encoded_url(text: str) -> urllib3.util.Url:
    """Return a URL in the form in which every client sends it; raises ValueError with half a sentence.

    In the path, `.` and `..` are resolved, and every character that a URL may not hold is percent-encoded. A host name
    that is not ASCII is written in IDNA. Encoding twice changes nothing.
    """
    # A word of a command line may hold bytes that are no text; in a path they are encoded as they are.
    text = _NO_TEXT.sub(lambda byte: f"%{ord(byte[0]) - 0xDC00:02X}", text.strip())
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in text):
        raise ValueError("it holds a control character")
    try:
        url = urllib3.util.parse_url(text)
    except urllib3.exceptions.LocationParseError:
        raise ValueError("that is no URL") from None
    if url.scheme not in {"http", "https"} or not url.host or url.port == 0:
        raise ValueError("that is no URL of HTTP")
    if not url.host.startswith("[") and _NOT_IN_A_HOST.search(url.host):
        raise ValueError("that is no URL of HTTP")
    return url


def check_url(text: str, option: str = "--host") -> str:
    """Return a target's base URL, encoded, without a trailing slash; raises UsageError, which names `option`."""
    try:
        url = encoded_url(text)
    except ValueError:
        shown = hidden_url(text)
        raise UsageError(f"{option} {shown}: not a URL of a runtime; give one such as http://127.0.0.1:3000.") from None
    if url.query is not None or url.fragment is not None or url.auth is not None:
        raise UsageError(
            f"{option} {hidden_url(text)}: only scheme, host, port and path belong there; a password goes into "
            "a header."
        )
    return url.url.rstrip("/")


def probe(
    url: str, headers: Mapping[str, str] | None = None, *, tls: TlsSettings | None = None, option: str = "--host"
) -> TargetFacts:
    """Find out whether a healthy runtime answers at `url`, and which; raises TargetError within 5 s if not.

    A runtime refuses an empty object, which runs nothing and counts nothing, and names the field that it misses: this
    tells the generation. Where a proxy rewrites refusals, the cache endpoints tell it.
    """
    url = check_url(url, option)
    tls = tls or TlsSettings()
    # The report says once that certificates were not verified; urllib3 would warn at every request.
    warnings.simplefilter("ignore", urllib3.exceptions.InsecureRequestWarning)
    limit = TimeLimit()
    with urllib3.PoolManager(
        retries=False,
        timeout=urllib3.Timeout(total=PROBE_TIMEOUT_S),
        headers=dict(headers or {}),
        **pool_options(url, tls),
    ) as pool:
        pool.pool_classes_by_scheme = limit.pool_classes
        try:
            with limit.within(_LIMIT_S):
                health, _ = _ask(pool, "GET", url + HEALTH_PATH)
                if health.status != 200:
                    raise TargetError(
                        f"The runtime at {url} is not healthy: GET {HEALTH_PATH} answered {health.status}."
                    )
                generation = _generation(pool, url)
        except urllib3.exceptions.HTTPError as error:
            raise TargetError(
                f"No runtime can be reached at {url} ({_reason(error, url, tls)}). Start it there, "
                + (
                    "say where it is with --host, or leave --host away to use the simulated runtime."
                    if option == "--host"
                    else f"or say where it is with {option}."
                )
            ) from None
    simulated = SIMULATOR_HEADER in health.headers
    server = health.headers.get("server")
    return TargetFacts(url, generation, simulated, None if server is None else foreign_text(server))


def pool_options(url: str, tls: TlsSettings) -> dict[str, Any]:
    """Return the options of urllib3's pools for a URL; raises UsageError for a file that cannot be used."""
    if not url.startswith("https:"):
        return {}
    if tls.verify:
        return {"ssl_context": tls.context()}
    # urllib3 looks at the name by itself, too.
    return {"ssl_context": tls.context(), "cert_reqs": "CERT_NONE", "assert_hostname": False}


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


def _reason(error: urllib3.exceptions.HTTPError, url: str, tls: TlsSettings) -> str:
    if isinstance(error, urllib3.exceptions.NameResolutionError):
        return "its name is not known"
    if isinstance(error, urllib3.exceptions.NewConnectionError):
        return "connection refused or no route"
    if isinstance(error, urllib3.exceptions.TimeoutError):
        return f"no answer within {PROBE_TIMEOUT_S} s"
    if isinstance(error, urllib3.exceptions.ProtocolError):
        may_want = may_be_refused(tls) if url.startswith("https:") else ""
        return f"what answers there closes the connection or does not speak HTTP{may_want}"
    if isinstance(error, urllib3.exceptions.SSLError):
        cause = error.args[0] if error.args else error
        return refused_handshake(cause, tls) if isinstance(cause, ssl.SSLError) else f"TLS: {foreign_text(str(error))}"
    return foreign_text(str(error)) or type(error).__name__
