"""What the gateway tells a source: the release order and its cancellation, plain JWS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from adapters.kit import jose
from adapters.kit.claims import (
    StatementError,
    check_life,
    check_parties,
    check_window,
    is_named_digest,
    model,
    once,
    refuse_repeats,
    verify_signed,
)
from adapters.kit.keys import SigningKey
from adapters.protocol import (
    BASELINE,
    SPECIAL,
    TYP_CANCELLATION,
    TYP_ORDER,
    CancellationClaims,
    Category,
    OrderClaims,
    OrderedCategory,
)

_GATEWAY: Final = "gateway"


def make_order(
    *,
    key: SigningKey,
    aud: str,
    jti: str,
    exchange: str,
    now: int,
    exp: int,
    agreement: str,
    purpose: str,
    recipient: str,
    categories: Sequence[OrderedCategory],
    request: str,
    consents: Sequence[str],
    client: str,
) -> str:
    """Sign a release order to the source `aud`. `client` is what `sealing.seal_client` returned."""
    claims = {
        "iss": _GATEWAY,
        "aud": aud,
        "jti": jti,
        "exchange": exchange,
        "iat": now,
        "exp": exp,
        "agreement": agreement,
        "purpose": purpose,
        "recipient": recipient,
        "categories": [each.model_dump(mode="json", exclude_none=True) for each in categories],
        "request": request,
        "consents": list(consents),
        "client": client,
    }
    return jose.sign(claims, key, TYP_ORDER)


def verify_order(
    unverified: str,
    keys: Mapping[str, Mapping[str, object]],
    now: int,
    *,
    audience: str | None = None,
) -> OrderClaims:
    """Return an order in force whose grounds fit its categories. What it carries is not verified here."""
    signed = verify_signed(unverified, keys, TYP_ORDER)
    check_window(signed, now)
    claims = model(OrderClaims, signed)
    check_parties(claims.iss, claims.aud, _GATEWAY, audience)
    check_life(claims.iat, claims.exp)
    if not is_named_digest(claims.agreement):
        raise StatementError("claims_invalid")
    if not claims.categories or not all(map(_ground_fits, claims.categories)):
        raise StatementError("order_not_allowed")
    refuse_repeats([each.category for each in claims.categories])
    return claims


def make_cancellation(
    *, key: SigningKey, aud: str, exchange: str, now: int, categories: Sequence[Category]
) -> str:
    """Sign that these categories of an order lost their ground."""
    claims = {
        "iss": _GATEWAY,
        "aud": aud,
        "exchange": exchange,
        "iat": now,
        "categories": once(categories),
    }
    return jose.sign(claims, key, TYP_CANCELLATION)


def verify_cancellation(
    unverified: str,
    keys: Mapping[str, Mapping[str, object]],
    now: int,
    *,
    audience: str | None = None,
    exchange: str | None = None,
) -> CancellationClaims:
    """Return a cancellation. It does not expire: a late one still stops what has not left."""
    claims = model(CancellationClaims, verify_signed(unverified, keys, TYP_CANCELLATION))
    check_parties(claims.iss, claims.aud, _GATEWAY, audience)
    if exchange is not None and claims.exchange != exchange:
        raise StatementError("wrong_exchange")
    if claims.iat > now + jose.LEEWAY_SECONDS:
        raise StatementError("not_yet_valid")
    return claims


def _ground_fits(ordered: OrderedCategory) -> bool:
    # docs/domain.md rules 1, 2 and 6, which no agreement can override.
    if ordered.ground == "baseline":
        return ordered.category in BASELINE and ordered.consent is None
    if ordered.ground == "consent":
        return ordered.category not in SPECIAL and ordered.consent is not None
    return ordered.ground == "statutory" or ordered.consent is not None
