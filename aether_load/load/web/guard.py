"""Refuse what another web page makes a browser send to this one.

A name that is not this page's own is how DNS rebinding shows; a foreign `Origin` or `Sec-Fetch-Site` is how another
page's script or form does. A program such as curl or Prometheus sends neither, and needs a right `Host` alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

import msgspec

from aether_load.scenario.command_line.option_values import HOST, bracketed

_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_EVERY_INTERFACE = ("", "*")
_DEFAULT_PORT = {"http": "80", "https": "443"}
_OWN_SITE = ("same-origin", "none")


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What of a request tells where it comes from; `may_be_opened` says that a link elsewhere may lead there."""

    method: str = "GET"
    host: str | None = None
    origin: str | None = None
    site: str | None = None
    mode: str | None = None
    destination: str | None = None
    may_be_opened: bool = False


class Guard:
    """The names that this process's pages answer to."""

    def __init__(self, web_host: str, allowed: Iterable[str]) -> None:
        """Take --web-host and the names of --web-allowed-host, which `host_name` has read."""
        self._allowed = {_parsed(name) for name in allowed}
        own = [] if web_host in _EVERY_INTERFACE else [bracketed(web_host.lower())]
        self._names = {*_LOOPBACK, *own, *(name for name, _ in self._allowed)}

    def refusal(self, request: Request) -> str | None:
        """Return why a request is refused, in one sentence, or None."""
        host = _parsed((request.host or "").lower())
        if host[0] not in self._names:
            return (
                "This page answers requests to " + ", ".join(sorted(self._names)) + " only; start with "
                "--web-allowed-host NAME to have it answer to another name."
            )
        if self._is_foreign(request, host) and not _opens_a_page(request):
            return "This request was made by another web page, which may neither read nor change what is here."
        return None

    def _is_foreign(self, request: Request, host: tuple[str, str | None]) -> bool:
        if request.origin is not None:
            origin = _of_origin(request.origin)
            # A proxy may put its own name in place of the one that the browser asked for.
            return origin is None or not (_same(origin, host) or any(_same(origin, name) for name in self._allowed))
        return request.site is not None and request.site not in _OWN_SITE


def _opens_a_page(request: Request) -> bool:
    """Tell whether a browser follows a link, in a window of its own and not in a frame of another page."""
    return (
        request.may_be_opened
        and request.method == "GET"
        and request.mode == "navigate"
        and request.destination == "document"
    )


def _parsed(host: str) -> tuple[str, str | None]:
    found = HOST.fullmatch(host)
    return (found["name"], found["port"]) if found else ("", None)


def _of_origin(origin: str) -> tuple[str, str] | None:
    """Return an origin's name and port, None for one that is no page's on the web, such as null."""
    try:
        parts = urlsplit(origin.lower())
    except ValueError:
        return None
    name, port = _parsed(parts.netloc)
    default = _DEFAULT_PORT.get(parts.scheme)
    return (name, port or default) if name and default else None


def _same(origin: tuple[str, str], host: tuple[str, str | None]) -> bool:
    """Tell whether an origin is a host's; without a port it is the default of the origin's scheme."""
    name, port = host
    return origin[0] == name and (origin[1] == port if port is not None else origin[1] in _DEFAULT_PORT.values())
