"""The words for what the agreement's data say by a key: one vocabulary for faults, the text and a difference.

Titles of purposes, kinds and categories stand in the agreement itself; here stands what is the same in every
version. Two ideas that Dutch calls by one word are kept apart: what must be shown for each hand-over is the
condition (*voorwaarde*), why processing is lawful at all the legal basis (*grondslag*).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from gateway.terms import Ground, Language, Terms

Words = Mapping[str, tuple[str, str]]

# What a person calls a part of the document: for a collection, one row of it.
PARTS: Words = {
    "id": ("kenmerk", "identifier"),
    "version": ("versie", "version"),
    "title": ("titel", "title"),
    "supersedes": ("vervangt", "supersedes"),
    "operator": ("beheerder van de poort", "operator of the gateway"),
    "valid_from": ("geldig vanaf", "valid from"),
    "valid_until": ("geldig tot", "valid until"),
    "founding_set": ("oprichtende partijen", "founding set"),
    "consent": ("toestemming", "consent"),
    "chapters": ("hoofdstuk", "chapter"),
    "statutes": ("wet", "statute"),
    "clauses": ("bepaling", "clause"),
    "parties": ("partij", "party"),
    "kinds": ("soort partij", "kind of party"),
    "purposes": ("doel", "purpose"),
    "categories": ("gegeven", "category"),
    "sources": ("bron", "source"),
    "rules": ("regel", "rule"),
    "open_questions": ("open vraag", "open question"),
    "articles": ("artikel", "article"),
    "nl": ("Nederlandse tekst", "Dutch text"),
    "en": ("Engelse tekst", "English text"),
    "name": ("naam", "name"),
    "kind": ("soort", "kind"),
    "default_months": ("gewone duur in maanden", "usual length in months"),
    "max_months": ("langste duur in maanden", "greatest length in months"),
    "own_consent_from_age": ("leeftijd voor eigen toestemming", "age of own consent"),
    "listed_among_partners": ("genoemd als ketenpartner", "listed among partners"),
    "receives": ("ontvangt", "receives"),
    "receives_counts": ("ontvangt tellingen", "receives counts"),
    "answers": ("antwoordt", "answers"),
    "aggregated": ("alleen tellingen", "counts only"),
    "class": ("klasse", "class"),
    "answered_by": ("beantwoord door", "answered by"),
    "identifier_schemes": ("nummers waaronder de cliënt bekend is", "numbers by which it knows a client"),
    "may_be_asked_without_consent": ("te vragen zonder toestemming", "may be asked without consent"),
    "citation": ("vindplaats", "citation"),
    "paragraph": ("verwijzing naar een artikel", "reference to an article"),
    "ground": ("voorwaarde", "condition"),
    "roles": ("functies", "roles"),
    "legal_basis": ("grondslag", "legal basis"),
    "statute": ("wet", "statute"),
    "retention_days": ("bewaartermijn in dagen", "retention in days"),
    "redistribute": ("doorgeven toegestaan", "passing on allowed"),
    "notify_client": ("melden aan de cliënt", "notify the client"),
    "question": ("vraag", "question"),
    "answer": ("antwoord", "answer"),
    "source": ("waarop het rust", "what it rests on"),
}
GROUNDS: Mapping[Ground, tuple[str, str]] = {
    "baseline": ("basisgegeven, zonder toestemming", "baseline, without consent"),
    "consent": ("toestemming", "consent"),
    "explicit_consent": ("uitdrukkelijke toestemming", "explicit consent"),
    "statutory": ("wet", "statute"),
}
ROLES: Words = {
    "desk": ("baliemedewerker", "desk"),
    "caseworker": ("begeleider", "caseworker"),
    "casemanager": ("casemanager", "casemanager"),
    "source_officer": ("contactpersoon van de bron", "source officer"),
    "medical": ("zorgprofessional", "health professional"),
    "dpo": ("functionaris gegevensbescherming", "data-protection officer"),
    "admin": ("beheerder", "administrator"),
}
SCHEMES: Words = {
    "v-number": ("V-nummer", "V-number"),
    "party-number": ("eigen cliëntnummer", "its own client number"),
}
CLASSES: Words = {
    "baseline": ("basisgegeven", "baseline"),
    "ordinary": ("gewoon", "ordinary"),
    "special": ("bijzonder of zeer gevoelig", "special or highly sensitive"),
}
# The article before a kind's title where the kind acts in a sentence.
_DETERMINERS: Words = {
    "ngo": ("een", "an"),
    "ind": ("de", ""),
    "municipality": ("de", "the"),
    "avim": ("de", "the"),
    "health": ("de", "the"),
    "lawyer": ("een", "a"),
    "return_org": ("een", "a"),
    "review": ("de", "the"),
    "gateway": ("de", "the"),
}
_MONTHS = {
    "nl": "januari februari maart april mei juni juli augustus september oktober november december",
    "en": "January February March April May June July August September October November December",
}


def word(table: Words | Mapping[Ground, tuple[str, str]], key: str, language: Language) -> str:
    """Return the word for a key; the key itself where the table has none."""
    found = {str(name): pair for name, pair in table.items()}.get(key)
    return key if found is None else found[_column(language)]


def yes_no(truth: bool, language: Language) -> str:
    """Return yes or no."""
    return ("ja" if truth else "nee") if language == "nl" else ("yes" if truth else "no")


def day(instant: int, language: Language) -> str:
    """Return the day of an instant (seconds, UTC), with the time where it is not midnight."""
    at = datetime.fromtimestamp(instant, UTC)
    named = f"{at.day} {_MONTHS[language].split()[at.month - 1]} {at.year}"
    midnight = (at.hour, at.minute, at.second) == (0, 0, 0)
    return named if midnight else f"{named}, {at:%H:%M:%S} UTC"


def listed(items: Iterable[str], language: Language) -> str:
    """Join items as a sentence does: a, b and c."""
    *first, last = [*items] or [""]
    return f"{', '.join(first)} {'en' if language == 'nl' else 'and'} {last}" if first else last


def roles(names: Iterable[str], language: Language) -> str:
    """Return roles in words, in the order in which `ROLES` names them."""
    order = [*ROLES]
    known = sorted(names, key=lambda name: order.index(name) if name in order else len(order))
    return ", ".join(word(ROLES, name, language) for name in known)


def acting(kind: str, terms: Terms, language: Language) -> str:
    """Return a kind as the subject of a sentence: `een ngo`, `de IND`, `DT&V`."""
    row = terms.kinds.get(kind)
    title = kind if row is None else row.title.said_in(language)
    determiner = _DETERMINERS.get(kind, ("", ""))[_column(language)]
    return f"{determiner} {title}".strip()


def source_of(source: str, language: Language) -> str:
    """Return on what an article rests, as a reader of that language cites it."""
    if source == "ours":
        return "eigen afspraak" if language == "nl" else "the parties' own choice"
    return source.replace("GDPR", "AVG") if language == "nl" else source


def cited(paragraph: str, language: Language) -> str:
    """Return a paragraph as decisions cite it, with its source in the reader's language."""
    number, _, source = paragraph.partition(" (")
    return f"{number} ({source_of(source.removesuffix(')'), language)})"


def legal_basis(text: str, language: Language) -> str:
    """Write `GDPR 6(1)(f), 9(2)(a)` as Dutch lawyers do; another text stays as it is."""
    found = re.fullmatch(r"GDPR ((?:\d+\(\d+\)\([a-z]\))(?:, \d+\(\d+\)\([a-z]\))*)", text)
    if found is None or language == "en":
        return text
    points = re.findall(r"(\d+)\((\d+)\)\(([a-z])\)", found[1])
    written = (f"art. {article} lid {member} onder {letter}" for article, member, letter in points)
    return f"{listed(written, language)} AVG"


def _column(language: Language) -> int:
    return 0 if language == "nl" else 1
