"""Let the certificate header in from the hop that ends TLS, and from nobody else (ASVS 5.0 4.1.3).

Whoever could send this header could be any party whose certificate is known, and certificates are
public. A request that brings it from elsewhere is refused, not cleaned: someone is trying, or the
proxy is configured wrongly, and both should be seen.
"""

from __future__ import annotations

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.errors import InputRefused
from gateway.http.problems import problem_response
from gateway.oauth.certificate import (
    CERTIFICATE_SCOPE_KEY,
    HEADER,
    CertificateRefused,
    forwarded_certificate,
)

_logger = structlog.get_logger("gateway.http")


class ClientCertificates:
    """Inside the log and the headers, outside everything that asks who calls."""

    def __init__(self, app: ASGIApp, *, trusted_hop: str) -> None:
        """`trusted_hop` is the IP address of the proxy; empty: no proxy is trusted."""
        self._app = app
        self._trusted_hop = trusted_hop

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Put a certificate of the trusted hop into the scope; refuse any other."""
        headers = [value for name, value in scope.get("headers", ()) if name.lower() == HEADER]
        if headers:
            try:
                scope[CERTIFICATE_SCOPE_KEY] = self._believed(scope, headers)
            except CertificateRefused as refused:
                _logger.warning("certificate_header_refused", reason=refused.reason)
                problem = problem_response(InputRefused("certificate_header_refused"))
                await problem(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _believed(self, scope: Scope, headers: list[bytes]) -> bytes:
        # The address of the TCP connection: `poort serve` lets no X-Forwarded-For replace it.
        peer = scope.get("client")
        if not self._trusted_hop or peer is None or peer[0] != self._trusted_hop:
            raise CertificateRefused("from another hop")
        return forwarded_certificate(headers)
