"""The compiled policy agrees with a second reading of the domain, on everything that can be asked.

Three parts: the whole matrix under the demo agreement and under a hostile one; the removal matrix; and a
positive control, in which policies with a seeded fault must be caught by the same comparison.
"""

from __future__ import annotations

import copy
import itertools
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.kit.register import SignedAgreement, agreement_digest
from gateway.policy.port import ConsentFact, PolicyUnavailable, Question, Verdict
from gateway.policy.wasm import WasmEngine
from tests.contract.oracle import Expected, expected

ROOT = Path(__file__).resolve().parents[2]
POLICIES = ROOT / "policies"
AGREEMENT: dict[str, Any] = json.loads((POLICIES / "agreement" / "agreement.json").read_bytes())
SIGNED_BY = frozenset(AGREEMENT["parties"])
NOW = AGREEMENT["valid_from"] + 1_000_000
CATEGORIES = tuple(AGREEMENT["categories"])
PURPOSES = (*AGREEMENT["purposes"], "supervision")
REQUESTERS = (*AGREEMENT["parties"], "unknown")
SOURCES = (*AGREEMENT["sources"], "gemeente-amsterdam")
ROLES = ("caseworker", "casemanager", "medical", "desk", "dpo", None)
INVOLVEMENT = {
    "mandate": {"on_case": True, "case_basis": "mandate", "worker_on_case": True},
    "invitation": {"on_case": True, "case_basis": "invitation", "worker_on_case": True},
    "stranger": {"on_case": False, "case_basis": None, "worker_on_case": False},
    "other worker": {"on_case": True, "case_basis": "mandate", "worker_on_case": False},
    "once on the case": {"on_case": False, "case_basis": "mandate", "worker_on_case": True},
    "no basis": {"on_case": True, "case_basis": None, "worker_on_case": True},
}
# What a client's consents can look like, each as the changes that turn a good explicit one into it.
CONSENT_STATES: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "none": (),
    "explicit": ({},),
    "plain": ({"explicit": False},),
    "pending": ({"status": "pending", "confirmed": False},),
    "unconfirmed": ({"confirmed": False},),
    "refused": ({"status": "refused"},),
    "withdrawn": ({"status": "withdrawn"},),
    "paused": ({"status": "paused"},),
    "expired": ({"valid_until": NOW},),
    "not yet": ({"valid_from": NOW + 1},),
    "last second": ({"valid_from": NOW, "valid_until": NOW + 1},),
    "other source": ({"source": "other"},),
    "other recipient": ({"recipient": "other"},),
    "other purpose": ({"purpose": "other"},),
    "several": (
        {"explicit": False, "valid_until": NOW + 99},
        {"id": "b"},
        {"id": "a"},
        {"status": "withdrawn"},
    ),
}


def signed(agreement: Mapping[str, Any], signed_by: frozenset[str] = SIGNED_BY) -> SignedAgreement:
    return SignedAgreement(agreement_digest(agreement), dict(agreement), signed_by)


def engine_for(agreement: Mapping[str, Any], signed_by: frozenset[str] = SIGNED_BY) -> WasmEngine:
    return WasmEngine.load(POLICIES / "build", POLICIES, signed(agreement, signed_by))


def question(**changes: Any) -> Question:
    """Ask IND for everything, on the case, without consent; `consents_in` names another state."""
    state = changes.pop("consents_in", "none")
    only = changes.pop("consents_for", None)
    asked = Question(
        **{
            "now": NOW,
            "requester": "vluchtelingenwerk",
            "requester_status": "active",
            "source": "ind",
            "source_status": "active",
            "purpose": "legal_screening",
            "categories": CATEGORIES,
            "role": "caseworker",
            **INVOLVEMENT["mandate"],
            **changes,
        }
    )
    covered = asked.categories if only is None else only
    return replace(asked, consents=tuple(f for c in covered for f in facts(asked, c, state)))


def facts(asked: Question, category: str, state: str) -> Iterator[ConsentFact]:
    for number, changes in enumerate(CONSENT_STATES[state]):
        good: dict[str, Any] = {
            "id": f"c{number}",
            "category": category,
            "source": asked.source,
            "recipient": asked.requester,
            "purpose": asked.purpose,
            "status": "active",
            "confirmed": True,
            "explicit": True,
            "valid_from": NOW - 50,
            "valid_until": NOW + 50,
        }
        yield ConsentFact(**{**good, **changes})


