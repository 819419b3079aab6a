"""An answer is opened only if all of it holds: attestation, baseline, documents, receipt, ledger."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rfc8785

from adapters.kit import jose, sealing
from adapters.kit.attestations import make_attestation
from adapters.kit.key_directory import KeyDirectory
from adapters.kit.keys import Keystore, SigningKey
from adapters.kit.register import Register, sign_key_list
from adapters.protocol import TYP_RECEIPT, Category, CategoryAnswer, CategoryStatus
from adapters.requester.errors import ProofRefused
from adapters.requester.exchange import Exchange
from adapters.requester.opening import OpenedDossier, open_answer
from adapters.requester.receipts import InclusionProof, LedgerProof, verify_ledger_proof, verify_receipt
from gateway.ledger.checkpoint import LedgerSigner
from gateway.ledger.commitment import commit, entry_of
from gateway.ledger.merkle import Frontier, leaf_hash

NOW = 1_790_000_000
REQUEST = "signed-request-of-this-test"
US, SOURCE, EXCHANGE, ORIGIN = "vluchtelingenwerk", "ind", "exchange-of-this-test", "ledger.example"
USES = {
    US: ("identity", "sign", "encrypt"),
    SOURCE: ("identity", "sign", "encrypt"),
    "gateway": ("identity", "order", "receipt", "token"),
}


class Chain:
    """Three holders with real keys, and an answer that is whole until a test changes one thing."""

    def __init__(self, folder: Path) -> None:
        self.keys = {
            holder: Keystore.create(
                folder / holder, holder=holder, passphrase="of this test", uses=uses, now=NOW
            )
            for holder, uses in USES.items()
        }
        self.signer = LedgerSigner(ORIGIN, bytes(range(32)))
        self.register = Register.read(
            {
                "version": 1,
                "agreement": "sha-256:" + "A" * 43,
                "parties": {
                    holder: {"kind": holder, "name": holder, "identity_key": keystore.public("identity")}
                    for holder, keystore in self.keys.items()
                },
                "ledger": {"origin": ORIGIN, "vkey": self.signer.vkey},
                "issuer": "https://gateway.example",
            }
        )
        self.directory = KeyDirectory(self.register, self._list_of, lambda: NOW)
        self.salt = bytes(32)
        self.detail: dict[str, Any] = {"kind": "handed_over", "exchange": EXCHANGE, "requester": US}

    async def _list_of(self, party: str) -> str:
        keystore = self.keys[party]
        published = [(use, keystore.public(use)) for use in keystore.uses if use != "identity"]
        return sign_key_list(
            key=keystore.signing("identity"), party=party, serial=1, now=NOW, exp=NOW + 60, keys=published
        )

    def document(self, content: bytes = b"%PDF-", **change: Any) -> str:
        said: dict[str, Any] = {
            "media_type": "application/pdf",
            "name": "beschikking.pdf",
            "category": Category.DECISIONS,
            "exchange": EXCHANGE,
            "to": self.keys[US].public("encrypt"),
        }
        return sealing.seal(content, **(said | change))

    def attestation(self, *documents: str, key: SigningKey | None = None, **change: Any) -> str:
        provided = CategoryStatus.PROVIDED
        said: dict[str, Any] = {
            "iss": SOURCE,
            "aud": US,
            "exchange": EXCHANGE,
            "order": "A" * 43,
            "request": REQUEST,
            "now": NOW,
            "answers": {
                Category.PERSPECTIVE: CategoryAnswer(status=provided, value="yes"),
                Category.DECISIONS: CategoryAnswer(
                    status=provided if documents else CategoryStatus.NOTHING_HELD,
                    sealed=tuple(sealing.digest(jwe) for jwe in documents),
                ),
            },
        }
        return make_attestation(key=key or self.keys[SOURCE].signing("sign"), **(said | change))

    def receipt(self, key: SigningKey | None = None, **change: Any) -> str:
        claims = {
            "iss": "gateway",
            "aud": US,
            "exchange": EXCHANGE,
            "iat": NOW,
            "ledger": {
                "origin": ORIGIN,
                "index": 2,
                "leaf_hash": _text(self.leaf()),
                "salt": _text(self.salt),
                "detail": self.detail,
            },
        } | change
        return jose.sign(claims, key or self.keys["gateway"].signing("receipt"), TYP_RECEIPT)

    def leaf(self) -> bytes:
        return leaf_hash(entry_of(commit(self.salt, self.detail)))

    def answer(self, **change: Any) -> Exchange:
        document = self.document()
        answer: dict[str, Any] = {
            "baseline": {"perspective": "yes", "partners": [US, "goedwerk"]},
            "sealed": [{"category": "decisions", "jwe": document}],
            "attestation": self.attestation(document),
        }
        given = {"receipt": change.pop("receipt")} if "receipt" in change else {}
        content = {name: (answer | change)[name] for name in ("baseline", "attestation")}
        self.detail["answer"] = _text(hashlib.sha256(rfc8785.dumps(content)).digest())
        return Exchange.model_validate(
            {"id": EXCHANGE, "state": "answered", "answer": answer | change}
            | {"receipt": self.receipt()}
            | given
        )

    async def open(self, exchange: Exchange) -> OpenedDossier:
        return await open_answer(
            exchange,
            source=SOURCE,
            party=US,
            keystore=self.keys[US],
            key_directory=self.directory,
            request=REQUEST,
        )


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    return Chain(tmp_path_factory.mktemp("keys"))


async def test_a_whole_answer_opens(chain: Chain) -> None:
    dossier = await chain.open(chain.answer())
    assert (dossier.perspective, dossier.partners) == ("yes", (US, "goedwerk"))
    assert [(one.name, one.content) for one in dossier.documents] == [("beschikking.pdf", b"%PDF-")]
    assert dossier.receipt.ledger.index == 2


async def test_an_answer_of_partners_alone_needs_no_attestation(chain: Chain) -> None:
    answer = chain.answer(baseline={"partners": [US]}, sealed=[], attestation=None)
    assert (await chain.open(answer)).partners == (US,)


async def test_an_answer_whose_values_the_receipt_does_not_cover_is_refused(chain: Chain) -> None:
    honest = chain.answer(baseline={"partners": [US]}, sealed=[], attestation=None)
    assert await chain.open(honest)
    other = chain.answer(baseline={"partners": [US, "goedwerk"]}, sealed=[], attestation=None)
    swapped = other.model_copy(update={"receipt": honest.receipt})
    with pytest.raises(ProofRefused) as refused:
        await chain.open(swapped)
    assert refused.value.code == "receipt_of_another"


TAMPERED: dict[str, tuple[str, Callable[[Chain], Exchange]]] = {
    "signed by nobody of the register": (
        "attestation_invalid",
        lambda c: c.answer(attestation=c.attestation(key=SigningKey.generate())),
    ),
    "attested by another party than was asked": (
        "attestation_invalid",
        lambda c: c.answer(attestation=c.attestation(key=c.keys[US].signing("sign"), iss=US)),
    ),
    "attested for another request of ours": (
        "attestation_invalid",
        lambda c: c.answer(attestation=c.attestation(request="another-request-12")),
    ),
    "attested for another recipient": (
        "attestation_invalid",
        lambda c: c.answer(attestation=c.attestation(aud="askv")),
    ),
    "attested for another request": (
        "attestation_invalid",
        lambda c: c.answer(attestation=c.attestation(exchange="another-exchange-entirely")),
    ),
    "a baseline value turned round": (
        "baseline_not_attested",
        lambda c: c.answer(baseline={"perspective": "no", "partners": [US]}),
    ),
    "a baseline value that no source signed": (
        "baseline_not_attested",
        lambda c: c.answer(baseline={"perspective": "yes", "guidance": "yes"}),
    ),
    "a baseline value kept back": ("baseline_not_attested", lambda c: c.answer(baseline={})),
    "a baseline without any attestation": (
        "baseline_not_attested",
        lambda c: c.answer(attestation=None, sealed=[]),
    ),
    "a document that no source signed": (
        "document_not_attested",
        lambda c: c.answer(sealed=[{"category": "decisions", "jwe": c.document(b"another")}]),
    ),
    "a document kept back": ("document_missing", lambda c: c.answer(sealed=[])),
    "a receipt that the gateway did not sign": (
        "receipt_invalid",
        lambda c: c.answer(receipt=c.receipt(key=SigningKey.generate())),
    ),
    "a receipt for another party": ("receipt_of_another", lambda c: c.answer(receipt=c.receipt(aud="askv"))),
    "a receipt of another request": (
        "receipt_of_another",
        lambda c: c.answer(receipt=c.receipt(exchange="another-exchange-entirely")),
    ),
    "no receipt": ("receipt_missing", lambda c: c.answer(receipt=None)),
}


@pytest.mark.parametrize("what", TAMPERED)
async def test_nothing_is_opened_of_an_answer_with(what: str, chain: Chain) -> None:
    await chain.open(chain.answer())
    code, tamper = TAMPERED[what]
    with pytest.raises(ProofRefused) as refused:
        await chain.open(tamper(chain))
    assert refused.value.code == code
    assert "data-protection officer" in refused.value.next_step


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"exchange": "another-exchange-entirely"}, "document_of_another"),
        ({"category": Category.IDENTITY}, "document_of_another"),
        ({"to": SigningKey.generate().public}, "document_does_not_open"),
    ],
)
async def test_a_document_that_says_something_else_inside_is_refused(
    chain: Chain, change: dict[str, Any], code: str
) -> None:
    document = chain.document(**change)
    answer = chain.answer(
        sealed=[{"category": "decisions", "jwe": document}], attestation=chain.attestation(document)
    )
    with pytest.raises(ProofRefused) as refused:
        await chain.open(answer)
    assert refused.value.code == code


async def test_a_receipt_that_does_not_open_its_entry_is_refused(chain: Chain) -> None:
    claims = jose.unverified_payload(chain.receipt())
    ledger = claims["ledger"]
    assert isinstance(ledger, dict)
    for change in ({"salt": _text(bytes(31) + b"1")}, {"detail": {**chain.detail, "worker": "another"}}):
        with pytest.raises(ProofRefused) as refused:
            await chain.open(chain.answer(receipt=chain.receipt(ledger=ledger | change)))
        assert refused.value.code == "receipt_commitment_invalid"


def _proof(chain: Chain) -> LedgerProof:
    """Prove leaf 2 of 3: the right-hand leaf, whose only sibling is the hash of the other two."""
    tree, left = Frontier(), [leaf_hash(b"0"), leaf_hash(b"1")]
    for leaf in (*left, chain.leaf()):
        tree.append(leaf)
    both = Frontier()
    for leaf in left:
        both.append(leaf)
    return LedgerProof(
        receipt=chain.receipt(),
        inclusion_proof=InclusionProof(leaf_index=2, tree_size=3, hashes=[_text(both.root())]),
        checkpoint=chain.signer.sign(3, tree.root()),
    )


def test_the_ledger_is_proven_to_hold_the_receipt_and_nothing_else_passes(chain: Chain) -> None:
    keys = {chain.keys["gateway"].signing("receipt").kid: chain.keys["gateway"].public("receipt")}
    receipt = verify_receipt(chain.receipt(), keys=keys, party=US, exchange=EXCHANGE)
    proof = _proof(chain)
    assert verify_ledger_proof(receipt, proof, chain.register).size == 3

    other_ledger = LedgerSigner(ORIGIN, bytes(32))
    wrong = [
        proof.model_copy(update={"checkpoint": other_ledger.sign(3, bytes(32))}),
        proof.model_copy(update={"checkpoint": chain.signer.sign(3, bytes(32))}),
        proof.model_copy(update={"checkpoint": ""}),
        proof.model_copy(update={"inclusion_proof": InclusionProof(leaf_index=1, tree_size=3, hashes=[])}),
        proof.model_copy(
            update={"inclusion_proof": InclusionProof(leaf_index=2, tree_size=3, hashes=["A" * 43])}
        ),
    ]
    for each in wrong:
        with pytest.raises(ProofRefused):
            verify_ledger_proof(receipt, each, chain.register)
    with pytest.raises(ProofRefused):
        verify_ledger_proof(
            receipt, proof, dataclasses.replace(chain.register, ledger_vkey=other_ledger.vkey)
        )
