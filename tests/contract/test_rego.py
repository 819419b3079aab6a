"""The policies' own tests, with the pinned OPA; and that the compiled module is theirs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.opa import binary

ROOT = Path(__file__).resolve().parents[2]
NO_OPA = 3  # what .ci/policy says where OPA is neither here nor can be built


@pytest.mark.parametrize("mode", ["--test", "--check"])
def test_the_policies_pass_opa(mode: str) -> None:
    ran = subprocess.run(
        [sys.executable, ROOT / ".ci" / "policy", mode], capture_output=True, text=True, check=False
    )
    if ran.returncode == NO_OPA and not os.environ.get("CI"):
        loud = "THE REGO TESTS DID NOT RUN: there is no OPA here, and no Go to build it with"
        print(f"\n*** {loud} ***", file=sys.__stderr__)  # a skip alone would scroll by
        pytest.skip(loud)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.opa
@pytest.mark.parametrize(
    ("name", "stands", "instead"),
    [
        ("involvement.rego", "input.worker_on_case", "input.worker_on_kase"),
        ("terms.rego", "input.founding_signed", "input.signed_by"),
        (
            "consent.rego",
            "some granted in input.consents[category]",
            "some granted in input.consent[category]",
        ),
    ],
)
def test_a_fact_that_the_gateway_never_sends_is_found(
    tmp_path: Path, name: str, stands: str, instead: str
) -> None:
    binary()
    policies = tmp_path / "policies"
    shutil.copytree(ROOT / "policies", policies)
    command = [sys.executable, ROOT / ".ci" / "policy", "--test", policies]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    text = (policies / name).read_text()
    assert stands in text
    (policies / name).write_text(text.replace(stands, instead))
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert f"{name}:" in ran.stderr
    assert "undefined ref" in ran.stderr
