"""Make what a deployment starts from: keys, one folder per holder, and the agreement signed by all.

    var/keys/<holder>/keystore.json     private keys, encrypted, mode 0700; read by that holder alone
    var/deployment/<holder>/            public: register, agreement, signatures (the gateway: key lists)
    var/tls/                            where asked for: a throw-away authority's certificates

Every holder has its own copy, so that trust in a key never comes from where the message came from.
"""

from __future__ import annotations

import fcntl
import json
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapters.kit.keys import Keystore
from adapters.kit.register import agreement_digest, sign_agreement, sign_key_list
from gateway.cli.authority import write_certificates
from gateway.cli.cast import PARTIES, SOURCES
from gateway.ledger.checkpoint import LedgerSigner

GATEWAY = "gateway"
AGREEMENT = Path(__file__).resolve().parents[2] / "policies" / "agreement" / "agreement.json"
# A demonstration's keys: as long as the longest stay in the shelter.
_KEY_SECONDS = 550 * 24 * 3600
_GATEWAY_USES = ("identity", "order", "receipt", "token", "bundle")
_PARTY_USES = ("identity", "sign", "encrypt")


class ProvisionFailed(Exception):
    """The folder cannot be prepared; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where each process will listen: base URLs without a slash at the end.

    `gateway` is the issuer too, the one name under which every gateway is known.
    """

    gateway: str
    adapters: Mapping[str, str]
    simulators: Mapping[str, str]
    more_gateways: tuple[str, ...] = ()  # beside the first, on the same database

    @property
    def gateways(self) -> tuple[str, ...]:
        """Where every gateway listens."""
        return (self.gateway, *self.more_gateways)

    def gateways_for(self, caller: int) -> tuple[str, ...]:
        """Return the gateways in the order in which one of many callers tries them; neighbours differ."""
        first = caller % len(self.gateways)
        return self.gateways[first:] + self.gateways[:first]


@dataclass(frozen=True, slots=True)
class Holder:
    """One holder of keys: where its keys and its copy of the public data are."""

    name: str
    keys_folder: Path
    deployment_folder: Path
    passphrase: str = field(repr=False)

    def keystore(self) -> Keystore:
        """Open this holder's keys."""
        return Keystore.load(self.keys_folder, self.passphrase)


@dataclass(frozen=True, slots=True)
class Deployment:
    """A provisioned folder."""

    folder: Path
    addresses: Addresses
    holders: Mapping[str, Holder]

    def __getitem__(self, name: str) -> Holder:
        return self.holders[name]


