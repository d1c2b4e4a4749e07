"""Show headers and the client's certificate to the runtimes that the command line names, and to no other server."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from aether_load.scenario.command_line.headers import filled_in
from aether_load.scenario.scenario import Target
from aether_load.tls import TlsSettings

_DEFAULT_PORT = {"http": 80, "https": 443}


class Credentials:
    """A scenario's headers, which may hold secrets, and its client certificate; `urls` are where they go."""

    def __init__(self, target: Target, urls: Iterable[str]) -> None:
        """Fill in the headers; raises UsageError for what no header can be."""
        self._headers = target.headers
        self._filled = filled_in(target.headers)
        self._tls = target.tls
        self._urls = tuple(urls)
        self._origins = {_origin(url) for url in self._urls}

    def of(self, target: Target) -> Credentials:
        """Return another scenario's credentials for the same URLs."""
        return Credentials(target, self._urls)

    def headers_to(self, url: str) -> dict[str, str]:
        """Return the headers that go to a URL, filled in from the environment."""
        return dict(self._filled) if self._go_to(url) else {}

    def tls_to(self, url: str) -> TlsSettings:
        """Return how TLS to a URL is set up."""
        return self._tls if self._go_to(url) else self._tls.without_identity()

    def headers_as_given(self, url: str) -> dict[str, str]:
        """Return the headers that go to a URL with the names of variables in place of their values."""
        return dict(self._headers) if self._go_to(url) else {}

    def withheld_from(self, url: str) -> str | None:
        """Return a sentence about the headers that do not go to a URL, None where they do or there are none."""
        return None if self._go_to(url) else self.limits

    @property
    def limits(self) -> str | None:
        """Return a sentence that says where the headers go, None where there are none."""
        if not self._headers:
            return None
        urls = " and ".join(sorted(f"{scheme}://{host}:{port}" for scheme, host, port in self._origins))
        names = ", ".join(self._headers)
        return f"The headers of the command line ({names}) are sent to {urls} only; a runtime elsewhere gets none."

    def _go_to(self, url: str) -> bool:
        return _origin(url) in self._origins


def _origin(url: str) -> tuple[str, str, int]:
    """Return the origin (scheme, host and port) of a URL that was checked."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _DEFAULT_PORT[parts.scheme]
