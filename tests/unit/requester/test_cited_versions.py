"""A receipt counts only with an agreement that was in force then, as far as its founders signed."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.kit.agreement_chain import Package
from adapters.kit.register import agreement_digest
from adapters.kit.session import Response, SessionError
from adapters.requester.cited_versions import CitedVersions
from adapters.requester.errors import GatewayUnreachable, ProofRefused
from adapters.requester.receipts import LedgerLeaf, Receipt
from tests.unit.kit.agreements import FIRST, NOW, REGISTER, SECOND, package, successor

FROM = int(SECOND["valid_from"])
D1, D2 = agreement_digest(FIRST), agreement_digest(SECOND)


class Gateway:
    """Serves the versions that it was given; `down`, none at all."""

    def __init__(self, *packages: Package) -> None:
        self.served: dict[str, dict[str, object]] = {}
        self.down = False
        self.asked = 0
        for one in packages:
            self.serve(one)

    def serve(self, one: Package) -> None:
        self.served[agreement_digest(one.agreement)] = {
            "agreement": dict(one.agreement),
            "signatures": dict(one.signatures),
            "withdrawals": dict(one.withdrawals),
        }

    async def request(self, method: str, path: str) -> Response:
        self.asked += 1
        if self.down:
            raise SessionError("gateway_unreachable")
        body = self.served.get(path.rpartition("/")[2])
        return Response(404 if body is None else 200, {}, body or {})


def cited(gateway: Gateway) -> CitedVersions:
    return CitedVersions(gateway, REGISTER, lambda: FROM + 1000)


def receipt(**detail: Any) -> Receipt:
    said: dict[str, Any] = {"agreement": D1, "at": NOW, "categories": [], **detail}
    kept = {name: value for name, value in said.items() if value is not ...}
    leaf = LedgerLeaf(origin="test", index=1, leaf_hash="A", salt="A", detail=kept)
    return Receipt(iss="gateway", aud="askv", exchange="e" * 22, iat=NOW, ledger=leaf)


async def refused(versions: CitedVersions, of: Receipt) -> None:
    with pytest.raises(ProofRefused) as error:
        await versions.require(of)
    assert error.value.code == "receipt_agreement_not_in_force"


async def test_a_receipt_under_the_version_of_its_instant_holds() -> None:
    gateway = Gateway(package(FIRST), package(SECOND))
    versions = cited(gateway)
    await versions.require(receipt())
    await versions.require(receipt(agreement=D2, at=FROM))
    asked = gateway.asked
    await versions.require(receipt(at=FROM - 1))
    await versions.require(receipt(agreement=D2, at=FROM + 900))
    assert gateway.asked == asked, "followed once"


async def test_a_version_out_of_its_time_is_refused() -> None:
    versions = cited(Gateway(package(FIRST), package(SECOND)))
    await versions.require(receipt(agreement=D2, at=FROM))
    await refused(versions, receipt(agreement=D2, at=NOW))
    await refused(versions, receipt(agreement=D1, at=FROM + 100))


@pytest.mark.parametrize(
    "forged",
    [
        package(SECOND, ("vw",)),
        package(successor(FIRST, founding_set=["law"]), ("law", "askv")),
        package({**FIRST, "version": "other"}),
    ],
    ids=["a founder missing", "its own founding set", "another first version"],
)
async def test_a_version_of_the_gateways_own_making_is_refused(forged: Package) -> None:
    gateway = Gateway(package(FIRST), package(SECOND), forged)
    await refused(cited(gateway), receipt(agreement=agreement_digest(forged.agreement), at=FROM))
    gateway.serve(package(SECOND))
    await cited(gateway).require(receipt(agreement=D2, at=FROM))


async def test_the_first_version_is_the_one_that_our_register_names_and_its_founders_signed() -> None:
    gateway = Gateway(package(FIRST, ("vw",)))
    await refused(cited(gateway), receipt())
    gateway.serve(package(FIRST, withdrawn={"ind": NOW + 5}))
    await cited(gateway).require(receipt())  # who left it since had signed it then
    gateway.served[D1] = {**gateway.served[D1], "agreement": {**FIRST, "version": "changed"}}
    await refused(cited(gateway), receipt())


@pytest.mark.parametrize("wrong", [{"agreement": ...}, {"agreement": 7}, {"at": ...}, {"at": "2030"}])
async def test_a_decision_that_cites_no_version_or_no_instant_is_refused(wrong: dict[str, Any]) -> None:
    versions = cited(Gateway(package(FIRST)))
    await versions.require(receipt())
    await refused(versions, receipt(**wrong))


async def test_an_entry_that_decides_nothing_needs_no_agreement() -> None:
    gateway = Gateway()
    await cited(gateway).require(receipt(categories=..., agreement=...))
    assert gateway.asked == 0


async def test_a_gateway_that_does_not_answer_proves_nothing_either_way() -> None:
    gateway = Gateway(package(FIRST))
    gateway.down = True
    versions = cited(gateway)
    with pytest.raises(GatewayUnreachable):
        await versions.require(receipt())
    gateway.down = False
    await versions.require(receipt())
