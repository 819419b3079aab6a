"""Hold an order against one version of the agreement that the parties signed: who, for what, on what ground.

The same law that the gateway's policy applies, read here a second time and by other code, so that a
source depends on neither the gateway's word nor its rules. Data decide; the prohibitions of docs/domain.md
stand in code, where no agreement can override them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from adapters.kit.order_refused import OrderRefused
from adapters.protocol import (
    BASELINE,
    SPECIAL,
    Category,
    ClientIdentifier,
    ConsentClaims,
    OrderClaims,
    PartyId,
    Wire,
)

if TYPE_CHECKING:
    from adapters.kit.agreement_chain import Version
    from adapters.kit.register import Register
    from adapters.protocol import OrderedCategory

# docs/domain.md rule 5: a list of "no perspective" is a removal list.
_NEVER_RECEIVES: Final = frozenset({"avim", "gateway"})
# Rule 4: nothing about a person until a statute in force says so; consent cannot give it.
_ONLY_BY_STATUTE: Final = frozenset({"municipality", "health"})
# Rule 5: whatever a consent says.
_NEVER_SHELTER: Final = frozenset({"avim", "ind", "dtv"})
_RECORDS_CONSENT: Final = "ngo"
# Rule 7: who holds power over the client is involved by the client's consent, or not at all.
_ONLY_BY_CONSENT: Final = frozenset({"dtv", "ind"})
# Rule 9: eighteen months of at most 31 days; a day more is for clocks that differ.
_MAX_MONTHS: Final = 18
_DAY: Final = 24 * 3600


class KeptConsent(Wire):
    """What of a verified consent another version of the agreement may judge otherwise."""

    iss: PartyId
    seconds: int  # for which it holds


class GroundCheck:
    """Answers of one source by one version of the agreement; every check raises OrderRefused."""

    def __init__(self, *, party: str, register: Register, agreement: Version) -> None:
        self._party = party
        self._register = register
        self._version = agreement
        self._agreement = agreement.signed

    def agreement_holds(self, at: int) -> None:
        """Refuse when a founder took its signature back, or outside the version's days."""
        if not self._version.founding_signed or not _within(self._agreement.data, at):
            raise OrderRefused("agreement_not_in_force")

    def recipient_may_receive(self, order: OrderClaims) -> None:
        """Refuse a stranger, a kind that never receives, and whoever did not sign; as we must have."""
        kind = self._kind(order.recipient, "recipient_unknown")
        if kind in _NEVER_RECEIVES or self._at("kinds", kind, "receives") is not True:
            raise OrderRefused("recipient_never_receives")
        if not {self._party, order.recipient} <= self._agreement.signed_by:
            raise OrderRefused("agreement_not_signed")

    def may_record_consent(self, unverified_issuer: str) -> None:
        """Refuse a consent that no NGO of the agreement claims to have recorded."""
        if self._kind(unverified_issuer, "recording_party_unknown") != _RECORDS_CONSENT:
            raise OrderRefused("recording_party_unknown")
        if unverified_issuer not in self._agreement.signed_by:
            raise OrderRefused("agreement_not_signed")

    def every_category_has_its_ground(
        self,
        order: OrderClaims,
        client: ClientIdentifier,
        consents: Mapping[str, ConsentClaims],
        now: int,
    ) -> dict[Category, int]:
        """Return until when each category that rests on a consent or statute may leave."""
        lapses_at: dict[Category, int] = {}
        if self._register.kind(order.recipient) in _ONLY_BY_CONSENT and not consents:
            raise OrderRefused("consent_does_not_cover")
        for ordered in order.categories:
            ends = self._rule_allows(order, ordered, now)
            if ordered.consent is not None:
                consent = consents[ordered.consent]
                self._covers(consent, order, ordered, client)
                self._lasts(consent.exp - consent.nbf)
                ends.append(consent.exp)
            if ends:
                lapses_at[ordered.category] = min(ends)
        return lapses_at

    def permits_too(
        self, order: OrderClaims, consents: Mapping[str, KeptConsent], now: int
    ) -> frozenset[Category]:
        """Return what this version allows of an order that was verified by another."""
        allowed = set()
        for ordered in order.categories:
            try:
                self._rule_allows(order, ordered, now)
                if ordered.consent is not None:
                    self.may_record_consent(consents[ordered.consent].iss)
                    self._lasts(consents[ordered.consent].seconds)
            except (OrderRefused, KeyError):
                continue
            allowed.add(ordered.category)
        return frozenset(allowed)

    def _rule_allows(self, order: OrderClaims, ordered: OrderedCategory, now: int) -> list[int]:
        """Return when the law ends that permits a category, if one does; raise OrderRefused."""
        rule = self._rule(order, ordered.category)
        self._never_overridden(order, ordered.category)
        ends = self._law_allows(order, rule, now)
        self._ground_is_the_rules(order, ordered, rule)
        return ends

    def _rule(self, order: OrderClaims, category: Category) -> Mapping[str, object]:
        path = (order.purpose, self._register.kind(order.recipient), self._register.kind(self._party))
        rule = self._at("rules", *path, category.value)
        aggregated = self._at("purposes", order.purpose, "aggregated")
        answered_by = self._at("categories", category.value, "answered_by")
        if not isinstance(rule, dict) or aggregated is not False or answered_by != "source":
            raise OrderRefused("no_rule_in_agreement")
        return rule

    def _never_overridden(self, order: OrderClaims, category: Category) -> None:
        kind = self._register.kind(order.recipient)
        # Rule 6: medical data go to a health professional at GGD, or at IND for art. 64.
        medical_to = kind == "health" or (kind == "ind" and order.purpose == "medical_stay")
        if (
            (category is Category.SHELTER_LOCATION and kind in _NEVER_SHELTER)
            or (category is Category.MEDICAL and not medical_to)
            or (category is Category.GUIDANCE and self._register.kind(self._party) != "ngo")
            or category is Category.PARTNERS  # the gateway's to answer, from the case
        ):
            raise OrderRefused("category_never_shared")

    def _law_allows(self, order: OrderClaims, rule: Mapping[str, object], now: int) -> list[int]:
        """Return when the law ends that the rule names, if it names one; refuse what is not in force."""
        name = rule.get("statute")
        if name is None:
            if self._register.kind(order.recipient) in _ONLY_BY_STATUTE:
                raise OrderRefused("recipient_never_receives")
            return []
        statute = self._at("statutes", name) if isinstance(name, str) else None
        citation = statute.get("citation") if isinstance(statute, dict) else None
        if not (isinstance(citation, str) and citation) or not _within(statute, now):
            raise OrderRefused("ground_differs", cause="the law that the rule names is not in force")
        return [_end(statute)]

    def _ground_is_the_rules(
        self, order: OrderClaims, ordered: OrderedCategory, rule: Mapping[str, object]
    ) -> None:
        kind = self._register.kind(order.recipient)
        special = ordered.category in SPECIAL or self._class(ordered.category) == "special"
        # A yes that cannot be given freely counts for nothing, but no law opens what is special without one.
        if kind in _ONLY_BY_STATUTE and ordered.ground != ("explicit_consent" if special else "statutory"):
            raise OrderRefused("recipient_never_receives")
        asked = "explicit_consent" if special else rule.get("ground")
        match ordered.ground:
            case "baseline":
                holds = (
                    asked == "baseline"
                    and ordered.category in BASELINE
                    and self._may_be_asked(order.categories)
                )
            case "consent":
                # A baseline value that rests on consent asks more than the rule does, never less.
                holds = asked == "consent" or (asked == "baseline" and ordered.category in BASELINE)
            case "explicit_consent":
                holds = asked == "explicit_consent"
            case "statutory":
                holds = asked == "statutory" and rule.get("statute") is not None
        if not holds or (ordered.consent is not None) != (ordered.ground in {"consent", "explicit_consent"}):
            raise OrderRefused("ground_differs")

    def _covers(
        self,
        consent: ConsentClaims,
        order: OrderClaims,
        ordered: OrderedCategory,
        client: ClientIdentifier,
    ) -> None:
        if consent.client != client or consent.purpose != order.purpose:
            raise OrderRefused("consent_mismatch")
        covered = consent.explicit if ordered.ground == "explicit_consent" else consent.categories
        if order.recipient not in consent.recipients or ordered.category not in consent.categories:
            raise OrderRefused("consent_does_not_cover")
        if ordered.category not in covered:
            raise OrderRefused("consent_does_not_cover")

    def _lasts(self, consent_seconds: int) -> None:
        # The agreement may shorten what a consent lasts, and never lengthen it.
        months = self._at("consent", "max_months")
        longest = min(_MAX_MONTHS, months) * 31 * _DAY + _DAY if type(months) is int else 0
        if consent_seconds > longest:
            raise OrderRefused("consent_invalid", cause="valid for too long")

    def still_asked(self, order: OrderClaims, wanted: frozenset[Category]) -> frozenset[Category]:
        """Return what of `wanted` may still be asked for once the other categories lost their ground.

        Asking discloses: baseline that was asked for beside a consent falls with that consent.
        """
        remaining = [ordered for ordered in order.categories if ordered.category in wanted]
        by_consent = self._register.kind(order.recipient) in _ONLY_BY_CONSENT
        if by_consent and not any(ordered.consent for ordered in remaining):
            return frozenset()
        return wanted if self._may_be_asked(remaining) else frozenset()

    def _may_be_asked(self, ordered: Sequence[OrderedCategory]) -> bool:
        # Where the agreement says so, a question needs something that permits it.
        if self._at("sources", self._party, "may_be_asked_without_consent") is True:
            return True
        return any(each.ground != "baseline" for each in ordered)

    def _class(self, category: Category) -> object:
        return self._at("categories", category.value, "class")

    def _kind(self, party: str, unknown: str) -> str:
        """Return a party's kind, where register and agreement agree on it."""
        if party not in self._register.parties:
            raise OrderRefused(unknown)
        kind = self._register.kind(party)
        if kind != "gateway" and self._at("parties", party, "kind") != kind:
            raise OrderRefused(unknown)
        return kind

    def _at(self, *path: str) -> object:
        """Look into the agreement; None for what is not there, which permits nothing."""
        found: object = self._agreement.data
        for name in path:
            found = found.get(name) if isinstance(found, dict) else None
        return found


def _within(period: object, now: int) -> bool:
    if not isinstance(period, dict):
        return False
    valid_from, valid_until = period.get("valid_from"), period.get("valid_until")
    return type(valid_from) is int and type(valid_until) is int and valid_from <= now < valid_until


def _end(period: object) -> int:
    valid_until = period.get("valid_until") if isinstance(period, dict) else None
    return valid_until if type(valid_until) is int else 0
