"""Where requests go, and the bytes that each begins with."""

from __future__ import annotations

import functools
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec
from gevent import ssl as gssl


class Endpoint(msgspec.Struct, frozen=True):
    """Where a connection goes: host and port, whether in TLS, and the path in front of every request's own.

    `headers` go with every request; they may hold secrets, so that no text ever quotes them.
    """

    host: str
    port: int
    tls: bool
    base_path: str
    headers: tuple[tuple[str, str], ...] = ()
    verify_tls: bool = True

    @classmethod
    def of(cls, url: str, headers: Mapping[str, str] | None = None, *, verify_tls: bool = True) -> Endpoint:
        """Return the endpoint of a base URL that has been checked."""
        parts = urlsplit(url)
        tls = parts.scheme == "https"
        assert parts.hostname is not None
        return cls(
            parts.hostname,
            parts.port or (443 if tls else 80),
            tls,
            parts.path.rstrip("/"),
            tuple((headers or {}).items()),
            verify_tls,
        )

    @property
    def authority(self) -> str:
        """Return the value of the Host header."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == (443 if self.tls else 80) else f"{name}:{self.port}"

    def request_bytes(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Return a whole request, ready to be sent any number of times."""
        lines = [f"{method} {self.base_path}{path} HTTP/1.1", f"Host: {self.authority}"]
        if not any(name.lower() == "user-agent" for name, _ in self.headers):
            lines.append("User-Agent: aether-load")
        lines += [f"{name}: {value}" for name, value in self.headers]
        if body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + (body or b"")


@functools.cache
def trust(*, verify: bool) -> ssl.SSLContext:
    """Return the process's TLS context: reading the trusted certificates takes too long to do it per connection."""
    # Not create_default_context: it makes gevent's kind of context only in a process that gevent has patched.
    context: ssl.SSLContext = gssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if verify:
        context.load_default_certs()
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
