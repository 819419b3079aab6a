"""What a source answers: made, verified, and cut down to what may be handed over."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from adapters.kit import jose, sdjwt
from adapters.kit.claims import (
    DIGEST,
    StatementError,
    check_parties,
    model,
    only_plain,
    select,
    verify_disclosed,
)
from adapters.kit.keys import SigningKey
from adapters.protocol import (
    BASELINE,
    TYP_ATTESTATION,
    AttestationClaims,
    Category,
    CategoryAnswer,
    CategoryStatus,
    SourceRefusal,
)

_ATTESTATION_PLAIN: Final = frozenset({"iss", "aud", "exchange", "order", "request", "iat"})


def make_attestation(
    *,
    key: SigningKey,
    iss: str,
    aud: str,
    exchange: str,
    order: str,
    request: str,
    now: int,
    answers: Mapping[Category, CategoryAnswer],
) -> str:
    """Sign what a source answers: one disclosure per ordered category, also where it holds nothing."""
    for category, answer in answers.items():
        check_answer(category, answer)
    return sdjwt.issue(
        {"iss": iss, "aud": aud, "exchange": exchange, "order": order, "request": request, "iat": now},
        key,
        TYP_ATTESTATION,
        disclose_properties={
            category.value: answer.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
            for category, answer in answers.items()
        },
        disclose_elements={},
    ).compact()


def verify_attestation(
    unverified: str,
    keys: Mapping[str, Mapping[str, object]],
    now: int | None = None,
    *,
    issuer: str | None = None,
    audience: str | None = None,
    exchange: str | None = None,
    order: str | None = None,
    request: str | None = None,
) -> AttestationClaims:
    """Return a source's answers, each of the closed form. Compares what the caller expects.

    An attestation does not expire. With `now`, one from the future is refused.
    """
    parts = verify_disclosed(unverified, keys, TYP_ATTESTATION)
    # A category in the clear could not be withheld any more: all of them come by disclosure.
    only_plain(parts, _ATTESTATION_PLAIN, frozenset())
    answers = {name: value for name, value in parts.claims.items() if name not in _ATTESTATION_PLAIN}
    claims = model(AttestationClaims, {**parts.plain, "answers": answers})
    check_parties(claims.iss, claims.aud, issuer, audience)
    if exchange is not None and claims.exchange != exchange:
        raise StatementError("wrong_exchange")
    if not DIGEST.fullmatch(claims.order) or (order is not None and claims.order != order):
        raise StatementError("wrong_order")
    if request is not None and claims.request != request:
        raise StatementError("wrong_request")
    if now is not None and claims.iat > now + jose.LEEWAY_SECONDS:
        raise StatementError("not_yet_valid")
    for category, answer in claims.answers.items():
        check_answer(category, answer)
    return claims


def check_answer(category: Category, answer: CategoryAnswer) -> None:
    """Refuse an answer that is not of the closed form of its category (promise 1).

    Baseline: yes or no, and nothing sealed. All else: digests of sealed bytes, and no value.
    """
    baseline = category in BASELINE
    provided = answer.status is CategoryStatus.PROVIDED
    refused = answer.status is CategoryStatus.REFUSED
    # Papers from which what concerns others was taken: given, and said to be incomplete.
    partial = provided and not baseline and answer.refusal is SourceRefusal.THIRD_PARTY_INTEREST
    holds = (
        # 000 §2.5: who is involved is the gateway's to say, from the case; a source cannot.
        category is not Category.PARTNERS
        and (answer.value is not None) == (provided and baseline)
        and bool(answer.sealed) == (provided and not baseline)
        and (answer.refusal is not None) == (refused or partial)
        and all(DIGEST.fullmatch(digest) for digest in answer.sealed)
        and len(set(answer.sealed)) == len(answer.sealed)
    )
    if not holds:
        raise StatementError("answer_not_allowed")


def withhold(compact: str, keep: Collection[Category]) -> str:
    """Drop the answers of all categories but `keep` from an attestation; it still verifies."""
    kept = {category.value for category in keep}
    return select(compact, lambda disclosure: disclosure.name in kept)
