"""The checks that all statements share: closed members, types, parties, times."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, TypeVar

from pydantic import ValidationError

from adapters.kit import jose, sdjwt
from adapters.protocol import ORDER_MAX_SECONDS, Wire

DIGEST: Final = re.compile(r"[A-Za-z0-9_-]{43}")  # SHA-256 in base64url
_NAMED_DIGEST: Final = re.compile(r"sha-256:[A-Za-z0-9_-]{43}")

Model = TypeVar("Model", bound=Wire)
Value = TypeVar("Value", bound=str)


class StatementError(Exception):
    """A statement was refused. `code`: a code of JoseError or SdJwtError, or one of claims_invalid,
    wrong_issuer, wrong_audience, wrong_exchange, wrong_order, wrong_request, lives_too_long, not_fresh,
    client_not_disclosed, answer_not_allowed, order_not_allowed."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def verify_disclosed(unverified: str, keys: Mapping[str, Mapping[str, object]], typ: str) -> sdjwt.Verified:
    """Verify an SD-JWT; raise StatementError."""
    with _as_statement_error():
        return sdjwt.verify_parts(unverified, keys, typ)


def verify_signed(unverified: str, keys: Mapping[str, Mapping[str, object]], typ: str) -> dict[str, object]:
    """Verify a plain JWS; raise StatementError."""
    with _as_statement_error():
        return jose.verify(unverified, keys, typ)


def split(compact: str) -> tuple[str, list[str]]:
    """Take an SD-JWT apart; raise StatementError."""
    with _as_statement_error():
        return sdjwt.split(compact)


def disclosures(compact: str) -> tuple[sdjwt.Disclosure, ...]:
    """Read an SD-JWT's disclosures, unverified; raise StatementError."""
    with _as_statement_error():
        return sdjwt.unverified_disclosures(compact)


def take_apart(compact: str) -> sdjwt.Unverified:
    """Read an SD-JWT once, unverified, to cut it down; raise StatementError."""
    with _as_statement_error():
        return sdjwt.take_apart(compact)


def select(compact: str, keep: Callable[[sdjwt.Disclosure], bool]) -> str:
    """Drop the disclosures that `keep` refuses; raise StatementError."""
    with _as_statement_error():
        return sdjwt.select(compact, keep)


def unverified_issuer(compact: str) -> str:
    """Read who claims to have signed, to know whose keys to fetch. Proves nothing."""
    with _as_statement_error():
        issuer = jose.unverified_payload(compact.partition("~")[0]).get("iss")
    if not isinstance(issuer, str):
        raise StatementError("claims_invalid")
    return issuer


def unverified_jti(compact: str) -> str:
    """Read by which id a statement calls itself, to find what was split off it. Proves nothing."""
    with _as_statement_error():
        jti = jose.unverified_payload(compact.partition("~")[0]).get("jti")
    if not isinstance(jti, str):
        raise StatementError("claims_invalid")
    return jti


def only_plain(parts: sdjwt.Verified, members: frozenset[str], lists: frozenset[str]) -> None:
    """Refuse a statement that says more, or less, in the clear than its form does.

    `lists` are arrays whose elements come by disclosure only: an element in the clear could not be
    dropped on the way, and would tell every reader.
    """
    if set(parts.plain) != members | lists or any(parts.plain[name] != [] for name in lists):
        raise StatementError("claims_invalid")


def model(form: type[Model], claims: Mapping[str, object]) -> Model:
    """Read claims as a wire model; raise StatementError without quoting them."""
    try:
        # By way of JSON: only there does pydantic's strict mode take lists for tuples and texts for enums.
        return form.model_validate_json(json.dumps(claims))
    except ValidationError:
        raise StatementError("claims_invalid") from None


def check_parties(iss: str, aud: str, issuer: str | None, audience: str | None) -> None:
    """Compare with whom the caller expects; None: the caller compares itself."""
    if issuer is not None and iss != issuer:
        raise StatementError("wrong_issuer")
    if audience is not None and aud != audience:
        raise StatementError("wrong_audience")


def check_window(claims: Mapping[str, object], now: int) -> None:
    """Refuse what is not in force at `now`, with ten seconds of leeway for the clocks."""
    with _as_statement_error():
        jose.check_times(claims, now)


def check_life(issued_at: int, expires_at: int) -> None:
    """Refuse a request or order that lives longer than any officer may need."""
    if expires_at - issued_at > ORDER_MAX_SECONDS:
        raise StatementError("lives_too_long")


def is_named_digest(text: str) -> bool:
    """Say whether a text is `sha-256:` and a digest in base64url."""
    return _NAMED_DIGEST.fullmatch(text) is not None


def refuse_repeats(values: Sequence[str]) -> None:
    """Refuse a list that says a thing twice: two readers could count it differently."""
    if len(set(values)) != len(values):
        raise StatementError("claims_invalid")


def once(values: Sequence[Value]) -> list[str]:
    """Return each value as its text, once."""
    return [str(value) for value in dict.fromkeys(values)]


@contextmanager
def _as_statement_error() -> Iterator[None]:
    try:
        yield
    except (jose.JoseError, sdjwt.SdJwtError) as refused:
        raise StatementError(refused.code) from None
