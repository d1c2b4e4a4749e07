"""Add headers to requests to the runtimes that the command line names, and to no other server."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from aether_load.scenario.command_line.headers import filled_in

_DEFAULT_PORT = {"http": 80, "https": 443}


class TargetHeaders:
    """A scenario's headers, which may hold secrets, and the origins (scheme, host and port) that they go to."""

    def __init__(self, headers: Mapping[str, str], origins: frozenset[tuple[str, str, int]] = frozenset()) -> None:
        """Fill in the headers; raises UsageError for what no header can be."""
        self._headers = dict(headers)
        self._filled = filled_in(headers)
        self._origins = origins

    def allow(self, url: str) -> None:
        """Let them go to the origin of a URL that the command line names."""
        self._origins |= {_origin(url)}

    def of_scenario(self, headers: Mapping[str, str]) -> TargetHeaders:
        """Return another scenario's headers for the same origins."""
        return TargetHeaders(headers, self._origins)

    def sent_to(self, url: str) -> dict[str, str]:
        """Return the headers that go to a URL, filled in from the environment."""
        return dict(self._filled) if self.go_to(url) else {}

    def as_given(self, url: str) -> dict[str, str]:
        """Return the headers that go to a URL with the names of variables in place of their values."""
        return dict(self._headers) if self.go_to(url) else {}

    def withheld_from(self, url: str) -> str | None:
        """Return a sentence about the headers that do not go to a URL, None where they do or there are none."""
        return None if self.go_to(url) else self.limits

    @property
    def limits(self) -> str | None:
        """Return a sentence that says where the headers go, None where there are none."""
        if not self._headers:
            return None
        urls = " and ".join(sorted(f"{scheme}://{host}:{port}" for scheme, host, port in self._origins))
        names = ", ".join(self._headers)
        return f"The headers of the command line ({names}) are sent to {urls} only; a runtime elsewhere gets none."

    def go_to(self, url: str) -> bool:
        """Tell whether a URL is of an origin that the command line names."""
        return _origin(url) in self._origins


def _origin(url: str) -> tuple[str, str, int]:
    """Return the origin of a URL that was checked."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _DEFAULT_PORT[parts.scheme]