@contextmanager
def reserved(folder: Path) -> Iterator[None]:
    """Keep a folder for one stack: a second one would take the keys from under the first."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".in-use").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ProvisionFailed(
                f"A stack already runs from {folder}. Stop it, or choose another folder with --folder."
            ) from None
        yield


def provision(
    folder: Path,
    addresses: Addresses,
    *,
    now: int,
    agreement: Path = AGREEMENT,
    tls: Mapping[str, Sequence[str]] | None = None,
) -> Deployment:
    """Make all keys anew and sign with them; what an earlier run left in `folder` is removed first.

    `tls` (holder → the host names it serves under, perhaps none) makes certificates as well; those of
    parties go into their key lists.

    Only what provisioning itself makes is removed: keys, deployment and the gateway's database,
    which without the earlier keys is of no use to anyone.
    """
    _clear(folder)
    text = agreement.read_bytes()
    digest = agreement_digest(json.loads(text))
    holders = {name: _make_keys(folder, name, now) for name in (GATEWAY, *(p.id for p in PARTIES))}
    stores = {name: holder.keystore() for name, holder in holders.items()}
    public = {
        "register.json": _json(_register(stores, addresses.gateway, digest)),
        "agreement.json": text,
    } | {
        f"signatures/{party.id}.jws": sign_agreement(
            key=stores[party.id].signing("identity"), party=party.id, digest=digest, now=now
        ).encode()
        for party in PARTIES
    }
    shown = write_certificates(folder / "tls", tls, now=now) if tls is not None else {}
    lists = {
        f"key-lists/{name}.jws": _key_list(name, stores[name], now, shown.get(name)).encode()
        for name in stores
    }
    for name, holder in holders.items():
        files = public | lists if name == GATEWAY else public
        for path, content in files.items():
            target = holder.deployment_folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    return Deployment(folder, addresses, holders)


def gateway_environment(
    deployment: Deployment, *, number: int = 0, database_url: str | None = None
) -> dict[str, str]:
    """Settings of a gateway's process (`gateway.settings`); `number` says which of several.

    Without `database_url`: a SQLite file in the deployment's folder, which serves one gateway.
    """
    holder = deployment[GATEWAY]
    return {
        "POORT_ISSUER": deployment.addresses.gateway,
        "POORT_HOST": "127.0.0.1",
        "POORT_PORT": deployment.addresses.gateways[number].rpartition(":")[2],
        "POORT_DATABASE_URL": database_url or f"sqlite:///{deployment.folder / 'gateway.sqlite'}",
        "POORT_KEYS_FOLDER": str(holder.keys_folder),
        "POORT_KEYS_PASSPHRASE": holder.passphrase,
        "POORT_DEPLOYMENT_FOLDER": str(holder.deployment_folder),
        "POORT_SOURCES": json.dumps({s.party: deployment.addresses.adapters[s.name] for s in SOURCES}),
        # Not a minute: who watches a demonstration waits, and here everyone has a new version within seconds.
        "POORT_AGREEMENT_LEAD_SECONDS": "3",
        # The agreement that is signed here has open questions, and no real client.
        "POORT_PROFILE": "demo",
    }


def _clear(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for made in ("keys", "deployment", "tls"):
        if (folder / made).is_symlink():
            raise ProvisionFailed(f"{folder / made} is a link. Remove it, or choose another folder.")
        shutil.rmtree(folder / made, ignore_errors=True)
    for database in folder.glob("*.sqlite*"):
        database.unlink()


def _make_keys(folder: Path, name: str, now: int) -> Holder:
    passphrase = secrets.token_urlsafe(32)
    keys_folder = folder / "keys" / name
    keys_folder.parent.mkdir(mode=0o700, exist_ok=True)
    ours = name == GATEWAY
    Keystore.create(
        keys_folder,
        holder=name,
        passphrase=passphrase,
        uses=_GATEWAY_USES if ours else _PARTY_USES,
        secrets=("lookup", "wrapping", "retry") if ours else (),
        ed25519=("checkpoint",) if ours else (),
        now=now,
    )
    return Holder(name, keys_folder, folder / "deployment" / name, passphrase)


def _register(stores: Mapping[str, Keystore], issuer: str, digest: str) -> dict[str, Any]:
    origin = "ledger.dossierpoort.example"
    parties = {
        party.id: {
            "kind": party.kind,
            "name": party.name,
            "identity_key": stores[party.id].public("identity"),
        }
        for party in PARTIES
    }
    parties[GATEWAY] = {
        "kind": GATEWAY,
        "name": "Dossierpoort",
        "identity_key": stores[GATEWAY].public("identity"),
    }
    vkey = LedgerSigner(origin, stores[GATEWAY].seed("checkpoint")).vkey
    return {
        "version": 1,
        "agreement": digest,
        "parties": parties,
        "ledger": {"origin": origin, "vkey": vkey},
        "issuer": issuer,
    }


def _key_list(name: str, keystore: Keystore, now: int, tls: str | None) -> str:
    return sign_key_list(
        key=keystore.signing("identity"),
        party=name,
        serial=1,
        now=now,
        exp=now + _KEY_SECONDS,
        # The identity key signs this list and the agreement, and stands in the register alone.
        keys=[(use, keystore.public(use)) for use in keystore.uses if use != "identity"],
        tls=[] if tls is None else [tls],
    )


def _json(value: object) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False).encode() + b"\n"
