"""Versions of a small agreement, signed by real keys: what a chain is made of, and how one is forged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from adapters.kit.agreement_chain import Chain, Package, Version, read_version
from adapters.kit.keys import SigningKey
from adapters.kit.register import Register, agreement_digest, sign_agreement, sign_withdrawal

NOW = 1_800_000_000
DAY = 24 * 3600
KINDS = {"vw": "ngo", "askv": "ngo", "ind": "ind", "law": "lawyer", "gateway": "gateway"}
IDENTITIES = {party: SigningKey.generate() for party in KINDS}
FOUNDERS = ("vw", "ind")


def document(**overrides: Any) -> dict[str, Any]:
    """Return the first version, in force since yesterday, unless told otherwise."""
    return {
        "version": "1",
        "supersedes": None,
        "valid_from": NOW - DAY,
        "valid_until": NOW + 900 * DAY,
        "founding_set": list(FOUNDERS),
        **overrides,
    }


def successor(of: Mapping[str, Any], **overrides: Any) -> dict[str, Any]:
    """Return a version that takes the place of another, a day after it, unless told otherwise."""
    return {
        **of,
        "version": str(of["version"]) + "+",
        "supersedes": agreement_digest(of),
        "valid_from": of["valid_from"] + 2 * DAY,
        **overrides,
    }


def package(
    agreement: Mapping[str, Any],
    signed: Mapping[str, int] | Iterable[str] = FOUNDERS,
    withdrawn: Mapping[str, int] | None = None,
    *,
    keys: Mapping[str, SigningKey] | None = None,
) -> Package:
    """Return a version signed by these parties at these instants, an hour ago where none is said."""
    at = dict(signed) if isinstance(signed, Mapping) else dict.fromkeys(signed, NOW - 3600)
    digest, keys = agreement_digest(agreement), {**IDENTITIES, **(keys or {})}
    return Package(
        agreement,
        {p: sign_agreement(key=keys[p], party=p, digest=digest, now=t) for p, t in at.items()},
        {
            p: sign_withdrawal(key=keys[p], party=p, digest=digest, now=t)
            for p, t in (withdrawn or {}).items()
        },
    )


def register(anchor: Mapping[str, Any]) -> Register:
    """Return the register that names this version as the first."""
    parties = {
        party: {"kind": kind, "name": party, "identity_key": IDENTITIES[party].public}
        for party, kind in KINDS.items()
    }
    return Register.read(
        {
            "version": 1,
            "agreement": agreement_digest(anchor),
            "parties": parties,
            "ledger": {"origin": "test", "vkey": "test+00000000+AA"},
            "issuer": "http://gateway.test",
        }
    )


FIRST = document()
SECOND = successor(FIRST)
THIRD = successor(SECOND)
REGISTER = register(FIRST)


def first() -> Version:
    """Return the anchor, signed by its founders and by ASKV."""
    return read_version(package(FIRST, ("vw", "ind", "askv")), REGISTER, NOW)


def chain() -> Chain:
    """Return a chain that knows the anchor alone."""
    return Chain(first(), REGISTER)
