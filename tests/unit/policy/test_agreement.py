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


@pytest.mark.parametrize(
    ("place", "value", "word"),
    [
        ("valid_until", DATA["valid_from"], "ends before"),
        ("valid_until", "2031-01-01", "valid_until"),
        ("valid_until", True, "valid_until"),
        ("founding_set", [], "founding_set"),
        ("founding_set", ["nobody-known"], "nobody-known"),
        ("surprise", 1, "surprise"),
        ("clauses.no_rule", None, "no_rule is missing"),
        ("clauses.because", "art. 2.6 (ours)", "because is unknown"),
        ("parties.askv.kind", "police", "unknown kind police"),
        ("parties.askv.listed_among_partners", "yes", "listed_among_partners"),
        ("kinds.ngo.receives", 1, "receives"),
        ("kinds.ngo.receives", False, "a kind that receives"),
        ("kinds.avim.answers", False, "Source avim"),
        ("purposes.legal_screening", None, "unknown purpose legal_screening"),
        ("purposes.legal_screening.aggregated", True, "purpose of counts"),
        ("purposes.legal_screening.paragraph", "art. 9.9 (ours)", "No article reads"),
        ("categories.decisions", None, "Category decisions is missing"),
        ("categories.gossip", DATA["categories"]["decisions"], "Category gossip is unknown"),
        ("categories.decisions.class", "baseline", "three facts, no more"),
        ("categories.decisions.class", "harmless", "class"),
        ("categories.partners.class", "ordinary", "three facts, no more"),
        ("categories.medical.class", "ordinary", "medical is special"),
        ("categories.decisions.answered_by", "gateway", "answers `partners`"),
        ("sources.gemeente-amsterdam", DATA["sources"]["ind"], "Source gemeente-amsterdam"),
        ("sources.ind.identifier_schemes", [], "identifier_schemes"),
        ("sources.ind.identifier_schemes", ["name"], "identifier_schemes"),
        ("sources.ind.may_be_asked_without_consent", None, "may_be_asked_without_consent"),
        (f"{RULE}.paragraph", None, "paragraph"),
        (f"{RULE}.paragraph", "somewhere", "paragraph"),
        (f"{RULE}.legal_basis", None, "legal_basis"),
        (f"{RULE}.legal_basis", "", "legal_basis"),
        (f"{RULE}.roles", [], "roles"),
        (f"{RULE}.roles", ["chief"], "roles"),
        (f"{RULE}.ground", "baseline", "calls something baseline"),
        (f"{RULE}.ground", "because", "ground"),
        (f"{RULE}.ground", "statutory", "must name the statute"),
        (f"{RULE}.statute", "vw_lvv", "unknown statute vw_lvv"),
        ("consent.max_months", 19, "max_months"),
        ("consent.max_months", 5, "by default last longer"),
        ("consent.own_consent_from_age", 12, "own_consent_from_age"),
        ("consent", None, "consent"),
        (f"{RULE}.id", "another", "not its place"),
        (f"{RULE}.retention_days", 0, "retention_days"),
        ("rules.legal_screening.ngo.ind.flight_narrative.ground", "consent", "without explicit consent"),
        ("rules.legal_screening.avim", DATA["rules"]["legal_screening"]["ngo"], "a kind that receives"),
        (
            "rules.legal_screening.ngo.ind.gossip",
            DATA["rules"]["legal_screening"]["ngo"]["ind"]["decisions"],
            "gossip",
        ),
    ],
)
def test_a_fault_is_named_in_a_sentence(place: str, value: object, word: str) -> None:
    check(DATA)
    with pytest.raises(AgreementInvalid) as refused:
        check(changed(place, value))
    assert any(word in sentence for sentence in refused.value.sentences), refused.value.sentences


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
    with pytest.raises(AgreementInvalid, match="goedwerk"):
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