def seen(verdict: Verdict) -> Expected:
    """Return the verdict in the oracle's words."""
    return Expected(
        None if verdict.refusal is None else verdict.refusal.code,
        verdict.ask_source,
        {d.category: (str(d.ground), d.consent, d.valid_until or 0) for d in verdict.permitted},
        {d.category: str(d.reason) for d in verdict.decisions if d.outcome == "withheld"},
        verdict.valid_until,
    )


def differences(
    engine: WasmEngine,
    agreement: Mapping[str, Any],
    asked: Iterator[Question],
    signed_by: frozenset[str] = SIGNED_BY,
) -> Iterator[tuple[Question, Expected, Expected]]:
    for one in asked:
        found, right = seen(engine.answer(one)), expected(agreement, signed_by, one)
        if found != right:
            yield one, found, right


def triples() -> Iterator[tuple[str, str, str]]:
    return itertools.product(REQUESTERS, SOURCES, PURPOSES)


def serves(agreement: Mapping[str, Any], requester: str, source: str, purpose: str) -> bool:
    asked = question(requester=requester, source=source, purpose=purpose)
    return expected(agreement, SIGNED_BY, asked).refusal is None


def whole_matrix(agreement: Mapping[str, Any]) -> Iterator[Question]:
    """Yield every kind of question. What the agreement refuses anyway is asked in fewer states."""
    for requester, source, purpose in triples():
        between = {"requester": requester, "source": source, "purpose": purpose}
        if not serves(agreement, requester, source, purpose):
            yield question(**between, consents_in="explicit")
            yield question(**between, **INVOLVEMENT["stranger"])
            continue
        for state, role in itertools.product(CONSENT_STATES, ROLES):
            yield question(**between, consents_in=state, role=role)
        for involvement, state in itertools.product(list(INVOLVEMENT.values())[1:], ("none", "explicit")):
            yield question(**between, **involvement, consents_in=state)
        for category, state in itertools.product(CATEGORIES, CONSENT_STATES):
            yield question(**between, categories=(category,), consents_in=state)
        for category, role in itertools.product(CATEGORIES, ROLES):
            yield question(**between, categories=(category,), consents_in="explicit", role=role)
        # What one category's consent does to another: the baseline that goes along.
        for category, state in itertools.product(CATEGORIES, ("explicit", "plain", "expired")):
            for other in ("perspective", "guidance", "partners"):
                if category != other:
                    pair = (other, category)
                    yield question(**between, categories=pair, consents_in=state, consents_for=(category,))


HOSTILE_PURPOSES = ("legal_screening", "medical_stay", "case_conference", "aggregate_report", "review")


def hostile_agreement() -> dict[str, Any]:
    """Return an agreement that tries to give everything to everyone, in each way in turn."""
    hostile = copy.deepcopy(AGREEMENT)
    for kind in hostile["kinds"].values():
        kind.update(receives=True, answers=True)
    hostile["parties"].update(
        ggd={"kind": "health", "name": "GGD", "listed_among_partners": True},
        poort={"kind": "gateway", "name": "poort", "listed_among_partners": True},
        advocaat={"kind": "lawyer", "name": "advocaat", "listed_among_partners": True},
    )
    hostile["sources"]["gemeente-amsterdam"] = {"may_be_asked_without_consent": True}
    in_force = {"citation": "a law", "valid_from": NOW - 9, "valid_until": NOW + 9}
    grounds: list[tuple[str, dict[str, Any] | None]] = [
        ("baseline", None),
        ("consent", None),
        ("explicit_consent", None),
        ("statutory", None),
        ("statutory", in_force),
        ("statutory", {**in_force, "valid_until": NOW}),
        ("anything", None),
    ]
    kinds = sorted({row["kind"] for row in hostile["parties"].values()})
    turn = itertools.cycle(grounds)
    for purpose, requester, source, category in itertools.product(HOSTILE_PURPOSES, kinds, kinds, CATEGORIES):
        ground, basis = next(turn)
        rule = {
            "id": f"{purpose}.{requester}.{source}.{category}",
            "ground": ground,
            "roles": ["caseworker", "medical"],
            "retention_days": 1,
            "redistribute": True,
            "notify_client": False,
            "paragraph": "art. 0.0",
        }
        if basis is not None:
            rule["statutory_basis"] = basis
        table = hostile["rules"].setdefault(purpose, {}).setdefault(requester, {}).setdefault(source, {})
        table[category] = rule
    hostile["purposes"]["review"]["aggregated"] = True
    hostile["purposes"]["aggregate_report"]["aggregated"] = False
    return hostile


