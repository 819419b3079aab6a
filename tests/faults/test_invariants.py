"""The checker itself: each invariant, broken by hand, is found, and whole evidence is not."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from adapters.kit.strict_json import encode_base64url
from gateway.ledger.checkpoint import LedgerSigner
from gateway.ledger.commitment import commit, entry_of
from gateway.ledger.merkle import Frontier, leaf_hash
from gateway.ledger.verify import UnverifiedBundle
from tests.faults.invariants import (
    Answered,
    Consent,
    Ending,
    Evidence,
    Failed,
    Request,
    Served,
    content_digest,
    violations,
)

SIGNER = LedgerSigner("log.example/a", bytes(range(32)))
ANSWER = {"baseline": {"perspective": "yes"}, "attestation": "eyJ…"}
REQUEST = Request(
    jti="request-1",
    key="key-1",
    requester="vluchtelingenwerk",
    worker="vw-jurist-12",
    kind="ngo",
    source="ind",
    source_kind="ind",
    purpose="legal_screening",
    client="999",
    asked=frozenset({"perspective", "decisions"}),
)
AGREEMENT: dict[str, Any] = {
    "rules": {
        "legal_screening": {
            "ngo": {"ind": {"perspective": {"ground": "baseline"}, "decisions": {"ground": "consent"}}}
        }
    }
}
CONSENT = Consent(
    id="consent-1",
    client="999",
    purpose="legal_screening",
    sources=frozenset({"ind"}),
    recipients=frozenset({"vluchtelingenwerk"}),
    categories=frozenset({"decisions"}),
    not_before=1,
)


class Ledger:
    """A ledger of four entries; entry 2 is a release of both categories on the consent."""

    def __init__(self, *, differs_at: int | None = None) -> None:
        self.details: list[dict[str, Any]] = [{"kind": "case_opened", "at": 100 + at} for at in range(4)]
        self.details[2] = _detail()
        self.salts = [bytes([at]) * 32 for at in range(4)]
        self.entries = [entry_of(commit(s, d)) for s, d in zip(self.salts, self.details, strict=True)]
        if differs_at is not None:
            self.entries[differs_at] = b"another\n"

    def head(self, size: int) -> str:
        tree = Frontier()
        for entry in self.entries[:size]:
            tree.append(leaf_hash(entry))
        return SIGNER.sign(size, tree.root())

    def receipt(self, index: int) -> dict[str, Any]:
        named = {
            "origin": SIGNER.origin,
            "index": index,
            "leaf_hash": encode_base64url(leaf_hash(self.entries[index])),
            "salt": encode_base64url(self.salts[index]),
            "detail": copy.deepcopy(self.details[index]),
        }
        return {"exchange": "exchange-1", "ledger": named}


def _detail() -> dict[str, Any]:
    return {
        "kind": "handed_over",
        "exchange": "exchange-1",
        "at": 102,
        "categories": [
            {"category": "perspective", "outcome": "permitted"},
            {"category": "decisions", "outcome": "permitted", "consent": "consent-1"},
        ],
        "answer": content_digest(ANSWER),
    }


def whole() -> Evidence:
    """Evidence of one release, in order: everything that the invariants ask holds."""
    ledger = Ledger()
    released = Answered(
        request=REQUEST,
        exchange="exchange-1",
        state="answered",
        categories=frozenset({"perspective", "decisions"}),
        content_digest=content_digest(ANSWER),
        receipt=ledger.receipt(2),
        size_after=4,
    )
    return Evidence(
        AGREEMENT,
        SIGNER.vkey,
        UnverifiedBundle(ledger.head(4), ledger.entries),
        kept=[ledger.head(2), ledger.head(3)],
        answers=[released],
        failures=[Failed(REQUEST, None), Failed(REQUEST, 503, frozenset({"code", "id"}), "exchange-1")],
        served=[Served("ind", "exchange-1", "request-1", frozenset({"perspective", "decisions"}))],
        consents=[CONSENT],
    )


def answer(evidence: Evidence, **changes: Any) -> None:
    evidence.answers = [replace(evidence.answers[0], **changes)]


def _no_entry(evidence: Evidence) -> None:
    receipt = copy.deepcopy(dict(evidence.answers[0].receipt))
    receipt["ledger"]["index"] = 3
    answer(evidence, receipt=receipt)


def _lost_entry(evidence: Evidence) -> None:
    ledger = Ledger()
    evidence.bundle, evidence.kept = UnverifiedBundle(ledger.head(2), ledger.entries[:2]), []


def _entry_of_a_refusal(evidence: Evidence) -> None:
    answer(evidence, receipt=Ledger().receipt(1) | {"exchange": "exchange-1"})
    evidence.answers[0].receipt["ledger"]["detail"]["categories"] = []


def _shared_entry(evidence: Evidence) -> None:
    evidence.answers.append(evidence.answers[0])


def _two_exchanges(evidence: Evidence) -> None:
    evidence.failures.append(Failed(REQUEST, 503, frozenset({"id"}), "exchange-2"))


def _served_twice(evidence: Evidence) -> None:
    _two_exchanges(evidence)
    evidence.served.append(replace(evidence.served[0], exchange="exchange-2"))


def _no_rule(evidence: Evidence) -> None:
    evidence.agreement = {"rules": {}}


def _withdrawn(index: int) -> Callable[[Evidence], None]:
    def withdraw(evidence: Evidence) -> None:
        evidence.consents = [replace(CONSENT, state="withdrawn", withdrawn_at=index)]

    return withdraw


BROKEN: dict[str, tuple[str, Callable[[Evidence], None]]] = {
    "no entry where the receipt says": ("I1", _no_entry),
    "the entry was lost in a crash": ("I1", _lost_entry),
    "the entry came after the answer": ("I1", lambda e: answer(e, size_after=2)),
    "the entry records a refusal": ("I1", _entry_of_a_refusal),
    "two releases share an entry": ("I1", _shared_entry),
    "the answer holds more than its entry says": (
        "I1",
        lambda e: answer(e, categories=frozenset({"perspective", "decisions", "medical"})),
    ),
    "the answer is not what was recorded": ("I1", lambda e: answer(e, content_digest="another")),
    "a source has an order that no entry covers": (
        "I1",
        lambda e: e.served.append(Served("ind", "exchange-9", "request-9", frozenset())),
    ),
    "a category that no rule permits": ("I2", _no_rule),
    "a category without a consent": ("I2", lambda e: e.consents.clear()),
    "a consent of another client": (
        "I2",
        lambda e: setattr(e, "consents", [replace(CONSENT, client="998")]),
    ),
    "a consent that came later": ("I2", lambda e: setattr(e, "consents", [replace(CONSENT, not_before=3)])),
    "a consent that was over": ("I2", lambda e: setattr(e, "consents", [replace(CONSENT, valid_until=102)])),
    "a source asked for more than anyone asked": (
        "I2",
        lambda e: e.served.append(Served("ind", "exchange-1", "request-1", frozenset({"medical"}))),
    ),
    "a release after a withdrawal": ("I3", _withdrawn(1)),
    "a withdrawal that was forgotten": (
        "I3",
        lambda e: setattr(e, "consents", [replace(CONSENT, withdrawn_at=3)]),
    ),
    "a release to a suspended party": (
        "I3",
        lambda e: e.endings.append(Ending("a suspension", 2, "vluchtelingenwerk")),
    ),
    "a release to a worker who left": (
        "I3",
        lambda e: e.endings.append(Ending("a removal", 1, "vluchtelingenwerk", worker="vw-jurist-12")),
    ),
    "history was rewritten": ("I4", lambda e: setattr(e, "kept", [Ledger(differs_at=0).head(2)])),
    "two heads of one size": ("I4", lambda e: setattr(e, "kept", [Ledger(differs_at=3).head(4)])),
    "the ledger went back": (
        "I4",
        lambda e: setattr(e, "bundle", UnverifiedBundle(Ledger().head(2), Ledger().entries[:2])),
    ),
    "a failed call that carried data": (
        "I5",
        lambda e: e.failures.append(Failed(REQUEST, 503, frozenset({"code", "answer"}))),
    ),
    "one call, two exchanges": ("I5", _two_exchanges),
    "one signed request, twice at its source": ("I5", _served_twice),
    "a call that never got its answer": ("I5", lambda e: e.answers.clear()),
    "a retry that failed for good": ("I5", lambda e: answer(e, state="failed")),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_invariant_is_named(how: str) -> None:
    evidence = whole()
    assert violations(evidence) == []
    invariant, spoil = BROKEN[how]
    spoil(evidence)
    assert [sentence for sentence in violations(evidence) if sentence.startswith(f"{invariant}: ")]


def test_a_withdrawal_after_the_release_and_a_pause_that_is_over_break_nothing() -> None:
    evidence = whole()
    _withdrawn(3)(evidence)
    evidence.endings = [
        Ending("a suspension", 0, "vluchtelingenwerk", until=2),
        Ending("a suspension", 2, "askv"),
        Ending("a removal", 0, "vluchtelingenwerk", worker="another"),
    ]
    assert violations(evidence) == []
