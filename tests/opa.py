"""The pinned OPA for tests, or a loud word that there is none."""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path

import pytest

NOT_HERE = "DID NOT RUN: there is no OPA here, and no Go to build it with"
_ROOT = Path(__file__).resolve().parents[1]
_NEITHER = 3  # what .ci/opa says where OPA is neither here nor can be built


@cache
def find() -> Path | None:
    """Return the OPA to run, built if need be, or None where it cannot be had; under CI that is an error."""
    looked = subprocess.run([_ROOT / ".ci" / "opa"], capture_output=True, text=True, check=False)
    if looked.returncode == _NEITHER and not os.environ.get("CI"):
        return None
    assert looked.returncode == 0, looked.stderr
    return Path(looked.stdout.strip())


def binary() -> Path:
    """Return the OPA to run; skip where it cannot be had."""
    found = find()
    if found is None:
        pytest.skip(NOT_HERE)
    return found


def was_missed() -> bool:
    """Tell whether a test asked for an OPA that is not here."""
    return find.cache_info().currsize > 0 and find() is None
