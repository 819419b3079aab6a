"""Only an agreement whose form holds and whose parties signed it is an agreement; the demo's is one."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters.kit.keys import SigningKey
from adapters.kit.register import Register, RegisterError, agreement_digest, sign_agreement
from gateway.agreement import Agreement, AgreementInvalid, check, load
from gateway.terms import SCHEMA, schema_text
from gateway.terms_check import warnings

FOLDER = Path(__file__).resolve().parents[3] / "policies" / "agreement"
DATA: dict[str, Any] = json.loads((FOLDER / "agreement.json").read_bytes())
NOW = DATA["valid_from"] + 1
IDENTITIES = {party: SigningKey.generate() for party in [*DATA["parties"], "gateway"]}
RULE = "rules.legal_screening.ngo.ind.decisions"


def changed(place: str, value: object) -> dict[str, Any]:
    """Return the demo agreement with one value put at a place, its members separated by dots."""
    document = copy.deepcopy(DATA)
    *path, last = place.split(".")
    inner: Any = document
    for key in path:
        inner = inner[key]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return document


@pytest.fixture
def deployed(tmp_path: Path) -> Callable[..., Register]:
    """Put an agreement and its signatures in a folder; return the register that names it."""

    def deploy(
        document: dict[str, Any] = DATA, signed_by: tuple[str, ...] = tuple(DATA["parties"])
    ) -> Register:
        digest = agreement_digest(document)
        (tmp_path / "agreement.json").write_text(json.dumps(document))
        (tmp_path / "signatures").mkdir(exist_ok=True)
        for party in signed_by:
            signature = sign_agreement(key=IDENTITIES[party], party=party, digest=digest, now=NOW)
            (tmp_path / "signatures" / f"{party}.jws").write_text(signature + "\n")
        parties = {
            party: {"kind": row["kind"], "name": row["name"], "identity_key": IDENTITIES[party].public}
            for party, row in {**DATA["parties"], "gateway": {"kind": "gateway", "name": "gateway"}}.items()
        }
        return Register.read(
            {
                "version": 1,
                "agreement": digest,
                "parties": parties,
                "ledger": {"origin": "example.org/log", "vkey": "example.org/log+00000000+AAAA"},
                "issuer": "http://127.0.0.1:1",
            }
        )

    return deploy


@pytest.fixture
def agreement(deployed: Callable[..., Register], tmp_path: Path) -> Agreement:
    return load(tmp_path, deployed(), NOW)


def test_the_demo_agreement_holds() -> None:
    terms = check(DATA)
    assert len(list(terms.each_rule())) > 100


NGO_TO_IND = DATA["rules"]["legal_screening"]["ngo"]["ind"]
MEDICAL = DATA["rules"]["medical_stay"]["ind"]["ngo"]["medical"]
STATUTE = {
    "title": {"nl": "Wet opvang", "en": "Shelter act"},
    "citation": "Vw 2000 art. 1",
    "valid_from": DATA["valid_from"],
    "valid_until": DATA["valid_until"],
    "paragraph": "art. 4.3 (003 §5.1)",
}


def rule(place: str, **changes: object) -> dict[str, Any]:
    """Return a rule that is right in form at its place, with changes."""
    return {**NGO_TO_IND["decisions"], "id": place.removeprefix("rules."), **changes}


@pytest.mark.parametrize(
    ("place", "value", "sentence"),
    [
        # The form.
        ("valid_until", "2031-01-01", "Geldig tot: moet een tijdstip zijn"),
        ("valid_until", True, "Geldig tot: moet een tijdstip zijn"),
        ("valid_until", DATA["valid_until"] * 1000, "Geldig tot: ligt na het jaar 9999."),
        ("founding_set", [], "Oprichtende partijen: mag niet leeg zijn."),
        ("surprise", 1, "Surprise: hoort hier niet."),
        ("", 1, '"": hoort hier niet.'),
        ("version", " ", "Versie: is leeg."),
        ("version", "v" * 65, "Versie: is te lang: hooguit 64 tekens."),
        ("title.en", None, "Titel › Engelse tekst: ontbreekt."),
        ("supersedes", "the first", "Vervangt: moet de vingerafdruk van een versie zijn"),
        ("operator", None, "Beheerder van de poort: ontbreekt."),
        ("consent", None, "Toestemming: ontbreekt."),
        ("consent.max_months", 0, "Toestemming › langste duur in maanden: moet ten minste 1 zijn."),
        ("consent.max_months", "18", "Toestemming › langste duur in maanden: moet een heel getal zijn."),
        ("chapters.first", {"nl": "a", "en": "b"}, "Hoofdstuk first: de sleutel moet een nummer van een"),
        ("articles.article one", DATA["articles"]["art. 1.1"], "Article one: de sleutel moet eruitzien als"),
        ("parties.ASKV", DATA["parties"]["askv"], "de sleutel mag alleen kleine letters"),
        (
            "parties.askv.listed_among_partners",
            "yes",
            "Partij ASKV › genoemd als ketenpartner: moet ja of nee",
        ),
        ("kinds.ngo.receives", 1, "Soort partij ngo › ontvangt: moet ja of nee zijn"),
        ("categories.decisions.class", "harmless", "Gegeven beschikkingen › klasse: is geen van: baseline, "),
        ("sources.ind.identifier_schemes", [], "Bron IND › nummers waaronder"),
        ("sources.ind.identifier_schemes", ["name"], "is geen van: v-number, party-number."),
        (
            "sources.ind.may_be_asked_without_consent",
            None,
            "Bron IND › te vragen zonder toestemming: ontbreekt.",
        ),
        (f"{RULE}.paragraph", None, "vraagt IND › beschikkingen › verwijzing naar een artikel: ontbreekt."),
        (f"{RULE}.paragraph", "somewhere", "moet eruitzien als ‘art. 2.1 (waarop het rust)’."),
        (f"{RULE}.legal_basis", "", "› grondslag: is leeg."),
        (f"{RULE}.roles", [], "› functies: mag niet leeg zijn."),
        (f"{RULE}.roles", ["chief"], "› functies › nummer 1: is geen van: desk, caseworker,"),
        (
            f"{RULE}.ground",
            "because",
            "› voorwaarde: is geen van: baseline, consent, explicit_consent, statutory.",
        ),
        (f"{RULE}.retention_days", 0, "› bewaartermijn in dagen: moet ten minste 1 zijn."),
        (f"{RULE}.retention_days", 9999, "› bewaartermijn in dagen: mag hooguit 3650 zijn."),
        ("rules.legal_screening", 1, "Regel juridische screening: moet een blok met onderdelen zijn."),
        # The whole.
        ("valid_until", DATA["valid_from"], "Geldig tot: de overeenkomst eindigt voor zij begint."),
        (
            "title.nl",
            "Delen \u202ement",
            "Titel › Nederlandse tekst: bevat een teken dat niemand ziet (U+202E)",
        ),
        (
            "parties.askv.name",
            "ASKV\x1b[2K",
            "› naam: bevat een teken dat niemand ziet (U+001B); haal het weg.",
        ),
        (
            "open_questions.controllers.answer",
            "Ja\u200b",
            "› antwoord: bevat een teken dat niemand ziet (U+200B)",
        ),
        ("operator.kind", "municipality", "de gemeente en haar diensten beheren de poort niet"),
        ("consent.max_months", 24, "een toestemming geldt hooguit 18 maanden"),
        ("consent.default_months", 19, "de gewone duur is langer dan de langste."),
        ("consent.own_consent_from_age", 12, "de wet zegt 16 jaar (UAVG art. 5)."),
        ("statutes.vw", {**STATUTE, "valid_until": 1}, "de wet eindigt voor zij begint."),
        ("clauses.no_rule", None, "Bepaling no_rule: ontbreekt."),
        ("clauses.refusing_has_no_consequences", None, "Bepaling refusing_has_no_consequences: ontbreekt."),
        ("clauses.because", "art. 2.6 (ours)", "Bepaling because: is een onbekende bepaling."),
        ("founding_set", ["askv", "nobody-known"], "nobody-known is geen partij."),
        ("founding_set", ["askv", "askv"], "askv staat er twee keer."),
        ("founding_set", ["ind", "dtv"], "Oprichtende partijen: er is geen ngo bij."),
        ("founding_set", ["askv", "gemeente-amsterdam"], "gemeente-amsterdam kan niet mede bepalen"),
        ("parties.askv.kind", "police", "Partij ASKV › soort: is een onbekende soort: police."),
        ("parties.askv.name", "vluchtelingenwerk", "twee partijen dragen deze naam."),
        ("parties.askv.name", "\uff36luchtelingenWerk", "twee partijen dragen deze naam."),
        (
            "parties.askv.name",
            "VluchtelingenWerk\u3164",
            "› naam: bevat een teken dat niemand ziet (U+3164); haal het weg.",
        ),
        ("kinds.police", DATA["kinds"]["ngo"], "deze soort kent de poort niet."),
        ("kinds.avim.receives", True, "(AVIM) › ontvangt: deze soort partij ontvangt nooit iets."),
        (
            "kinds.gateway.receives",
            True,
            "Soort partij poort › ontvangt: deze soort partij ontvangt nooit iets.",
        ),
        ("kinds.municipality.receives", True, "ontvangt pas iets als een regel een wet noemt"),
        ("kinds.health.receives", True, "Soort partij GGD › ontvangt: ontvangt pas iets als"),
        ("kinds.avim.answers", False, "Bron AVIM: is geen partij van een soort die antwoordt."),
        ("sources.gemeente-amsterdam", DATA["sources"]["ind"], "Bron Gemeente Amsterdam: is geen partij van"),
        ("purposes.aggregate_report.aggregated", False, "onder dit doel gaan alleen tellingen."),
        ("purposes.legal_screening.paragraph", "art. 9.9 (ours)", "er is geen artikel dat zo heet."),
        ("consent.paragraph", "art. 6.4 (ours)", "Toestemming › verwijzing naar een artikel: er is geen"),
        ("categories.decisions", None, "Gegeven decisions: ontbreekt."),
        ("categories.gossip", DATA["categories"]["decisions"], "is een onbekend gegeven."),
        ("categories.decisions.class", "baseline", "er zijn drie basisgegevens"),
        ("categories.partners.class", "ordinary", "er zijn drie basisgegevens"),
        ("categories.medical.class", "ordinary", "dit is een bijzonder of zeer gevoelig gegeven"),
        ("categories.decisions.answered_by", "gateway", "de poort beantwoordt alleen `partners`"),
        ("chapters.8", {"nl": "a", "en": "b"}, "Hoofdstuk 8: hoofdstuk 7 ontbreekt ervoor."),
        ("chapters.3", None, "Art. 3.1: valt onder geen hoofdstuk."),
        # The rules.
        ("kinds.ngo.receives", False, "ngo vraagt: dit is geen soort partij die ontvangt."),
        ("purposes.legal_screening", None, "Regel legal_screening: is een onbekend doel."),
        ("purposes.legal_screening.aggregated", True, "onder een doel met alleen tellingen"),
        (
            "rules.legal_screening.avim",
            DATA["rules"]["legal_screening"]["ngo"],
            "(AVIM) vraagt: dit is geen soort partij die ontvangt.",
        ),
        (
            "rules.legal_screening.ngo.review",
            NGO_TO_IND,
            "ngo vraagt toetsingscommissie: dit is geen soort partij die",
        ),
        (
            "rules.legal_screening.ngo.ind.gossip",
            NGO_TO_IND["decisions"],
            "› gossip: is een onbekend gegeven.",
        ),
        (f"{RULE}.id", "another", "moet de plaats van de regel zijn: legal_screening.ngo.ind.decisions."),
        (f"{RULE}.ground", "baseline", "dit is geen basisgegeven."),
        (f"{RULE}.ground", "statutory", "› wet: hier moet een wet staan."),
        (f"{RULE}.statute", "vw", "› wet: deze wet staat niet in de overeenkomst."),
        (
            "rules.legal_screening.ngo.ind.flight_narrative.ground",
            "consent",
            "een bijzonder gegeven gaat alleen open met uitdrukkelijke toestemming",
        ),
        (
            "rules.legal_screening.ngo.ind.guidance",
            rule("rules.legal_screening.ngo.ind.guidance", ground="baseline"),
            "alleen een ngo zegt zonder toestemming dat zij begeleidt.",
        ),
        (
            "rules.case_conference.dtv.ngo.shelter_location",
            rule("rules.case_conference.dtv.ngo.shelter_location"),
            "waar iemand slaapt, gaat nooit naar IND, DT&V of AVIM.",
        ),
        (
            "rules.legal_screening.ngo.ind.medical",
            {**MEDICAL, "id": "legal_screening.ngo.ind.medical"},
            "medische gegevens gaan alleen naar de GGD",
        ),
        (
            "rules.medical_stay.ind.ngo.medical.roles",
            ["medical", "caseworker"],
            "medische gegevens gaan alleen naar een zorgprofessional (medical).",
        ),
    ],
)
def test_a_fault_is_named_with_its_place_in_words(place: str, value: object, sentence: str) -> None:
    check(DATA)
    with pytest.raises(AgreementInvalid) as refused:
        check(changed(place, value))
    said = [fault.said_in("nl") for fault in refused.value.faults]
    assert any(sentence in one for one in said), said
    assert all(fault.en and fault.place_en and fault.en != fault.nl for fault in refused.value.faults)


def test_all_faults_are_told_at_once_in_the_order_of_the_document() -> None:
    document = changed("operator.kind", "municipality")
    document["rules"]["legal_screening"]["ngo"]["ind"]["decisions"]["roles"] = ["chief"]
    document["rules"]["legal_screening"]["ngo"]["ind"]["family"]["ground"] = "baseline"
    document["consent"]["max_months"] = 24
    with pytest.raises(AgreementInvalid) as refused:
        check(document)
    assert [fault.place_en for fault in refused.value.faults] == [
        "Operator of the gateway › kind",
        "Consent › greatest length in months",
        "Rule legal screening › NGO asks IND › decisions › roles › item 1",
        "Rule legal screening › NGO asks IND › family › condition",
    ]
    assert refused.value.sentences[1].endswith("a consent lasts 18 months at most, as long as the stay.")


def test_an_article_that_is_skipped_and_one_that_is_cited_but_gone_are_told() -> None:
    document = copy.deepcopy(DATA)
    del document["articles"]["art. 6.4"]
    with pytest.raises(AgreementInvalid) as refused:
        check(document)
    assert [fault.said_in("nl") for fault in refused.value.faults] == [
        "Toestemming › verwijzing naar een artikel: er is geen artikel dat zo heet.",
        "Art. 6.4: ontbreekt in de nummering.",
    ]


def test_what_the_author_wrote_is_not_repeated_but_for_a_shortened_key() -> None:
    document = changed(f"{RULE}.ground", "Amina-2812345678")
    document["parties"]["askv"]["x" * 500] = "secret"
    with pytest.raises(AgreementInvalid) as refused:
        check(document)
    assert len(refused.value.faults) == 2
    assert "2812345678" not in str(refused.value)
    assert "secret" not in str(refused.value)
    assert "x" * 61 not in str(refused.value)


def test_the_municipality_receives_by_a_statute_and_by_no_consent() -> None:
    document = changed("kinds.municipality.receives", True)
    document["statutes"] = {"vw": STATUTE}
    place = "legal_screening.municipality.ngo.plan_phase"
    by_law = rule(place, ground="statutory", statute="vw")
    document["rules"]["legal_screening"]["municipality"] = {"ngo": {"plan_phase": by_law}}
    assert check(document).statutes["vw"].citation == "Vw 2000 art. 1"
    for changes, sentence in (
        ({"ground": "consent"}, "voor deze partij telt alleen een wet"),
        ({"ground": "explicit_consent"}, "voor deze partij telt alleen een wet"),
        ({"statute": None}, "hier moet een wet staan."),
    ):
        by_law.update(changes)
        with pytest.raises(AgreementInvalid) as refused:
            check(document)
        assert any(sentence in fault.nl for fault in refused.value.faults)
        by_law.update(ground="statutory", statute="vw")


def test_a_special_category_goes_to_the_health_service_by_statute_and_explicit_consent_together() -> None:
    document = changed("kinds.health.receives", True)
    document["statutes"] = {"vw": STATUTE}
    both = {**MEDICAL, "id": "medical_stay.health.ngo.medical", "statute": "vw"}
    document["rules"]["medical_stay"]["health"] = {"ngo": {"medical": both}}
    check(document)
    del both["statute"]
    with pytest.raises(AgreementInvalid, match="a statute must stand here"):
        check(document)


def test_oversights_are_warned_of_and_refuse_nothing() -> None:
    document = copy.deepcopy(DATA)
    document["statutes"] = {"vw": STATUTE}
    document["rules"]["review"] = {}
    del document["parties"]["regie-organisatie"]
    said = [warning.said_in("en") for warning in warnings(check(document))]
    assert "Statute Shelter act: no rule rests on this statute." in said
    assert "Purpose review committee: no rule opens anything for this purpose." in said
    assert any(one.startswith("Rule half-yearly progress › Regie & Organisatie") for one in said)
    assert sum(one.startswith("Open question") for one in said) == len(DATA["open_questions"])


def test_the_schema_in_the_repository_is_that_of_the_model() -> None:
    assert SCHEMA.read_text("utf-8") == schema_text()
    assert SCHEMA.parent == FOLDER


def test_loads_what_the_parties_signed(agreement: Agreement) -> None:
    assert agreement.digest == agreement_digest(DATA)
    assert agreement.version == DATA["version"]
    assert agreement.signed_by == frozenset(DATA["parties"])


def test_a_party_that_did_not_sign_is_not_among_the_signers(
    deployed: Callable[..., Register], tmp_path: Path
) -> None:
    loaded = load(tmp_path, deployed(signed_by=tuple(DATA["founding_set"])), NOW)
    assert loaded.signed_by == frozenset(DATA["founding_set"])


def test_refuses_without_the_founding_set_or_with_another_digest(
    deployed: Callable[..., Register], tmp_path: Path
) -> None:
    register = deployed(signed_by=tuple(DATA["founding_set"][1:]))
    with pytest.raises(RegisterError):
        load(tmp_path, register, NOW)
    register = deployed()
    load(tmp_path, register, NOW)
    (tmp_path / "agreement.json").write_text(json.dumps(changed("version", "another")))
    with pytest.raises(RegisterError):
        load(tmp_path, register, NOW)


@pytest.mark.parametrize("content", [b"", b"[]", b'{"id":"a","id":"b"}', b"{}"])
def test_refuses_what_is_no_agreement(
    deployed: Callable[..., Register], tmp_path: Path, content: bytes
) -> None:
    register = deployed()
    load(tmp_path, register, NOW)
    (tmp_path / "agreement.json").write_bytes(content)
    with pytest.raises(AgreementInvalid):
        load(tmp_path, register, NOW)
    (tmp_path / "agreement.json").unlink()
    with pytest.raises(AgreementInvalid):
        load(tmp_path, register, NOW)


def test_refuses_a_party_that_the_register_knows_as_another_kind(
    deployed: Callable[..., Register], tmp_path: Path
) -> None:
    load(tmp_path, deployed(), NOW)
    register = deployed(changed("parties.goedwerk.kind", "ngo"))
    with pytest.raises(AgreementInvalid, match="Party Goedwerk › kind: the register knows"):
        load(tmp_path, register, NOW)


def test_answers_look_ups_by_key(agreement: Agreement) -> None:
    assert agreement.knows_category("decisions")
    assert not agreement.knows_category("gossip")
    assert agreement.knows_party("askv")
    assert not agreement.knows_party("gateway")
    assert agreement.kind("avim") == "avim"
    assert agreement.kind("unknown") is None
    assert agreement.name("dtv") == "DT&V"
    assert agreement.name("unknown") is None
    assert agreement.source_schemes("vluchtelingenwerk") == {"v-number", "party-number"}
    assert agreement.source_schemes("ind") == {"v-number"}
    assert agreement.source_schemes("askv") == frozenset()
    assert agreement.may_be_asked_without_consent("ind")
    assert not agreement.may_be_asked_without_consent("dtv")
    assert not agreement.may_be_asked_without_consent("askv")


def test_finds_the_article_that_a_decision_cites(agreement: Agreement) -> None:
    found = agreement.article("art. 2.6 (ours)")
    assert found is not None
    assert found.nl == "Wat geen regel opent, blijft dicht."
    for unknown in ("art. 2.6 (003 §5.1)", "art. 2.6", "art. 9.9 (ours)", ""):
        assert agreement.article(unknown) is None


def test_knows_for_whom_a_statute_is_in_force(deployed: Callable[..., Register], tmp_path: Path) -> None:
    document = changed("kinds.municipality.receives", True)
    document["statutes"] = {"vw": {**STATUTE, "valid_until": NOW + 1}}
    by_law = rule("legal_screening.municipality.ngo.plan_phase", ground="statutory", statute="vw")
    document["rules"]["legal_screening"]["municipality"] = {"ngo": {"plan_phase": by_law}}
    loaded = load(tmp_path, deployed(document), NOW)
    assert loaded.statute_in_force_for("municipality", NOW)
    assert not loaded.statute_in_force_for("municipality", NOW + 1)
    assert not loaded.statute_in_force_for("health", NOW)
    assert (loaded.supersedes, loaded.valid_from) == (None, DATA["valid_from"])
    assert loaded.valid_until == DATA["valid_until"]


def test_lists_only_partners_whose_involvement_tells_nothing_more(agreement: Agreement) -> None:
    on_case = ["vluchtelingenwerk", "leger-des-heils", "goedwerk", "avim", "unknown", "goedwerk"]
    assert agreement.listed_partners(on_case) == ("goedwerk", "vluchtelingenwerk")
    assert agreement.listed_partners([]) == ()


def test_says_which_legal_questions_are_open(
    agreement: Agreement, deployed: Callable[..., Register], tmp_path: Path
) -> None:
    assert agreement.unanswered == tuple(sorted(DATA["open_questions"]))
    answered = copy.deepcopy(DATA)
    for row in answered["open_questions"].values():
        row["answer"] = "settled"
    assert load(tmp_path, deployed(answered), NOW).unanswered == ()
