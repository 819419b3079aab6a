"""Hold a request against what its party signed: before this a body is only what somebody sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from adapters.kit import statements
from adapters.protocol import REQUEST_FRESH_SECONDS, Category, ClientIdentifier, Worker
from gateway.errors import InputRefused
from gateway.stages import SubmittedRequest

if TYPE_CHECKING:
    from gateway.oauth.resource import Caller
    from gateway.services import Services


def submit(
    services: Services,
    caller: Caller,
    *,
    client: ClientIdentifier,
    purpose: str,
    source: str,
    categories: Sequence[str],
    worker: Worker,
    unverified_request: str,
    idempotency_key: str,
    raw_body: bytes,
) -> SubmittedRequest:
    """Return the request once its signature and every field are proven; `require_fresh` is the spine's.

    Nothing is looked up about anyone here. Raises InputRefused: an unknown category or source, a
    number that the source does not know clients by, a signature that does not verify or says
    something else than the body.
    """
    if not all(services.agreement.knows_category(category) for category in categories):
        raise InputRefused("unknown_category")
    if not (services.agreement.knows_party(source) and services.sources.knows(source)):
        raise InputRefused("unknown_source")
    if client.scheme.value not in services.agreement.source_schemes(source):
        raise InputRefused("unknown_scheme_for_source")

    now = services.clock()
    keys = services.key_lists.verified(caller.party)
    try:
        claims = statements.verify_request(
            unverified_request,
            keys.keys("sign", now),
            now,
            issuer=caller.party,
        )
    except statements.StatementError as unproven:
        raise InputRefused("invalid_signed_request", cause=unproven.code) from unproven
    if claims.seal_to not in keys.keys("encrypt", now):
        raise InputRefused("invalid_signed_request", "`seal_to` is not an encryption key of your key list.")
    # As sets: an SD-JWT lists its elements in the order of their digests, so that decoys do not show.
    signed = (claims.aud, claims.purpose, claims.client, frozenset(claims.categories))
    if signed != (source, purpose, client, frozenset(Category(category) for category in categories)):
        raise InputRefused("signed_request_mismatch")

    return SubmittedRequest(
        party=caller.party,
        client=client,
        purpose=purpose,
        source=source,
        categories=tuple(categories),
        worker=worker,
        signed_request=unverified_request,
        jti=claims.jti,
        signed_at=claims.iat,
        expires_at=claims.exp,
        idempotency_key=services.vault.fingerprint(caller.party, idempotency_key),
        fingerprint=services.vault.fingerprint(raw_body),
    )


def require_fresh(request: SubmittedRequest, now: int) -> None:
    """Refuse a request that was signed too long ago to start anything; a repeated call starts nothing.

    Raises InputRefused.
    """
    if now - request.signed_at > REQUEST_FRESH_SECONDS:
        raise InputRefused("invalid_signed_request", cause="not_fresh")
