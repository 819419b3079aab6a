"""The agreement in force, as the rest of the gateway reads it: signed, checked, and looked up by key.

    agreement.json + signatures/*.jws ──load──▶ Agreement     (verified against the party register)

Who may receive what is the policy's question, not this module's; here stands what is needed before policy is
asked (is this a category, a source, a scheme the source knows) and after (who is listed among partners).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from adapters.kit.agreement_chain import verify_agreement
from adapters.kit.register import Register, SignedAgreement
from gateway.terms import Article, Terms
from gateway.terms_check import AgreementInvalid, check
from gateway.terms_file import MAX_AGREEMENT_BYTES, read
from gateway.terms_sentences import at, faults

__all__ = ["MAX_AGREEMENT_BYTES", "Agreement", "AgreementInvalid", "check", "load", "of", "read"]


@dataclass(frozen=True)
class Agreement:
    """A signed agreement whose form holds. Nothing changes it; another version is another object."""

    signed: SignedAgreement
    terms: Terms = field(repr=False)

    @property
    def digest(self) -> str:
        """Return "sha-256:…" over the canonical agreement (RFC 8785); what the parties signed."""
        return self.signed.digest

    @property
    def version(self) -> str:
        """Return the version by which people call it; decisions cite the digest as well."""
        return self.terms.version

    @property
    def signed_by(self) -> frozenset[str]:
        """Return the parties whose signature on this digest was verified."""
        return self.signed.signed_by

    @property
    def supersedes(self) -> str | None:
        """Return the digest of the version before this one; None for the first."""
        return self.terms.supersedes

    @property
    def valid_from(self) -> int:
        """Return the first second, UTC, at which this version can be in force; the parties signed it."""
        return self.terms.valid_from

    @property
    def valid_until(self) -> int:
        """Return the first second, UTC, at which this version no longer holds."""
        return self.terms.valid_until

    def article(self, paragraph: str) -> Article | None:
        """Return the article that a decision cites as `art. 2.1 (…)`; None where it cites none of ours."""
        return self.terms.article(paragraph)

    @cached_property
    def unanswered(self) -> tuple[str, ...]:
        """Return the open legal questions without an answer; in production there must be none."""
        rows = self.terms.open_questions.items()
        return tuple(sorted(name for name, row in rows if not row.answer.strip()))

    def knows_category(self, category: str) -> bool:
        """Tell whether the agreement lists this category."""
        return category in self.terms.categories

    def knows_party(self, party: str) -> bool:
        """Tell whether this is a party of the agreement, signed or not."""
        return party in self.terms.parties

    def kind(self, party: str) -> str | None:
        """Return the party's kind, None for who is no party."""
        row = self.terms.parties.get(party)
        return None if row is None else row.kind

    def name(self, party: str) -> str | None:
        """Return what people call the party, None for who is no party."""
        row = self.terms.parties.get(party)
        return None if row is None else row.name

    def source_schemes(self, source_party: str) -> frozenset[str]:
        """Return by which numbers this source knows a client; empty: it is no source."""
        row = self.terms.sources.get(source_party)
        return frozenset() if row is None else frozenset(scheme.value for scheme in row.identifier_schemes)

    def may_be_asked_without_consent(self, source_party: str) -> bool:
        """Tell whether this source may be asked when no consent covers the question."""
        row = self.terms.sources.get(source_party)
        return row is not None and row.may_be_asked_without_consent

    def opens_elsewhere(self, requester: str, source: str, purpose: str, category: str) -> bool:
        """Tell whether a rule opens this category between these two for another purpose than this one."""
        asks, gives = self.kind(requester) or "", self.kind(source) or ""
        rules = self.terms.rules
        return any(category in rules[name].get(asks, {}).get(gives, {}) for name in rules if name != purpose)

    def statute_in_force_for(self, kind: str, now: int) -> bool:
        """Tell whether some rule lets this kind of party receive something by a law that is in force."""
        laws = self.terms.statutes
        named = {rule.statute for (_, to, _, _), rule in self.terms.each_rule() if to == kind}
        return any(laws[name].valid_from <= now < laws[name].valid_until for name in named if name in laws)

    def listed_partners(self, parties: Iterable[str]) -> tuple[str, ...]:
        """Return, sorted, those whose mere involvement may be told: no shelter, illness, guardian, court."""
        listed = self.terms.parties
        return tuple(sorted({p for p in parties if p in listed and listed[p].listed_among_partners}))


def load(folder: Path, register: Register, now: int) -> Agreement:
    """Read agreement.json and signatures/ of a deployment folder and return what they prove.

    Raises AgreementInvalid where the document is no agreement, and the register's RegisterError where it is
    not the one of the register, not signed by its founding set, or a signature does not verify.
    """
    data = read(folder / "agreement.json")
    terms = _terms(data, register)
    unverified = {
        path.stem: path.read_text("ascii").strip() for path in (folder / "signatures").glob("*.jws")
    }
    return Agreement(verify_agreement(data, unverified, register, now), terms)


def of(signed: SignedAgreement, register: Register) -> Agreement:
    """Return what was signed as an agreement; raise AgreementInvalid as `load` does."""
    return Agreement(signed, _terms(signed.data, register))


def _terms(data: Mapping[str, object], register: Register) -> Terms:
    return check_among(data, {party: known.kind for party, known in register.parties.items()})


def check_among(data: Mapping[str, object], kinds: Mapping[str, str]) -> Terms:
    """Return what a document says where its form holds and the register has its parties as these kinds.

    Raises AgreementInvalid.
    """
    terms = check(data)
    # Callers are known by the register and judged by the agreement: both must mean the same parties.
    for party, kind in kinds.items():
        if party in terms.parties and terms.parties[party].kind != kind:
            another = at("parties", party, "kind")(
                "het register kent deze partij als een andere soort.",
                "the register knows this party as another kind.",
            )
            raise AgreementInvalid(faults(data, [another]))
    return terms
