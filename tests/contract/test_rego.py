"""The policies' own tests, with the pinned OPA; and that the compiled module is theirs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

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