HOSTILE = hostile_agreement()


def hostile_matrix() -> Iterator[Question]:
    triples_here = itertools.product(HOSTILE["parties"], HOSTILE["sources"], HOSTILE_PURPOSES)
    for requester, source, purpose in triples_here:
        between = {"requester": requester, "source": source, "purpose": purpose}
        states = ("none", "plain", "explicit", "expired")
        for state, role in itertools.product(states, ("caseworker", "medical")):
            yield question(**between, consents_in=state, role=role)


@pytest.mark.slow
def test_the_policy_and_the_oracle_agree_on_the_whole_matrix() -> None:
    asked = list(whole_matrix(AGREEMENT))
    assert len(asked) > 30_000
    found = list(itertools.islice(differences(engine_for(AGREEMENT), AGREEMENT, iter(asked)), 5))
    assert not found


def test_the_matrix_reaches_every_outcome() -> None:
    """Guards the guard: a matrix in which nothing is ever permitted would agree as well."""
    results = [
        expected(AGREEMENT, SIGNED_BY, one) for one in itertools.islice(whole_matrix(AGREEMENT), 0, None, 7)
    ]
    results += [expected(HOSTILE, SIGNED_BY | {"ggd"}, one) for one in hostile_matrix()]
    grounds = {ground for result in results for ground, _, _ in result.permitted.values()}
    assert grounds == {"baseline", "consent", "explicit_consent", "statutory"}
    assert {reason for result in results for reason in result.withheld.values()} == {
        "not_on_case",
        "never_to_this_party",
        "no_rule",
        "role_may_not",
        "no_consent",
        "no_explicit_consent",
        "asking_needs_consent",
    }


@pytest.mark.slow
def test_the_policy_and_the_oracle_agree_under_an_agreement_that_opens_everything() -> None:
    everyone = frozenset(HOSTILE["parties"])
    engine = engine_for(HOSTILE, everyone)
    assert not list(itertools.islice(differences(engine, HOSTILE, hostile_matrix(), everyone), 5))


@pytest.mark.slow
def test_no_agreement_lifts_the_prohibitions_of_the_domain() -> None:
    """Stated once more without the oracle, so that a shared misreading of the two shows."""
    everyone = frozenset(HOSTILE["parties"])
    engine = engine_for(HOSTILE, everyone)
    something_was_permitted = False
    for asked in hostile_matrix():
        kind = HOSTILE["parties"][asked.requester]["kind"]
        permitted = engine.answer(asked).permitted
        something_was_permitted = something_was_permitted or bool(permitted)
        assert not (permitted and kind in {"avim", "gateway"})
        assert not (permitted and asked.purpose in {"aggregate_report", "supervision", "review"})
        for decision in permitted:
            rule = HOSTILE["rules"][asked.purpose][kind][HOSTILE["parties"][asked.source]["kind"]]
            if kind in {"municipality", "health"}:
                assert rule[decision.category]["ground"] == "statutory"
            if decision.category == "shelter_location":
                assert kind not in {"ind", "dtv", "avim"}
            if decision.category == "medical":
                assert asked.role == "medical"
                assert kind in {"ind", "health"}
            if decision.category in {"flight_narrative", "medical", "trafficking", "vulnerability"}:
                assert decision.ground == "explicit_consent"
            if decision.ground == "baseline":
                assert decision.category in {"perspective", "guidance", "partners"}
            if not asked.consents:
                assert decision.ground in {"baseline", "statutory"}
    assert something_was_permitted


def test_states_and_signatures_refuse_alike_in_both() -> None:
    for signed_by in (SIGNED_BY, SIGNED_BY - {"ind"}, SIGNED_BY - {"vluchtelingenwerk"}, frozenset[str]()):
        asked = [
            question(now=now, requester_status=mine, source_status=theirs, consents_in="explicit")
            for now in (
                AGREEMENT["valid_from"] - 1,
                NOW,
                AGREEMENT["valid_until"] - 1,
                AGREEMENT["valid_until"],
            )
            for mine in ("active", "suspended", "unknown")
            for theirs in ("active", "suspended")
        ]
        engine = engine_for(AGREEMENT, signed_by)
        assert not list(differences(engine, AGREEMENT, iter(asked), signed_by))


