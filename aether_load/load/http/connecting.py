"""Make a connection to an endpoint."""

from __future__ import annotations

import ssl

import gevent
from gevent import socket as gsocket
from gevent import ssl as gssl

from aether_load.load.http.endpoint import Endpoint
from aether_load.load.http.errors import ConnectError, TimedOut
from aether_load.tls import refused_handshake


def connect(endpoint: Endpoint, timeout_s: float) -> gsocket.socket:
    """Return a connected socket, its TLS handshake done; raises ConnectError or TimedOut."""
    # One limit for the name's look-up, all of its addresses, and the TLS handshake.
    limit = gevent.Timeout(timeout_s)
    try:
        with limit:
            return _socket_to(endpoint)
    except gevent.Timeout as raised:
        if raised is not limit:
            raise
        raise TimedOut(f"no connection within {timeout_s:g} s") from None
    except ssl.SSLError as error:
        why = refused_handshake(error, endpoint.tls_settings)
        raise ConnectError(f"no connection: {why}") from None
    except (OSError, ValueError) as error:
        # A name that cannot be written in DNS is a ValueError.
        raise ConnectError(f"no connection: {reason_of(error)}") from None


def _socket_to(endpoint: Endpoint) -> gsocket.socket:
    connected = gsocket.create_connection((endpoint.host, endpoint.port), timeout=None)
    try:
        connected.setsockopt(gsocket.IPPROTO_TCP, gsocket.TCP_NODELAY, 1)
        if endpoint.tls:
            connected = endpoint.tls_settings.context(gssl.SSLContext).wrap_socket(
                connected, server_hostname=endpoint.host, do_handshake_on_connect=False
            )
            connected.do_handshake()
    except BaseException:
        connected.close()
        raise
    return connected


def reason_of(error: Exception) -> str:
    """Return what an error of a socket says."""
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
