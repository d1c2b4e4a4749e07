"""The ways in which an exchange fails."""

from __future__ import annotations


class TransportError(Exception):
    """An exchange without a whole answer; the text says what happened."""


class ConnectError(TransportError):
    """No connection could be made."""


class TimedOut(TransportError):
    """It took longer than its limit."""


class ConnectionLost(TransportError):
    """The other side closed or reset the connection while an answer was due."""


class NotHttp(TransportError):
    """What came back is no HTTP/1.1 answer to the request, or is too large."""
