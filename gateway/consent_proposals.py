"""Check a consent before anyone is looked up: against the agreement, and against what the party signed.

What comes in is a `Proposal`, the caller's words. What goes on is `Verified`: its parties are known, and
for each source there is a signed statement that says the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from adapters.kit.statements import StatementError, verify_consent_statement
from adapters.protocol import SPECIAL, Category, ClientIdentifier, ConsentClaims, Role, Scheme, Worker
from consent import service
from consent.errors import ConsentError
from consent.model import Decision, Evidence, Terms, months_later
from gateway.errors import Conflict, GatewayError, InputRefused, Refused
from gateway.terms import ONLY_BY_STATUTE

if TYPE_CHECKING:
    from gateway.oauth.resource import Caller
    from gateway.services import Services

# docs/domain.md rule 5: whatever an agreement's data say, a consent opens nothing to these kinds.
NEVER_RECEIVE = frozenset({"avim", "gateway"})

_PUBLIC: Mapping[str, str] = {
    "nothing_named": "A consent names at least one source, recipient and category.",
    "special_without_explicit": "A special category needs an explicit yes of its own.",
    "explicit_not_named": "`explicit` names a category that `categories` does not.",
    "not_yet_valid": "The consent begins in the future.",
    "validity_over": "The consent has ended already.",
    "validity_too_long": "The agreement lets no consent hold for so long; eighteen months is the most.",
    "evidence_incomplete": "A verbal consent needs a witness who is not the member of staff.",
    "guardian_missing": "Under 16 a legal representative consents: `guardian_and_child`.",
    "not_understood": "The client did not understand: no consent was given.",
}


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a party says a client decided. `valid_until` in Unix seconds; None: as the agreement says."""

    client: ClientIdentifier
    purpose: str
    sources: tuple[str, ...]
    recipients: tuple[str, ...]
    categories: tuple[str, ...]
    explicit: tuple[str, ...]
    valid_until: int | None
    decision: Decision
    evidence: Evidence
    evidence_digest: str
    unverified_statements: tuple[str, ...] = field(repr=False)
    worker: Worker


@dataclass(frozen=True, slots=True)
class SignedStatement:
    """A statement that verified and says what the proposal says."""

    claims: ConsentClaims
    compact: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Verified:
    """A proposal that may be recorded if the worker is on the client's case."""

    proposal: Proposal
    terms: Terms
    statements: tuple[SignedStatement, ...]
    legal_basis: str


def verify(services: Services, caller: Caller, proposal: Proposal, *, now: int) -> Verified:
    """Check everything that does not depend on the client; raise InputRefused or Refused."""
    if proposal.worker.role is not Role.DESK:
        raise Refused("role_may_not", "A consent is recorded at the desk.")
    _check_names(services, proposal, now)
    legal_basis = _legal_basis(services, proposal)
    agreed = services.agreement.terms.consent
    if proposal.decision is Decision.REFUSED:
        statements: tuple[SignedStatement, ...] = ()
        valid_from, valid_until = now, months_later(now, agreed.default_months)
    else:
        statements = tuple(_statements(services, caller, proposal, now))
        # A statement signed by a clock ten seconds ahead of ours begins now (`jose.check_times`).
        valid_from, valid_until = min(statements[0].claims.nbf, now), statements[0].claims.exp
    terms = Terms(
        purpose=proposal.purpose,
        sources=proposal.sources,
        recipients=proposal.recipients,
        categories=proposal.categories,
        explicit=proposal.explicit,
        valid_from=valid_from,
        valid_until=valid_until,
    )
    try:
        special = {category.value for category in SPECIAL}
        service.check_terms(terms, special=special, now=now, max_months=agreed.max_months)
        service.check_evidence(proposal.evidence, proposal.decision)
    except ConsentError as refused:
        raise translate(refused) from refused
    return Verified(proposal, terms, statements, legal_basis)


def translate(refused: ConsentError) -> GatewayError:
    """Say in the gateway's codes what the law of consent refused."""
    if refused.code == "same_worker":
        return Refused("same_worker")
    if refused.code == "wrong_state":
        return Conflict("state_conflict", "The state of this consent does not allow this.")
    if refused.code == "statements_missing":
        return InputRefused("consent_statement_mismatch")
    return InputRefused("invalid_input", _PUBLIC[refused.code])


