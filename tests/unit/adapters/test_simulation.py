"""The people and papers of the sandbox: the same every time, and nobody's."""

import re

from adapters.protocol import ClientIdentifier, Scheme
from adapters.simulation.behaviour import Behaviours
from adapters.simulation.documents import official_letter
from adapters.simulation.personas import BY_NAME, PERSONAS, Behaviour


def a_letter(**override: object) -> bytes:
    letter = {
        "agency": "Immigratie- en Naturalisatiedienst",
        "title": "Beschikking",
        "addressee": "Amina Warsame",
        "reference": "IND-1",
        "kilobytes": 240,
    }
    return official_letter(**(letter | override))  # type: ignore[arg-type]


def test_every_persona_has_numbers_of_its_own_that_are_nobodys() -> None:
    assert len({persona.v_number for persona in PERSONAS}) == len(PERSONAS)
    assert len({persona.vvs_number for persona in PERSONAS}) == len(PERSONAS)
    for persona in PERSONAS:
        assert persona.v_number.startswith("999")
        assert ClientIdentifier(scheme=Scheme.V_NUMBER, value=persona.v_number)
        assert ClientIdentifier(scheme=Scheme.PARTY_NUMBER, value=persona.vvs_number)
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", persona.birth_date)


def test_the_same_letter_is_the_same_bytes_and_of_the_weight_asked_for() -> None:
    uncached = a_letter(paragraphs=["Eén overweging."])
    official_letter.__globals__["_letter"].cache_clear()
    assert a_letter(paragraphs=["Eén overweging."]) == uncached
    assert 200_000 < len(uncached) < 300_000
    assert 4_800_000 < len(a_letter(kilobytes=5_000)) < 5_500_000
    assert len(a_letter(kilobytes=1)) < 5_000


def test_letters_of_two_people_differ() -> None:
    assert a_letter() != a_letter(reference="IND-2")


def test_an_officer_works_as_long_as_was_set_on_each_question() -> None:
    now = [100.0]
    behaviours = Behaviours("ind", monotonic=lambda: now[0])
    amina = BY_NAME["amina"].v_number
    assert behaviours.seconds_left(amina, "first") == 0
    behaviours.set(amina, Behaviour("later", delay_seconds=5))
    assert behaviours.seconds_left(amina, "first") == 5
    now[0] = 104.0
    assert behaviours.seconds_left(amina, "first") == 1
    assert behaviours.seconds_left(amina, "second") == 5
    now[0] = 106.0
    assert behaviours.seconds_left(amina, "first") == 0
