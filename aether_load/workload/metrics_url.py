"""A URL of the server's metrics, other than the target's own /metrics."""

from __future__ import annotations

from urllib.parse import urlsplit


def metrics_url_mistake(url: str) -> str | None:
    """Return what is wrong with a metrics URL, in half a sentence, or None."""
    try:
        parts = urlsplit(url)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError:
        return "that is no URL"
    if parts.scheme not in {"http", "https"} or not parts.hostname or not port_is_fine:
        return "that is no URL of metrics; give one such as http://127.0.0.1:9100/metrics"
    if parts.username or parts.fragment:
        return "a user, a password or a fragment does not belong there"
    if not parts.path.strip("/"):
        return "its path is missing, which is /metrics most likely"
    if not url.isascii() or any(character.isspace() for character in url):
        return "it holds a character that no URL has"
    return None
