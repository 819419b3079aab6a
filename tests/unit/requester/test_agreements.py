"""What a party signs is what it asked for, whatever its gateway shows; and its identity key stays with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from adapters.kit.keys import Keystore
from adapters.kit.register import (
    Register,
    agreement_digest,
    sign_agreement,
    verify_signature,
    verify_withdrawal,
)
from adapters.kit.session import GatewaySession, Response
from adapters.protocol import Role, Worker
from adapters.requester import GatewayRefused, GatewayUnreachable, ProofRefused, Requester, RequesterError
from tests.unit.kit.agreements import FIRST, IDENTITIES, NOW, SECOND, register

ADMIN = Worker(id="vw-beheer-02", role=Role.ADMIN)
DIGEST = agreement_digest(SECOND)


class Gateway:
    """Answers every GET with what the test says, and keeps what it was sent."""

    def __init__(self, shown: Mapping[str, Any], refuses: Response | None = None) -> None:
        self.shown, self.refuses = shown, refuses
        self.sent: list[tuple[str, str, Any]] = []

    async def request(self, method: str, path: str, body: Any = None, *_: Any, **__: Any) -> Response:
        if method == "GET":
            return Response(200, {}, dict(self.shown))
        self.sent.append((method, path, body))
        return self.refuses or Response(200, {}, {"digest": DIGEST, "state": "signed"})


def package(agreement: Mapping[str, Any] = SECOND, **signatures: str) -> dict[str, Any]:
    return {"agreement": agreement, "signatures": signatures, "withdrawals": {}, "state": {"state": "signed"}}


@pytest.fixture(scope="module")
def keystore(tmp_path_factory: pytest.TempPathFactory) -> Keystore:
    folder: Path = tmp_path_factory.mktemp("keys") / "vw"
    return Keystore.create(folder, holder="vw", passphrase="of this test", uses=("identity", "sign"), now=NOW)


@pytest.fixture
def ours(keystore: Keystore) -> Register:
    """Our own register, in which this keystore's identity key is ours."""
    known = register(FIRST)
    party = replace(known.party("vw"), identity_key=keystore.public("identity"))
    return replace(known, parties={**known.parties, "vw": party})


def requester(gateway: Gateway, keystore: Keystore, ours: Register) -> Requester:
    unused: Any = None
    return Requester(cast("GatewaySession", gateway), keystore, ours, unused, "vw", lambda: NOW)


async def test_a_party_signs_the_version_that_it_asked_for_and_the_key_stays_here(
    keystore: Keystore, ours: Register
) -> None:
    gateway = Gateway(package())
    await requester(gateway, keystore, ours).sign_agreement(DIGEST, worker=ADMIN)
    [(method, path, body)] = gateway.sent
    assert (method, path) == ("PUT", f"/v1/agreements/{DIGEST}/signatures/vw")
    assert verify_signature(body["signature"], "vw", DIGEST, ours, NOW) == NOW
    assert set(body) == {"signature", "worker"}
    private = cast("Any", keystore.unsafe_export_private())["keys"]["identity"]["d"]
    assert private not in str(gateway.sent)


def forged() -> str:
    return sign_agreement(key=IDENTITIES["vw"], party="ind", digest=DIGEST, now=NOW)


@pytest.mark.parametrize(
    ("shown", "code"),
    [
        (package({**SECOND, "valid_until": SECOND["valid_until"] + 1}), "agreement_altered"),
        (package(FIRST), "agreement_altered"),
        (package(ind=forged()), "agreement_not_signed"),
        ({**package(), "agreement": "none"}, "agreement_invalid"),
        ({**package(), "signatures": ["none"]}, "agreement_invalid"),
        ({}, "agreement_invalid"),
    ],
    ids=[
        "one second added",
        "another version",
        "a forged signature",
        "no document",
        "no signatures",
        "nothing",
    ],
)
async def test_nothing_is_signed_where_the_gateway_shows_something_else(
    keystore: Keystore, ours: Register, shown: dict[str, Any], code: str
) -> None:
    honest = sign_agreement(key=IDENTITIES["ind"], party="ind", digest=DIGEST, now=NOW)
    gateway = Gateway(package(ind=honest))
    await requester(gateway, keystore, ours).sign_agreement(DIGEST, worker=ADMIN)
    assert len(gateway.sent) == 1
    gateway = Gateway(shown)
    with pytest.raises(ProofRefused) as refused:
        await requester(gateway, keystore, ours).sign_agreement(DIGEST, worker=ADMIN)
    assert refused.value.code == code
    assert "Nothing was signed" in refused.value.next_step
    assert gateway.sent == []


