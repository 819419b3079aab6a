"""End TLS in this process, and keep the client's certificate where RFC 8705 needs it.

uvicorn asks for a client certificate but tells the application nothing of it.
"""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

from gateway.http.protocol import ProblemProtocol
from gateway.oauth.certificate import CERTIFICATE_SCOPE_KEY


class CertificateProtocol(ProblemProtocol):
    """uvicorn's own protocol; each request of a connection carries that connection's certificate."""

    _certificate: bytes | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Note the certificate: the handshake is over, and TLS 1.3 has no renegotiation."""
        super().connection_made(transport)
        connection = transport.get_extra_info("ssl_object")
        self._certificate = connection.getpeercert(binary_form=True) if connection is not None else None

    def on_message_begin(self) -> None:
        """Put the certificate into the scope of a request that begins."""
        super().on_message_begin()
        if self._certificate is not None:
            self.scope[CERTIFICATE_SCOPE_KEY] = self._certificate  # type: ignore[typeddict-unknown-key]


def listening(
    certificate: Path | None, key: Path | None, client_ca: Path | None, *, client_required: bool
) -> dict[str, Any]:
    """Return uvicorn's settings for TLS; none without a certificate.

    A client that presents a certificate must have one of `client_ca`. `client_required`: who has none
    does not get as far as HTTP.
    """
    if certificate is None:
        return {}
    asked = ssl.CERT_REQUIRED if client_required else ssl.CERT_OPTIONAL
    return {
        "ssl_certfile": str(certificate),
        "ssl_keyfile": None if key is None else str(key),
        "ssl_ca_certs": None if client_ca is None else str(client_ca),
        "ssl_cert_reqs": ssl.CERT_NONE if client_ca is None else asked,
        "http": CertificateProtocol,
    }
