"""The pinned OPA, or a loud word that there is none."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.kit.keys import SigningKey
from adapters.kit.register import SignedAgreement, agreement_digest
from gateway.policy.bundle import PolicyBundle, bundle_of
from gateway.policy.wasm import WasmEngine
from tests.integration.policy.server import Opa, Opas

ROOT = Path(__file__).resolve().parents[3]
POLICIES = ROOT / "policies"
NO_OPA = 3  # what .ci/opa says where OPA is neither here nor can be built


@pytest.fixture(scope="session")
def opa_binary() -> str:
    found = subprocess.run([ROOT / ".ci" / "opa"], capture_output=True, text=True, check=False)
    if found.returncode == NO_OPA and not os.environ.get("CI"):
        loud = "THE TESTS WITH AN OPA SERVER DID NOT RUN: there is no OPA here, and no Go to build it with"
        print(f"\n*** {loud} ***", file=sys.__stderr__)  # a skip alone would scroll by
        pytest.skip(loud)
    assert found.returncode == 0, found.stderr
    return found.stdout.strip()


@pytest.fixture(scope="session")
def opas(opa_binary: str, tmp_path_factory: pytest.TempPathFactory) -> Opas:
    return Opas(opa_binary, tmp_path_factory.mktemp("opa"), SigningKey.generate())


@pytest.fixture(scope="session")
def agreement() -> SignedAgreement:
    data: dict[str, Any] = json.loads((POLICIES / "agreement" / "agreement.json").read_bytes())
    return SignedAgreement(agreement_digest(data), data, frozenset(data["parties"]))


@pytest.fixture(scope="session")
def bundle(agreement: SignedAgreement) -> PolicyBundle:
    return bundle_of(POLICIES, agreement)


@pytest.fixture(scope="session")
def wasm(agreement: SignedAgreement) -> WasmEngine:
    return WasmEngine.load(POLICIES / "build", POLICIES, agreement)


@pytest.fixture(scope="module")
def opa(opas: Opas, bundle: PolicyBundle) -> Iterator[Opa]:
    """An OPA that has the bundle in force."""
    with opas.running(opas.sign(bundle)) as running:
        yield running
