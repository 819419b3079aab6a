"""Read and write the versions of the agreement, who signed each, and which one is in force.

Nothing that stands here is believed for a decision: `package` returns what the parties signed, and
`adapters.kit.agreement_chain.read_version` verifies it against the gateway's own register.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import rfc8785
from sqlalchemy import Connection, Row, bindparam, insert, select, update

from adapters.kit import strict_json
from adapters.kit.agreement_chain import Act, Package, Version, read_version
from adapters.kit.register import SignedAgreement
from gateway.agreement import MAX_AGREEMENT_BYTES
from gateway.ledger.entry import Kind, record
from gateway.parties import raise_epoch
from gateway.storage.agreement_tables import agreement_signatures, agreement_versions
from gateway.storage.tables import gateway_state

if TYPE_CHECKING:
    from adapters.kit.register import Register
    from gateway.storage.unit_of_work import Transaction
    from gateway.vault import Vault

# Who "proposed" the version that came with the deployment folder: nobody did, over the API.
GATEWAY = "gateway"
_DEPLOYMENT = "deployment"
# The document may be megabytes; who activated it is for the ledger to tell.
_NOT_READ = ("document", "activated_by_party", "activated_by")
_OF_A_VERSION = [column for column in agreement_versions.c if column.name not in _NOT_READ]

_SIGNED = select(agreement_signatures).where(agreement_signatures.c.digest == bindparam("digest"))


@dataclass(frozen=True, slots=True)
class VersionRow:
    """A version as it was recorded, without its document. Instants in Unix seconds."""

    digest: str
    version: str
    supersedes: str | None
    founding: frozenset[str]
    valid_from: int
    valid_until: int
    proposed_by_party: str
    proposed_by: str
    proposed_at: int
    approved_by_party: str | None
    approved_by: str | None
    approved_at: int | None
    activated_at: int | None
    in_force_at: int | None
    superseded_at: int | None


@dataclass(frozen=True, slots=True)
class Head:
    """Which version is in force, and which comes next and when; None: none is scheduled."""

    in_force: str
    next_digest: str | None
    next_at: int | None


def head(conn: Connection) -> Head:
    """Read which version is in force, in the snapshot of this connection."""
    state = conn.execute(
        select(
            gateway_state.c.agreement_digest,
            gateway_state.c.next_agreement_digest,
            gateway_state.c.next_agreement_at,
        )
    ).one()
    return Head(*state)


def row(conn: Connection, digest: str) -> VersionRow | None:
    """Return one version, None where it was never proposed here."""
    found = conn.execute(select(*_OF_A_VERSION).where(agreement_versions.c.digest == digest)).first()
    return None if found is None else _row(found)


def rows(conn: Connection) -> tuple[VersionRow, ...]:
    """Return every version, in the order in which they say to begin."""
    order = (agreement_versions.c.valid_from, agreement_versions.c.proposed_at, agreement_versions.c.digest)
    return tuple(_row(found) for found in conn.execute(select(*_OF_A_VERSION).order_by(*order)))


def document(conn: Connection, digest: str) -> bytes | None:
    """Return a version as canonical JSON (RFC 8785), None where it was never proposed here."""
    found = conn.execute(
        select(agreement_versions.c.document).where(agreement_versions.c.digest == digest)
    ).scalar_one_or_none()
    return None if found is None else bytes(found)


def package(conn: Connection, digest: str) -> Package | None:
    """Return a version with all that was signed about it, for whoever verifies it."""
    canonical = document(conn, digest)
    if canonical is None:
        return None
    data = strict_json.loads(canonical, max_bytes=MAX_AGREEMENT_BYTES)
    return Package(data if isinstance(data, dict) else {}, *signed_statements(conn, digest))


def signed_statements(conn: Connection, digest: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the signatures under a version and the last withdrawals, by party, as they were signed.

    A withdrawal stays after its party signed anew: whoever knew of neither learns both.
    """
    found = conn.execute(_SIGNED, {"digest": digest}).all()
    return (
        {each.party_id: each.jws for each in found},
        {each.party_id: each.withdrawal for each in found if each.withdrawal is not None},
    )


def acts(conn: Connection, digest: str) -> dict[str, Act]:
    """Return by party what each did about a version, as it was verified when it came in."""
    found = conn.execute(_SIGNED, {"digest": digest})
    return {each.party_id: _act(each) for each in found}


def acts_of_all(conn: Connection) -> dict[str, dict[str, Act]]:
    """Return the same of every version that somebody signed, by its digest."""
    by_version: dict[str, dict[str, Act]] = {}
    for each in conn.execute(select(agreement_signatures)):
        by_version.setdefault(each.digest, {})[each.party_id] = _act(each)
    return by_version


def signed_by(conn: Connection, digest: str) -> frozenset[str]:
    """Return the parties whose signature on this version stands."""
    return frozenset(party for party, act in acts(conn, digest).items() if act.stands)


