"""Two parties and a gateway with their keys."""

from __future__ import annotations

import pytest

from adapters.kit.keys import SigningKey


@pytest.fixture(scope="session")
def key() -> SigningKey:
    """The key of whom the test trusts."""
    return SigningKey.generate()


@pytest.fixture(scope="session")
def other_key() -> SigningKey:
    """The key of somebody else."""
    return SigningKey.generate()


@pytest.fixture(scope="session")
def trusted(key: SigningKey) -> dict[str, dict[str, str]]:
    """What the verifier is handed: kid → public JWK of `key` alone."""
    return {key.kid: key.public}
