"""The pinned OPA, and what it is given to decide by."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.kit.keys import SigningKey
from adapters.kit.register import SignedAgreement, agreement_digest
from gateway.policy.bundle import PolicyBundle, bundle_of
from gateway.policy.wasm import WasmEngine
from tests import opa as opa_here
from tests.integration.policy.server import Opa, Opas
from tests.matrix.agreements import as_signed

ROOT = Path(__file__).resolve().parents[3]
POLICIES = ROOT / "policies"


@pytest.fixture(scope="session")
def opa_binary() -> str:
    return str(opa_here.binary())


@pytest.fixture(scope="session")
def opas(opa_binary: str, tmp_path_factory: pytest.TempPathFactory) -> Opas:
    return Opas(opa_binary, tmp_path_factory.mktemp("opa"), SigningKey.generate())


@pytest.fixture(scope="session")
def agreement() -> SignedAgreement:
    data = as_signed()
    return SignedAgreement(agreement_digest(data), data, frozenset(data["parties"]))


@pytest.fixture(scope="session")
def bundle(agreement: SignedAgreement) -> PolicyBundle:
    return bundle_of(POLICIES, {agreement.digest: agreement.data})


@pytest.fixture(scope="session")
def wasm(agreement: SignedAgreement) -> WasmEngine:
    return WasmEngine.load(POLICIES / "build", POLICIES, agreement)


@pytest.fixture(scope="module")
def opa(opas: Opas, bundle: PolicyBundle) -> Iterator[Opa]:
    """An OPA that has the bundle in force."""
    with opas.running(opas.sign(bundle)) as running:
        yield running