def as_recorded(known: VersionRow, by: Mapping[str, Act]) -> Version:
    """Return a version as the tables tell it, unverified and without its document: to show, not to decide."""
    standing = frozenset(party for party, act in by.items() if act.stands)
    return Version(
        SignedAgreement(known.digest, {}, standing),
        known.supersedes,
        known.valid_from,
        known.valid_until,
        known.founding,
        known.founding <= standing,
        by,
    )


def insert_anchor(tx: Transaction, anchor: Package, register: Register, now: int) -> None:
    """Keep the version of the deployment folder, in force from `now`, and signatures that are not kept yet.

    What a party did since is left alone: a restart does not undo a withdrawal. Raises RegisterError.
    """
    version = read_version(anchor, register, now)
    if row(tx.conn, version.digest) is None:
        insert_version(tx, version.digest, anchor.agreement, by=(GATEWAY, _DEPLOYMENT), now=now)
        _change(tx, version.digest, in_force_at=now)
    known = acts(tx.conn, version.digest)
    for party, act in version.acts.items():
        if party not in known:
            put_signature(tx, version.digest, party, act.signature, act.signed_at)


def insert_version(
    tx: Transaction, digest: str, agreement: Mapping[str, Any], *, by: tuple[str, str], now: int
) -> None:
    """Keep a version that a party's worker proposed. `agreement` has passed `gateway.terms_check.check`."""
    tx.conn.execute(
        insert(agreement_versions).values(
            digest=digest,
            version=agreement["version"],
            supersedes=agreement.get("supersedes"),
            founding_set=json.dumps(agreement["founding_set"]),
            document=rfc8785.dumps(dict(agreement)),
            valid_from=agreement["valid_from"],
            valid_until=agreement["valid_until"],
            proposed_by_party=by[0],
            proposed_by=by[1],
            proposed_at=now,
        )
    )


def put_approval(tx: Transaction, digest: str, *, by: tuple[str, str], now: int) -> None:
    """Keep who approved a version; the database refuses the person who proposed it."""
    _change(tx, digest, approved_by_party=by[0], approved_by=by[1], approved_at=now)


def put_signature(tx: Transaction, digest: str, party: str, jws: str, signed_at: int) -> None:
    """Keep a party's verified signature, instead of one that it took back. The withdrawal stays as well."""
    mine = {"digest": digest, "party_id": party}
    changed = tx.conn.execute(
        update(agreement_signatures).filter_by(**mine).values(jws=jws, signed_at=signed_at)
    )
    if changed.rowcount == 0:
        tx.conn.execute(insert(agreement_signatures).values(**mine, jws=jws, signed_at=signed_at))


def put_withdrawal(tx: Transaction, digest: str, party: str, jws: str, withdrawn_at: int) -> None:
    """Keep the verified statement by which a party takes its signature back."""
    tx.conn.execute(
        update(agreement_signatures)
        .filter_by(digest=digest, party_id=party)
        .values(withdrawal=jws, withdrawn_at=withdrawn_at)
    )


def schedule(tx: Transaction, digest: str, at: int, *, by: tuple[str, str], now: int) -> None:
    """Let a version come into force at an instant. Whether it may is the caller's to know."""
    _change(tx, digest, activated_by_party=by[0], activated_by=by[1], activated_at=now)
    tx.conn.execute(update(gateway_state).values(next_agreement_digest=digest, next_agreement_at=at))


def unschedule(tx: Transaction, digest: str) -> None:
    """Let the version in force stay, and the scheduled one wait to be activated anew."""
    _change(tx, digest, activated_by_party=None, activated_by=None, activated_at=None)
    tx.conn.execute(update(gateway_state).values(next_agreement_digest=None, next_agreement_at=None))


def turn(tx: Transaction, vault: Vault, now: int) -> str | None:
    """Put the scheduled version in force if its instant has come; return its digest, else None.

    Of several gateways one writes it: whoever comes later finds it done. What was decided before and
    not recorded yet is looked at again, since the party epoch rises.
    """
    found = head(tx.conn)
    if found.next_digest is None or found.next_at is None or now < found.next_at:
        return None
    _change(tx, found.in_force, superseded_at=found.next_at)
    _change(tx, found.next_digest, in_force_at=found.next_at)
    tx.conn.execute(
        update(gateway_state).values(
            agreement_digest=found.next_digest, next_agreement_digest=None, next_agreement_at=None
        )
    )
    raise_epoch(tx)
    record(
        tx,
        kind=Kind.AGREEMENT_CHANGED,
        detail={"from": found.in_force, "to": found.next_digest, "from_at": found.next_at, "at": now},
        key=vault.party_key(GATEWAY),
        now=now,
        party_id=GATEWAY,
    )
    return found.next_digest


def _change(tx: Transaction, digest: str, **values: str | int | None) -> None:
    tx.conn.execute(update(agreement_versions).where(agreement_versions.c.digest == digest).values(**values))


def _act(found: Row[Any]) -> Act:
    return Act(found.jws, found.signed_at, found.withdrawal, found.withdrawn_at)


def _row(found: Row[Any]) -> VersionRow:
    said = found._asdict()
    founding = frozenset(json.loads(said.pop("founding_set")))
    return VersionRow(**said, founding=founding)
