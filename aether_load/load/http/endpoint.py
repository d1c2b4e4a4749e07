"""Define where requests go, and write the bytes of a request."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from aether_load.runtime_client import encoded_url
from aether_load.tls import TlsSettings


class Endpoint(msgspec.Struct, frozen=True):
    """Host and port of a target, whether it speaks TLS, and the path before that of every request.

    `headers` go with every request. They may hold secrets, so no text quotes them.
    """

    host: str
    port: int
    tls: bool
    base_path: str
    headers: tuple[tuple[str, str], ...] = ()
    tls_settings: TlsSettings = TlsSettings()

    @classmethod
    def of(cls, url: str, headers: Mapping[str, str] | None = None, tls: TlsSettings | None = None) -> Endpoint:
        """Return the endpoint of a base URL; raises ValueError for what is none."""
        parts = encoded_url(url)
        is_tls = parts.scheme == "https"
        assert parts.host is not None
        return cls(
            parts.host.strip("[]"),
            parts.port or (443 if is_tls else 80),
            is_tls,
            (parts.path or "").rstrip("/"),
            tuple((headers or {}).items()),
            tls or TlsSettings(),
        )

    @property
    def authority(self) -> str:
        """Return the value of the Host header."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == (443 if self.tls else 80) else f"{name}:{self.port}"

    def request_bytes(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Return a whole request, which may be sent any number of times; `path` is encoded already."""
        lines = [f"{method} {self.base_path}{path} HTTP/1.1", f"Host: {self.authority}"]
        if not any(name.lower() == "user-agent" for name, _ in self.headers):
            lines.append("User-Agent: aether-load")
        lines += [f"{name}: {value}" for name, value in self.headers]
        if body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii") + (body or b"")