async def test_a_version_is_fetched_with_the_signatures_that_verify(
    keystore: Keystore, ours: Register
) -> None:
    honest = sign_agreement(key=IDENTITIES["ind"], party="ind", digest=DIGEST, now=NOW)
    found = await requester(Gateway(package(ind=honest)), keystore, ours).agreement(DIGEST)
    assert found.version.signed.signed_by == {"ind"}
    assert found.state == {"state": "signed"}


async def test_a_signature_is_taken_back_without_a_look_at_what_the_gateway_shows(
    keystore: Keystore, ours: Register
) -> None:
    gateway = Gateway({})
    await requester(gateway, keystore, ours).unsign_agreement(DIGEST, worker=ADMIN)
    [(method, path, body)] = gateway.sent
    assert (method, path) == ("POST", f"/v1/agreements/{DIGEST}/withdrawals")
    assert verify_withdrawal(body["withdrawal"], "vw", DIGEST, ours, NOW) == NOW


@pytest.mark.parametrize("named", ["", "2026.1", "sha-256:short", "../parties", f"{DIGEST}/approvals"])
async def test_what_is_no_digest_is_asked_of_nobody(keystore: Keystore, ours: Register, named: str) -> None:
    gateway = Gateway(package())
    await requester(gateway, keystore, ours).activate_agreement(DIGEST, worker=ADMIN)
    with pytest.raises(RequesterError) as refused:
        await requester(gateway, keystore, ours).activate_agreement(named, worker=ADMIN)
    assert refused.value.code == "not_a_digest"
    assert len(gateway.sent) == 1


async def test_without_the_identity_key_nothing_is_signed(ours: Register, tmp_path: Path) -> None:
    without = Keystore.create(
        tmp_path / "vw", holder="vw", passphrase="of this test", uses=("sign",), now=NOW
    )
    gateway = Gateway(package())
    with pytest.raises(RequesterError) as refused:
        await requester(gateway, without, ours).sign_agreement(DIGEST, worker=ADMIN)
    assert refused.value.code == "identity_key_absent"
    assert gateway.sent == []


async def test_a_refusal_tells_what_is_missing_and_what_is_wrong_where(
    keystore: Keystore, ours: Register
) -> None:
    said = {"code": "agreement_not_ready", "title": "Not yet.", "next_step": "Do this."}
    problem = Response(409, {}, {**said, "missing": ["2 of 4 have signed.", 7]})
    with pytest.raises(GatewayRefused, match=r"Not yet\. 2 of 4 have signed\."):
        await requester(Gateway({}, problem), keystore, ours).activate_agreement(DIGEST, worker=ADMIN)
    wrong = {"place": "Titel", "nl": "ontbreekt.", "en": "Title: is missing."}
    problem = Response(400, {}, {"code": "agreement_invalid", "title": "No agreement.", "errors": [wrong]})
    with pytest.raises(GatewayRefused, match=r"No agreement\. Title: is missing\."):
        await requester(Gateway({}, problem), keystore, ours).propose_agreement(SECOND, worker=ADMIN)


class Computing:
    """Answers each call that computes something, and keeps what it was asked."""

    def __init__(self, body: Any = b"<!doctype html>") -> None:
        self.asked: list[tuple[str, str, Any]] = []
        self._body = body

    async def request(self, method: str, path: str, body: Any = None, *_: Any, **__: Any) -> Response:
        self.asked.append((method, path, body))
        return Response(200, {}, self._body if path.partition("?")[0].endswith("/text") else {"valid": True})


async def test_a_party_has_a_draft_checked_and_versions_compared_and_written_out(
    keystore: Keystore, ours: Register
) -> None:
    gateway = Computing()
    party = requester(cast("Any", gateway), keystore, ours)
    assert await party.check_agreement(SECOND) == {"valid": True}
    await party.agreement_difference(DIGEST, language="en")
    await party.agreement_difference(DIGEST, against=DIGEST)
    assert await party.agreement_text(DIGEST, form="markdown") == "<!doctype html>"
    root = f"/v1/agreements/{DIGEST}"
    assert gateway.asked == [
        ("POST", "/v1/agreements/check", {"agreement": SECOND}),
        ("GET", f"{root}/difference?language=en", None),
        ("GET", f"{root}/difference?language=nl&against={DIGEST}", None),
        ("GET", f"{root}/text?language=nl&format=markdown", None),
    ]
    with pytest.raises(RequesterError, match="named by its digest"):
        await party.agreement_difference(DIGEST, against="2026.1&language=en")
    with pytest.raises(GatewayUnreachable, match="another form"):
        await requester(cast("Any", Computing({})), keystore, ours).agreement_text(DIGEST)