def _check_names(services: Services, proposal: Proposal, now: int) -> None:
    agreement = services.agreement
    for names in (proposal.sources, proposal.recipients, proposal.categories):
        if not names:
            raise translate(ConsentError("nothing_named"))
    for names in (proposal.sources, proposal.recipients, proposal.categories, proposal.explicit):
        if len(set(names)) != len(names):
            raise InputRefused("invalid_input", "A list names something twice.")
    if proposal.purpose not in agreement.terms.purposes:
        raise Refused("purpose_not_in_agreement")
    if not all(agreement.knows_category(name) for name in (*proposal.categories, *proposal.explicit)):
        raise InputRefused("unknown_category")
    if not all(agreement.source_schemes(source) for source in proposal.sources):
        raise InputRefused("unknown_source")
    for recipient in proposal.recipients:
        if not agreement.knows_party(recipient):
            raise InputRefused("unknown_party")
        kind = agreement.kind(recipient) or ""
        if kind in NEVER_RECEIVE or not agreement.terms.kinds[kind].receives:
            raise Refused("party_never_receives")
        if kind in ONLY_BY_STATUTE and not _asked_beside_a_law(services, proposal, kind, now):
            raise Refused("party_never_receives")
    if not all(proposal.client.scheme.value in agreement.source_schemes(s) for s in proposal.sources):
        raise InputRefused("unknown_scheme_for_source")


def _asked_beside_a_law(services: Services, proposal: Proposal, kind: str, now: int) -> bool:
    """Tell whether a consent has a place here: what is special needs a yes, even where a law allows it.

    For the rest a yes to whom the client depends on counts for nothing, so nobody is asked for one.
    """
    categories = services.agreement.terms.categories
    special = all(categories[name].class_ == "special" for name in proposal.categories)
    return special and services.agreement.statute_in_force_for(kind, now)


def _legal_basis(services: Services, proposal: Proposal) -> str:
    """Name the legal basis on which the agreement lets these parties exchange this, consent apart."""
    agreement = services.agreement
    rules = agreement.terms.rules.get(proposal.purpose, {})
    bases = {
        rule.legal_basis
        for recipient in proposal.recipients
        for source in proposal.sources
        for category, rule in rules.get(agreement.kind(recipient) or "", {})
        .get(agreement.kind(source) or "", {})
        .items()
        if category in proposal.categories
    }
    if not bases:
        raise Refused("no_rule_in_agreement")
    return "; ".join(sorted(bases))


def _statements(
    services: Services, caller: Caller, proposal: Proposal, now: int
) -> Iterable[SignedStatement]:
    """Verify that there is one statement per source and that each says exactly what the body says."""
    keys = services.key_lists.verified(caller.party).keys("sign", now)
    try:
        verified = [
            SignedStatement(verify_consent_statement(compact, keys, now, issuer=caller.party), compact)
            for compact in proposal.unverified_statements
        ]
    except StatementError as refused:
        raise InputRefused("invalid_consent_statement", cause=refused.code) from refused
    claims = [statement.claims for statement in verified]
    if sorted(claim.aud for claim in claims) != sorted(proposal.sources):
        raise InputRefused("consent_statement_mismatch", "There is one statement for each source.")
    if len({claim.jti for claim in claims}) != len(claims) or len({claim.nbf for claim in claims}) != 1:
        raise InputRefused("consent_statement_mismatch")
    until = proposal.valid_until
    if until is None:
        until = months_later(claims[0].nbf, services.agreement.terms.consent.default_months)
    for claim in claims:
        if not _says_the_same(claim, proposal, caller.party, until):
            raise InputRefused("consent_statement_mismatch")
    return verified


def _says_the_same(claim: ConsentClaims, proposal: Proposal, party: str, until: int) -> bool:
    return (
        claim.purpose == proposal.purpose
        and sorted(claim.recipients) == sorted(proposal.recipients)
        and _as_categories(claim.categories) == _as_categories(proposal.categories)
        and _as_categories(claim.explicit) == _as_categories(proposal.explicit)
        and claim.evidence == proposal.evidence_digest
        and claim.exp == until
        and _names_the_same(claim, proposal.client, party)
    )


def _names_the_same(claim: ConsentClaims, client: ClientIdentifier, party: str) -> bool:
    """Compare the client, as far as that can be known without looking anyone up.

    A source knows a client by *its own* party number; the body has the caller's. Whether the two are one
    client is found out when the client is (`gateway.consents`).
    """
    if claim.client is None or claim.client.scheme is not client.scheme:
        return False
    elsewhere = client.scheme is Scheme.PARTY_NUMBER and claim.aud != party
    return elsewhere or claim.client.value == client.value


def _as_categories(names: Iterable[str]) -> set[Category]:
    return {Category(name) for name in names}
