"""Set up TLS to a target: whom to trust, and which certificate to show."""

from __future__ import annotations

import functools
import ssl
from typing import Any, NoReturn

import msgspec

from aether_load.errors import UsageError, explained

_WANTS_CERTIFICATE = "TLSV13_ALERT_CERTIFICATE_REQUIRED"
_WRONG_NAME = (62, 64)
"""OpenSSL's codes for a certificate of another host or address, which no authority would mend."""
_GIVE_BOTH = "give --client-cert and --client-key"


class TlsSettings(msgspec.Struct, frozen=True):
    """How a target's certificate is verified, and the files of the client's own certificate and key.

    `ca_file` takes the place of the machine's trusted authorities. A certificate's file may hold its key too.
    """

    verify: bool = True
    ca_file: str | None = None
    client_cert: str | None = None
    client_key: str | None = None

    def without_identity(self) -> TlsSettings:
        """Return the settings for a server that the client's certificate is not shown to."""
        return msgspec.structs.replace(self, client_cert=None, client_key=None)

    def context(self, kind: Any = ssl.SSLContext) -> ssl.SSLContext:
        """Return this process's context, gevent's kind or the standard one; raises UsageError for a bad file."""
        return tls_context(self, kind)


@functools.cache
def tls_context(settings: TlsSettings, kind: Any) -> ssl.SSLContext:
    """Return the one context of these settings; reading trusted certificates for each connection would take long."""
    context: ssl.SSLContext = kind(ssl.PROTOCOL_TLS_CLIENT)
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif settings.ca_file is None:
        context.load_default_certs()
    else:
        _load_authorities(context, settings.ca_file)
    if settings.client_cert is not None:
        _load_identity(context, settings.client_cert, settings.client_key)
    return context


def _load_authorities(context: ssl.SSLContext, path: str) -> None:
    try:
        context.load_verify_locations(path)
    except ssl.SSLError:
        raise UsageError(f"--ca-file {path}: it holds no certificate in PEM format.") from None
    except OSError as error:
        raise UsageError(f"--ca-file {path}: it cannot be read: {error.strerror}.") from None


def _load_identity(context: ssl.SSLContext, cert: str, key: str | None) -> None:
    for option, path in (("--client-cert", cert), ("--client-key", key)):
        with explained(f"{option} {path}: it cannot be read: "):
            if path is not None:
                open(path, "rb").close()  # noqa: PTH123 -- only whether it can be read
    try:
        context.load_cert_chain(cert, key, password=_refuse_password)
    except _EncryptedKey:
        raise UsageError(f"--client-key {key or cert}: the key is encrypted; give one without a passphrase.") from None
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise UsageError(f"--client-key {key or cert}: it is not the key of --client-cert {cert}.") from None
        if key is None:
            raise UsageError(
                f"--client-cert {cert}: it does not hold a certificate and its key in PEM format; give the key with "
                "--client-key."
            ) from None
        raise UsageError(
            f"--client-cert {cert} and --client-key {key}: they do not hold a certificate and its key in PEM format."
        ) from None


class _EncryptedKey(Exception):
    """A key that OpenSSL would ask for a passphrase of at the terminal."""


def _refuse_password() -> NoReturn:
    raise _EncryptedKey


def refused_handshake(error: ssl.SSLError, settings: TlsSettings) -> str:
    """Return what is wrong with a handshake, and the option that mends it, in half a sentence."""
    if isinstance(error, ssl.SSLCertVerificationError):
        why = f"the certificate is not trusted: {error.verify_message}"
        if error.verify_code in _WRONG_NAME:
            return why
        return f"{why}; name its authority with --ca-file" if settings.ca_file is None else f"{why} (--ca-file)"
    reason = error.reason or ""
    plain = reason.lower().replace("_", " ")
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return f"the target closes the TLS connection{may_be_refused(settings)}"
    if "ALERT" not in reason:
        return f"TLS: {plain or type(error).__name__}"
    if settings.client_cert is not None:
        return f"the target refuses the certificate of --client-cert ({plain})"
    if reason == _WANTS_CERTIFICATE:
        return f"the target wants a client certificate: {_GIVE_BOTH}"
    return f"the target refuses the handshake ({plain}){may_be_refused(settings)}"


def may_be_refused(settings: TlsSettings) -> str:
    """Return the end of a sentence about a connection that the target closed without any TLS message."""
    if settings.client_cert is None:
        return f"; where it wants a client certificate, {_GIVE_BOTH}"
    return "; it may be that the target refuses the certificate of --client-cert"