REMOVALS: Mapping[str, Mapping[str, Any]] = {
    "the agreement": {"now": AGREEMENT["valid_until"]},
    "the purpose": {"purpose": "supervision"},
    "the requester": {"requester": "unknown"},
    "the requester's standing": {"requester_status": "suspended"},
    "the source": {"source": "gemeente-amsterdam"},
    "the source's standing": {"source_status": "suspended"},
    "the role": {"role": None},
    "the case": {"on_case": False},
    "the basis of the case": {"case_basis": None},
    "the worker's place on it": {"worker_on_case": False},
}


@pytest.mark.parametrize("removed", REMOVALS)
def test_nothing_is_permitted_without(removed: str) -> None:
    engine = engine_for(AGREEMENT)
    asked = {
        "categories": ("perspective", "partners", "decisions", "flight_narrative"),
        "consents_in": "explicit",
    }
    assert len(engine.answer(question(**asked)).permitted) == 4
    answer = engine.answer(question(**{**asked, **REMOVALS[removed]}))
    assert not answer.permitted
    assert not answer.ask_source


@pytest.mark.parametrize("state", sorted(set(CONSENT_STATES) - {"explicit", "last second", "several"}))
def test_beyond_the_baseline_nothing_is_permitted_with_consent(state: str) -> None:
    engine = engine_for(AGREEMENT)
    asked = {"categories": ("perspective", "flight_narrative")}
    assert len(engine.answer(question(**asked, consents_in="explicit")).permitted) == 2
    (perspective,) = engine.answer(question(**asked, consents_in=state)).permitted
    assert perspective.category == "perspective"


# --- positive control ----------------------------------------------------------------------

# file, what stands there, what a fault would put there
MUTANTS: Mapping[str, tuple[str, str, str]] = {
    "a pending consent covers": (
        "consent.rego",
        'granted.status == "active"',
        'granted.status != "withdrawn"',
    ),
    "an unconfirmed consent covers": (
        "consent.rego",
        "granted.confirmed == true",
        "granted.confirmed in {true, false}",
    ),
    "a consent for another source covers": (
        "consent.rego",
        "granted.source == input.source",
        "is_string(granted.source)",
    ),
    "a consent of another recipient covers": (
        "consent.rego",
        "granted.recipient == input.requester",
        "is_string(granted.recipient)",
    ),
    "a consent for another purpose covers": (
        "consent.rego",
        "granted.purpose == input.purpose",
        "is_string(granted.purpose)",
    ),
    "a consent lasts a second longer": (
        "consent.rego",
        "input.now < granted.valid_until",
        "input.now <= granted.valid_until",
    ),
    "a consent begins early": ("consent.rego", "granted.valid_from <= input.now", "granted.valid_from >= 0"),
    "any yes is explicit": ("consent.rego", "granted.explicit == true", "granted.explicit in {true, false}"),
    "the first consent is chosen": ("consent.rego", "latest := max(", "latest := min("),
    "a stranger is involved": ("involvement.rego", "input.on_case == true", "input.on_case in {true, false}"),
    "any worker may ask": (
        "involvement.rego",
        "input.worker_on_case == true",
        "input.worker_on_case in {true, false}",
    ),
    "a government party joins uninvited": (
        "involvement.rego",
        "count(consent.covering) > 0",
        "count(consent.covering) >= 0",
    ),
    "avim receives": (
        "prohibitions.rego",
        'never_asks := {"avim", "gateway"}',
        'never_asks := {"gateway"}',
    ),
    "the municipality consents": (
        "prohibitions.rego",
        'only_by_statute := {"health", "municipality"}',
        "only_by_statute := {0}",
    ),
    "dtv learns the shelter": (
        "prohibitions.rego",
        'never_sheltered_by := {"avim", "dtv", "ind"}',
        'never_sheltered_by := {"avim", "ind"}',
    ),
    "an NGO gets medical data": (
        "prohibitions.rego",
        '\tcategory == "medical"\n\tnot _medical_destination',
        '\tcategory == "none"\n\tnot _medical_destination',
    ),
    "a clerk gets medical data": (
        "prohibitions.rego",
        '_medical_role if input.role == "medical"',
        '_medical_role if input.role != "medical"',
    ),
    "trafficking is ordinary": ("prohibitions.rego", '"trafficking", ', ""),
    "everything labelled so is baseline": (
        "prohibitions.rego",
        "category in baseline\n",
        "is_string(category)\n",
    ),
    "counts are given per person": (
        "prohibitions.rego",
        'counts_only := {"aggregate_report"}',
        "counts_only := {0}",
    ),
    "a wary source is asked": ("grounds.rego", "terms.source.may_be_asked_without_consent == true", "true"),
    "any role may": ("terms.rego", "input.role in rule.roles", "count(rule.roles) > 0"),
    "an agreement outlives its end": (
        "terms.rego",
        "input.now < period.valid_until",
        "input.now <= period.valid_until",
    ),
    "one signature binds two": (
        "terms.rego",
        "data.signed_by[input.source] == true",
        "data.signed_by[input.requester] == true",
    ),
    "a suspended source is asked": (
        "terms.rego",
        'input.source_status == "active"',
        'input.source_status != ""',
    ),
}


