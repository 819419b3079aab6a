"""Make and verify the statements of adapters/protocol.py; this module names them all.

To verify is to know who signed, for whom, until when, and that nothing was said beside the closed
form: the members in the clear are exactly those of the form, everything else came by disclosure. So
a statement cut down to one category really says one category (promise 1).

Pick `keys` by the issuer you expect, or by `unverified_issuer`; `issuer=` compares.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from adapters.kit import sdjwt
from adapters.kit.attestations import check_answer, make_attestation, verify_attestation, withhold
from adapters.kit.claims import (
    DIGEST,
    StatementError,
    check_life,
    check_parties,
    check_window,
    is_named_digest,
    model,
    once,
    only_plain,
    refuse_repeats,
    select,
    split,
    take_apart,
    unverified_issuer,
    unverified_jti,
    verify_disclosed,
)
from adapters.kit.keys import SigningKey
from adapters.kit.release_orders import make_cancellation, make_order, verify_cancellation, verify_order
from adapters.protocol import (
    TYP_CONSENT,
    TYP_REQUEST,
    Category,
    ClientIdentifier,
    ConsentClaims,
    RequestClaims,
)

__all__ = [
    "Cut",
    "StatementError",
    "check_answer",
    "cut_for_source",
    "join_client",
    "make_attestation",
    "make_cancellation",
    "make_consent_statement",
    "make_order",
    "make_request",
    "narrow",
    "split_client",
    "unverified_issuer",
    "unverified_jti",
    "verify_attestation",
    "verify_cancellation",
    "verify_consent_statement",
    "verify_order",
    "verify_request",
    "withhold",
]

_REQUEST_PLAIN: Final = frozenset({"iss", "aud", "jti", "iat", "exp", "purpose", "seal_to"})
_REQUEST_LISTS: Final = frozenset({"categories"})
_CONSENT_PLAIN: Final = frozenset({"iss", "aud", "jti", "iat", "nbf", "exp", "purpose", "evidence"})
_CONSENT_LISTS: Final = frozenset({"recipients", "categories", "explicit"})


# --- signed request ------------------------------------------------------------------------


def make_request(
    *,
    key: SigningKey,
    iss: str,
    aud: str,
    jti: str,
    now: int,
    exp: int,
    purpose: str,
    categories: Sequence[Category],
    client: ClientIdentifier,
    seal_to: str,
) -> str:
    """Sign a request to the source `aud`, with all its disclosures."""
    claims = {
        "iss": iss,
        "aud": aud,
        "jti": jti,
        "iat": now,
        "exp": exp,
        "purpose": purpose,
        "seal_to": seal_to,
    }
    return sdjwt.issue(
        claims,
        key,
        TYP_REQUEST,
        disclose_properties={"client": client.model_dump(mode="json")},
        disclose_elements={"categories": once(categories)},
    ).compact()


def verify_request(
    unverified: str,
    keys: Mapping[str, Mapping[str, object]],
    now: int,
    *,
    issuer: str | None = None,
    audience: str | None = None,
    require_fresh_seconds: int | None = None,
) -> RequestClaims:
    """Return the claims of a request in force; a restored one may be older than `require_fresh_seconds`."""
    parts = verify_disclosed(unverified, keys, TYP_REQUEST)
    only_plain(parts, _REQUEST_PLAIN, _REQUEST_LISTS)
    check_window(parts.claims, now)
    claims = model(RequestClaims, parts.claims)
    check_parties(claims.iss, claims.aud, issuer, audience)
    check_life(claims.iat, claims.exp)
    if require_fresh_seconds is not None and now - claims.iat > require_fresh_seconds:
        raise StatementError("not_fresh")
    if not DIGEST.fullmatch(claims.seal_to):
        raise StatementError("claims_invalid")
    refuse_repeats(claims.categories)
    # The statement has no order of its own (its digests are sorted); give every reader the same one.
    return claims.model_copy(update={"categories": tuple(sorted(claims.categories))})


# --- consent statement ---------------------------------------------------------------------


def make_consent_statement(
    *,
    key: SigningKey,
    iss: str,
    aud: str,
    jti: str,
    now: int,
    nbf: int,
    exp: int,
    purpose: str,
    evidence: str,
    recipients: Sequence[str],
    categories: Sequence[Category],
    explicit: Sequence[Category],
    client: ClientIdentifier,
) -> str:
    """Sign a consent for one source `aud`. `evidence` is the digest of the canonical evidence."""
    claims = {
        "iss": iss,
        "aud": aud,
        "jti": jti,
        "iat": now,
        "nbf": nbf,
        "exp": exp,
        "purpose": purpose,
        "evidence": evidence,
    }
    return sdjwt.issue(
        claims,
        key,
        TYP_CONSENT,
        disclose_properties={"client": client.model_dump(mode="json")},
        disclose_elements={
            "recipients": once(recipients),
            "categories": once(categories),
            "explicit": once(explicit),
        },
    ).compact()


def verify_consent_statement(
    unverified: str,
    keys: Mapping[str, Mapping[str, object]],
    now: int | None,
    *,
    issuer: str | None = None,
    audience: str | None = None,
) -> ConsentClaims:
    """Return the claims of a consent. `now=None` leaves the validity to the caller."""
    parts = verify_disclosed(unverified, keys, TYP_CONSENT)
    only_plain(parts, _CONSENT_PLAIN, _CONSENT_LISTS)
    if now is not None:
        check_window(parts.claims, now)
    claims = model(ConsentClaims, parts.claims)
    check_parties(claims.iss, claims.aud, issuer, audience)
    if claims.exp <= claims.nbf or not is_named_digest(claims.evidence):
        raise StatementError("claims_invalid")
    for values in (claims.recipients, claims.categories, claims.explicit):
        refuse_repeats(values)
    return claims.model_copy(
        update={
            "recipients": tuple(sorted(claims.recipients)),
            "categories": tuple(sorted(claims.categories)),
            "explicit": tuple(sorted(claims.explicit)),
        }
    )


# --- cutting down --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cut:
    """A statement as its source gets it, and apart from it the disclosure that names the client."""

    statement: str = field(repr=False)
    client: str = field(repr=False)
    jti: str


def cut_for_source(
    compact: str, *, categories: Collection[Category], recipients: Collection[str] | None = None
) -> Cut:
    """Do what `split_client` and `narrow` do, and read the `jti`, of a statement that was verified before."""
    parts = take_apart(compact)
    client, jti = _client_of(parts), parts.payload.get("jti")
    if not isinstance(jti, str):
        raise StatementError("claims_invalid")
    wanted = _covered(categories, recipients)
    return Cut(parts.keep(lambda each: each.name != "client" and wanted(each)), client, jti)


def split_client(compact: str) -> tuple[str, str]:
    """Take the client's disclosure out of a request or consent; raise if it is not there."""
    parts = take_apart(compact)
    client = _client_of(parts)
    return parts.keep(lambda each: each.name != "client"), client


def join_client(compact: str, client_disclosure: str) -> str:
    """Put a client's disclosure back; `verify_*` then finds out whether it belongs there."""
    jwt, encoded = split(compact)
    return sdjwt.join(jwt, [*encoded, client_disclosure])


def narrow(
    compact: str, *, categories: Collection[Category], recipients: Collection[str] | None = None
) -> str:
    """Drop the disclosures of other categories and recipients; the client's stays as it is."""
    return select(compact, _covered(categories, recipients))


def _client_of(parts: sdjwt.Unverified) -> str:
    found = next((each.encoded for each in parts.disclosures if each.name == "client"), None)
    if found is None:
        raise StatementError("client_not_disclosed")
    return found


def _covered(
    categories: Collection[Category], recipients: Collection[str] | None
) -> Callable[[sdjwt.Disclosure], bool]:
    kept = {category.value for category in categories}

    def keep(disclosure: sdjwt.Disclosure) -> bool:
        if disclosure.name in ("categories", "explicit"):
            return isinstance(disclosure.value, str) and disclosure.value in kept
        if disclosure.name == "recipients" and recipients is not None:
            return isinstance(disclosure.value, str) and disclosure.value in recipients
        return True

    return keep
