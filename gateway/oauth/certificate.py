"""Know the client certificate of the connection that a request came over (RFC 8705 §3).

    uvicorn ends TLS    gateway.http.tls puts the peer's certificate into the scope
    a proxy ends TLS    it sends the certificate along; gateway.http.client_certificate lets that
                        header in from the one configured hop and refuses it from anyone else

Either way what counts is the thumbprint, and whether the party's signed key list has it.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final
from urllib.parse import unquote_to_bytes

from fastapi import Request

from adapters.kit.certificates import certificate_thumbprint

# What nginx calls $ssl_client_escaped_cert, under the name that ingress-nginx gives it
# (docs/decisions/0007-client-certificate-header.md).
HEADER: Final = b"ssl-client-cert"
# Where the certificate of the connection is kept: DER bytes, already seen by whoever ended TLS.
CERTIFICATE_SCOPE_KEY: Final = "dossierpoort.client_certificate"
_MAX_HEADER_BYTES = 16 * 1024
# One certificate and nothing beside it: a chain would leave open which of them is meant.
_ONE_PEM = re.compile(
    rb"-----BEGIN CERTIFICATE-----\n((?:[A-Za-z0-9+/]{1,76}\n)*[A-Za-z0-9+/]{1,76}={0,2}\n)"
    rb"-----END CERTIFICATE-----\n?"
)


class CertificateRefused(Exception):
    """The header does not hold exactly one certificate. `reason` is for operators; it quotes nothing."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def presented_thumbprint(request: Request) -> str | None:
    """Return the thumbprint of the connection's client certificate; None when there was none."""
    der = request.scope.get(CERTIFICATE_SCOPE_KEY)
    return certificate_thumbprint(der) if isinstance(der, bytes) else None


def forwarded_certificate(headers: Sequence[bytes]) -> bytes:
    """Return the certificate (DER) that the terminating proxy sent along; raise CertificateRefused."""
    if len(headers) != 1:
        raise CertificateRefused("two certificates")
    return _read_escaped(headers[0])


@lru_cache(maxsize=256)  # a party's system sends the same certificate with every call
def _read_escaped(header: bytes) -> bytes:
    if len(header) > _MAX_HEADER_BYTES:
        raise CertificateRefused("too long")
    pem = _ONE_PEM.fullmatch(unquote_to_bytes(header))
    if pem is None:
        raise CertificateRefused("not one escaped PEM certificate")
    try:
        return base64.b64decode(pem[1].replace(b"\n", b""), validate=True)
    except binascii.Error:
        raise CertificateRefused("not base64") from None
