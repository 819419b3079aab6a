"""The sentences of an explanation, in both languages of staff, by the codes that policy answers with.

None holds a fact about a client: "no consent" reads the same whether one was refused, withdrawn, expired or
never asked for. The English ones of a reason and a next step are those of every other answer
(`gateway.policy.wording`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.agreement_document.words import ROLES, word
from gateway.policy.hypothetical import Change, Degree
from gateway.policy.port import Ground, NextStep, Reason, RefusalCode
from gateway.policy.wording import NEXT_STEPS, NO_OTHER_PURPOSE, REASONS, REFUSALS

if TYPE_CHECKING:
    from gateway.terms import Language, Terms, Wording


@dataclass(frozen=True, slots=True)
class Said:
    """The same sentence in both languages of staff."""

    nl: str
    en: str

    @classmethod
    def of(cls, wording: Wording) -> Said:
        """Take over what a version of the agreement says in both languages."""
        return cls(wording.nl, wording.en)

    def said_in(self, language: Language) -> str:
        """Return the sentence in that language."""
        return self.nl if language == "nl" else self.en


_LANGUAGES: tuple[Language, Language] = ("nl", "en")

NOTHING_TO_SHARE = Said(
    "Er is niets dat met u gedeeld kan worden. Begeleidt uw organisatie deze cliënt, open dan een zaak met"
    " het mandaat van de cliënt en zet de medewerker erop.",
    "Nothing can be shared with you. If your organisation guides this client, open a case with the client's"
    " mandate and put the worker on it.",
)
NOTHING_WOULD = Said(
    "Niets wat u of de cliënt kan doen, verandert dit.",
    "Nothing that you or the client can do changes this.",
)

_NL_REFUSALS: Mapping[RefusalCode, str] = {
    "agreement_not_in_force": "De overeenkomst gold niet: voor de eerste dag, na de laatste of zonder"
    " handtekeningen opent zij niets.",
    "purpose_not_in_agreement": "Dit doel staat niet in de overeenkomst. Voor een doel dat de partijen niet"
    " hebben afgesproken, wordt niets uitgewisseld.",
    "party_never_receives": "Deze soort partij ontvangt nooit iets. Dat geldt voor elke partij van deze"
    " soort, waarin de cliënt ook toestemt.",
    "no_rule_in_agreement": "Geen regel van de overeenkomst opent voor dit doel iets tussen deze partijen."
    " Wat geen regel opent, blijft dicht, waarin de cliënt ook toestemt.",
    "agreement_not_signed": "Een van beide partijen heeft deze versie niet ondertekend. Een regel werkt pas"
    " tussen twee partijen als beide dat hebben gedaan.",
    "party_suspended": "Een van beide partijen is geschorst. Zolang dat zo is, gaat er niets heen en komt er"
    " niets vandaan.",
}
_EN_REFUSALS: Mapping[RefusalCode, str] = {
    "agreement_not_in_force": "The agreement was not in force.",
    "purpose_not_in_agreement": "The agreement does not list this purpose.",
    "party_never_receives": "This kind of party never receives anything.",
    "no_rule_in_agreement": "No rule of the agreement opens anything between these parties for this purpose.",
    "agreement_not_signed": "One of the two parties has not signed this version.",
    "party_suspended": "One of the two parties is suspended.",
}
_NL_REASONS: Mapping[Reason, str] = {
    "not_on_case": "U bent niet op deze zaak betrokken.",
    "never_to_this_party": "Dit gaat nooit naar uw organisatie, waarin de cliënt ook toestemt.",
    "no_rule": "Geen regel van de overeenkomst opent dit gegeven voor u bij deze bron voor dit doel.",
    "role_may_not": "De regel opent dit gegeven voor een andere functie dan de uwe.",
    "no_consent": "Geen geldige toestemming dekt dit gegeven voor dit doel, deze bron en deze ontvanger.",
    "no_explicit_consent": "Geen geldige toestemming noemt dit gevoelige gegeven uitdrukkelijk.",
    "asking_needs_consent": "Deze bron iets vragen verraadt al iets; daarvoor is toestemming van de cliënt"
    " nodig.",
    "not_ordered": "De bron is gevraagd voordat dit was toegestaan, of op een grond die er niet meer is.",
}
_NL_STEPS: Mapping[NextStep, str] = {
    "record_consent": "Stemt de cliënt in, leg dan toestemming vast voor dit doel, deze bron, deze ontvanger"
    " en dit gegeven, en laat die bevestigen.",
    "record_explicit_consent": "Stemt de cliënt in, leg dan toestemming vast die dit gegeven uitdrukkelijk"
    " noemt, en laat die bevestigen.",
    "ask_with_medical_role": "Alleen een zorgprofessional mag hierom vragen; laat er een op de zaak vragen.",
    "ask_with_other_role": "Laat een medewerker op de zaak vragen wiens functie de regel noemt.",
    "request_under_other_purpose": "Hebt u het nodig voor een ander doel van de overeenkomst, vraag het dan"
    " daarvoor.",
    "ask_again": "Doe een nieuw verzoek: nu is het toegestaan, maar over dit verzoek was al beslist.",
}
_NL_NO_OTHER_PURPOSE = (
    "Geen ander doel opent dit gegeven voor u bij deze bron: niets wat u of de cliënt kan doen,"
    " verandert dit."
)
_GROUNDS: Mapping[Ground, Said] = {
    "baseline": Said(
        "Toegestaan als basisgegeven: daarvoor is geen toestemming nodig.",
        "Permitted as a fact of the baseline: it needs no consent.",
    ),
    "consent": Said(
        "Toegestaan met de toestemming van de cliënt voor dit doel, deze bron en deze ontvanger. Wordt zij"
        " ingetrokken of loopt zij af, dan wordt vanaf dat moment niets meer overgedragen.",
        "Permitted by the client's consent for this purpose, source and recipient. From the moment when it is"
        " withdrawn or ends, nothing more is handed over.",
    ),
    "explicit_consent": Said(
        "Toegestaan met een toestemming van de cliënt die dit gegeven uitdrukkelijk noemt. Wordt zij"
        " ingetrokken of loopt zij af, dan wordt vanaf dat moment niets meer overgedragen.",
        "Permitted by a consent of the client that names this category explicitly. From the moment when it is"
        " withdrawn or ends, nothing more is handed over.",
    ),
    "statutory": Said(
        "Toegestaan op grond van een wet die de overeenkomst noemt, zolang die wet geldt.",
        "Permitted by a law that the agreement names, for as long as that law is in force.",
    ),
}
# What has to be there, in the language's own order of words, before somebody asks.
_ONCE: Mapping[Degree, Said] = {
    "none": Said("; daarvoor is geen toestemming nodig.", "; it needs no consent."),
    "consent": Said(
        " als de cliënt toestemming heeft gegeven voor dat doel, deze bron, deze ontvanger en dit gegeven.",
        " once the client has consented for that purpose, this source, this recipient and this category.",
    ),
    "explicit_consent": Said(
        " als een toestemming van de cliënt voor dat doel, deze bron en deze ontvanger dit gegeven"
        " uitdrukkelijk noemt.",
        " once a consent of the client for that purpose, this source and this recipient names this category"
        " explicitly.",
    ),
}
# What the parties can change where the agreement alone refuses; by the other codes nothing but the agreement.
_PARTIES_CAN: Mapping[RefusalCode, Said] = {
    "agreement_not_in_force": Said(
        "Een versie van de overeenkomst die is ondertekend en geldt.",
        "A version of the agreement that is signed and in force.",
    ),
    "agreement_not_signed": Said(
        "De handtekening van beide partijen onder de versie die geldt.",
        "The signatures of both parties under the version that is in force.",
    ),
    "party_suspended": Said("Het einde van de schorsing.", "The end of the suspension."),
}


def refusal_said(code: RefusalCode) -> Said:
    """Say why the agreement alone refuses."""
    return Said(_NL_REFUSALS[code], f"{_EN_REFUSALS[code]} {REFUSALS[code]}")


def reason_said(reason: Reason) -> Said:
    """Say why a category stays behind."""
    return Said(_NL_REASONS[reason], REASONS[reason])


def step_said(step: NextStep, *, elsewhere: bool) -> Said:
    """Say what the requester can do about it; `elsewhere`: another purpose would bring it out."""
    if step == "request_under_other_purpose" and not elsewhere:
        return Said(_NL_NO_OTHER_PURPOSE, NO_OTHER_PURPOSE)
    return Said(_NL_STEPS[step], NEXT_STEPS[step])


def ground_said(ground: Ground) -> Said:
    """Say on what a permitted category rests."""
    return _GROUNDS[ground]


def count_said(permitted: int, asked: int) -> Said:
    """Say how much of what was asked for was permitted."""
    return Said(
        f"Toegestaan: {permitted} van {asked} gevraagde gegevens.",
        f"Permitted: {permitted} of {asked} requested categories.",
    )


def parties_can(code: RefusalCode | None) -> Said | None:
    """Say what the parties would have to do first; None where it is not theirs to do."""
    return None if code is None else _PARTIES_CAN.get(code)


def change_said(change: Change, terms: Terms) -> Said:
    """Say one way to a category that is withheld."""
    nl, en = (_change(change, terms, language) for language in _LANGUAGES)
    return Said(nl, en)


def _change(change: Change, terms: Terms, language: Language) -> str:
    dutch = language == "nl"
    once = _ONCE[change.consent].said_in(language)
    if change.roles:
        who = _any((word(ROLES, role, language) for role in change.roles), language)
        return (
            f"Laat iemand op de zaak vragen met de functie {who}{once}"
            if dutch
            else f"Let somebody on the case ask whose role is {who}{once}"
        )
    if change.purposes:
        titles = (f"“{terms.purposes[name].title.said_in(language)}”" for name in change.purposes)
        named = _any(titles, language)
        return (
            f"Is het voor een ander doel nodig, vraag het dan voor {named}{once}"
            if dutch
            else f"If it is needed for another purpose, ask for {named}{once}"
        )
    return f"{'Vraag het opnieuw' if dutch else 'Ask again'}{once}"


def _any(names: Iterable[str], language: Language) -> str:
    *first, last = names
    either = "of" if language == "nl" else "or"
    return f"{', '.join(first)} {either} {last}" if first else last
