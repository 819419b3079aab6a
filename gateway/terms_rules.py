"""Whether one rule of an agreement may stand where it stands, open what it opens, and on that condition."""

from __future__ import annotations

from collections.abc import Iterator

from adapters.protocol import Role
from gateway.terms import ONLY_BY_STATUTE, Rule, RulePlace, Terms
from gateway.terms_sentences import Finding, at

# Those who can come and fetch someone do not learn where that person sleeps (rule 5 of docs/domain.md).
NEVER_SHELTERED_BY = frozenset({"avim", "ind", "dtv"})


def findings_of_rule(terms: Terms, place: RulePlace, rule: Rule) -> Iterator[Finding]:
    """Yield every fault of one rule."""
    yield from _place_of_rule(terms, place)
    yield from _ground_of_rule(terms, place, rule)
    yield from _law_of_rule(terms, place, rule)
    yield from _destination(place, rule)


def _place_of_rule(terms: Terms, place: RulePlace) -> Iterator[Finding]:
    purpose, requester, source, category = place
    if purpose not in terms.purposes:
        yield at("rules", purpose)("is een onbekend doel.", "is an unknown purpose.")
    elif terms.purposes[purpose].aggregated:
        yield at("rules", purpose)(
            "onder een doel met alleen tellingen staat geen regel over een persoon.",
            "under a purpose of counts there is no rule about a person.",
        )
    if requester not in terms.kinds or not terms.kinds[requester].receives:
        yield at("rules", purpose, requester)(
            "dit is geen soort partij die ontvangt.", "this is not a kind of party that receives."
        )
    if source not in terms.kinds or not terms.kinds[source].answers:
        yield at("rules", purpose, requester, source)(
            "dit is geen soort partij die antwoordt.", "this is not a kind of party that answers."
        )
    if category not in terms.categories:
        yield at("rules", *place)("is een onbekend gegeven.", "is an unknown category.")


def _ground_of_rule(terms: Terms, place: RulePlace, rule: Rule) -> Iterator[Finding]:
    row = terms.categories.get(place[3])
    by_statute_only = place[1] in ONLY_BY_STATUTE
    ground = at("rules", *place, "ground")
    if rule.id != ".".join(place):
        yield at("rules", *place, "id")(
            f"moet de plaats van de regel zijn: {'.'.join(place)}.",
            f"must be the place of the rule: {'.'.join(place)}.",
        )
    if row is not None and row.class_ == "special":
        if rule.ground != "explicit_consent":
            yield ground(
                "een bijzonder gegeven gaat alleen open met uitdrukkelijke toestemming (explicit_consent).",
                "a special category opens to explicit consent only (explicit_consent).",
            )
    elif by_statute_only and rule.ground != "statutory":
        yield ground(
            "voor deze partij telt alleen een wet (statutory).",
            "for this party only a statute counts (statutory).",
        )
    elif rule.ground == "baseline" and (row is None or row.class_ != "baseline"):
        yield ground("dit is geen basisgegeven.", "this is not of the baseline.")
    elif rule.ground == "baseline" and place[3] == "guidance" and place[2] != "ngo":
        yield ground(
            "alleen een ngo zegt zonder toestemming dat zij begeleidt.",
            "only an ngo says without consent that it gives guidance.",
        )


def _law_of_rule(terms: Terms, place: RulePlace, rule: Rule) -> Iterator[Finding]:
    if rule.statute is not None and rule.statute not in terms.statutes:
        yield at("rules", *place, "statute")(
            "deze wet staat niet in de overeenkomst.", "this statute is not in the agreement."
        )
    if (rule.ground == "statutory" or place[1] in ONLY_BY_STATUTE) and rule.statute is None:
        yield at("rules", *place, "statute")("hier moet een wet staan.", "a statute must stand here.")


def _destination(place: RulePlace, rule: Rule) -> Iterator[Finding]:
    purpose, requester, _, category = place
    if category == "shelter_location" and requester in NEVER_SHELTERED_BY:
        yield at("rules", *place)(
            "waar iemand slaapt, gaat nooit naar IND, DT&V of AVIM.",
            "where someone sleeps never goes to IND, DT&V or AVIM.",
        )
    if category != "medical":
        return
    if requester != "health" and (requester, purpose) != ("ind", "medical_stay"):
        yield at("rules", *place)(
            "medische gegevens gaan alleen naar de GGD, of naar de IND voor uitstel van vertrek.",
            "medical data go to the health service only, or to IND for stay of departure.",
        )
    if set(rule.roles) != {Role.MEDICAL}:
        yield at("rules", *place, "roles")(
            "medische gegevens gaan alleen naar een zorgprofessional (medical).",
            "medical data go to a health professional only (medical).",
        )