def mutant_questions() -> Iterator[tuple[Mapping[str, Any], frozenset[str], Question]]:
    """Yield a small matrix that the real policy passes; each mutant must fail it."""
    for asked in itertools.islice(whole_matrix(AGREEMENT), 0, None, 23):
        yield AGREEMENT, SIGNED_BY, asked
    for state, role in itertools.product(CONSENT_STATES, ROLES):
        yield AGREEMENT, SIGNED_BY, question(consents_in=state, role=role)
    for involvement in INVOLVEMENT.values():
        yield AGREEMENT, SIGNED_BY, question(**involvement, consents_in="explicit")
    for requester in REQUESTERS:
        yield (
            AGREEMENT,
            SIGNED_BY,
            question(requester=requester, source="vluchtelingenwerk", purpose="case_conference"),
        )
    everyone = frozenset(HOSTILE["parties"])
    for asked in itertools.islice(hostile_matrix(), 0, None, 3):
        yield HOSTILE, everyone, asked
    relabelled = copy.deepcopy(HOSTILE)
    for row in relabelled["categories"].values():
        row["class"] = "baseline"
    for source in relabelled["sources"]:
        yield relabelled, everyone, question(source=source, consents_in="plain")
    for changes in ({"now": AGREEMENT["valid_until"]}, {"source_status": "suspended"}):
        yield AGREEMENT, SIGNED_BY, question(**changes, consents_in="explicit")
    yield AGREEMENT, SIGNED_BY - {"ind"}, question(consents_in="explicit")


@pytest.fixture(scope="module")
def small_matrix() -> list[tuple[Mapping[str, Any], frozenset[str], Question, Expected]]:
    return [(a, s, q, expected(a, s, q)) for a, s, q in mutant_questions()]


def caught(folder: Path, matrix: list[tuple[Mapping[str, Any], frozenset[str], Question, Expected]]) -> bool:
    engines: dict[tuple[int, frozenset[str]], WasmEngine] = {}
    for agreement, signed_by, asked, right in matrix:
        key = (id(agreement), signed_by)
        if key not in engines:
            engines[key] = WasmEngine.load(folder / "build", folder, signed(agreement, signed_by))
        try:
            if seen(engines[key].answer(asked)) != right:
                return True
        except PolicyUnavailable:
            return True
    return False


@pytest.fixture(scope="session")
def opa() -> str:
    """Return the pinned OPA; without Go say loudly that no mutant was tried."""
    made = subprocess.run([ROOT / ".ci" / "opa"], capture_output=True, text=True)
    if made.returncode == 3:
        pytest.skip("NOT RUN: the policy mutants need OPA, and there is no Go toolchain to build it")
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def test_the_unchanged_policy_passes_the_small_matrix(
    small_matrix: list[tuple[Mapping[str, Any], frozenset[str], Question, Expected]],
) -> None:
    assert not caught(POLICIES, small_matrix)


@pytest.mark.opa
@pytest.mark.slow
@pytest.mark.parametrize("fault", MUTANTS)
def test_a_policy_is_caught_in_which(
    fault: str,
    opa: str,
    tmp_path: Path,
    small_matrix: list[tuple[Mapping[str, Any], frozenset[str], Question, Expected]],
) -> None:
    name, stands, instead = MUTANTS[fault]
    for source in POLICIES.glob("*.rego"):
        if not source.name.endswith("_test.rego"):
            shutil.copy(source, tmp_path)
    text = (tmp_path / name).read_text()
    assert stands in text
    (tmp_path / name).write_text(text.replace(stands, instead))
    subprocess.run([sys.executable, ROOT / ".ci" / "policy", tmp_path], check=True, capture_output=True)
    assert caught(tmp_path, small_matrix)
