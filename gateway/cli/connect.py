"""Become a party at the command line: its keys, its register, its session at the gateway."""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from adapters.kit.certificates import connecting
from adapters.kit.key_directory import KeyDirectory
from adapters.kit.keys import Keystore, KeystoreError
from adapters.kit.register import Register, RegisterError
from adapters.kit.session import GatewaySession
from adapters.protocol import ClientIdentifier, Role, Scheme, Worker
from adapters.requester import Requester
from gateway.cli.present import fail, read_json_file
from gateway.clock import system_clock

# For a party's own system, outside the sandbox: where its keys and its copy of the register are.
VARIABLES = (
    "POORT_REQUESTER_PARTY",
    "POORT_REQUESTER_GATEWAY_URL",
    "POORT_REQUESTER_KEYS_FOLDER",
    "POORT_REQUESTER_KEYS_PASSPHRASE",
    "POORT_REQUESTER_DEPLOYMENT_FOLDER",
)
# Beside them: where the gateway is found, if not at its URL (base URLs in the order to try, between spaces).
ADDRESSES_VARIABLE = "POORT_REQUESTER_GATEWAY_ADDRESSES"
# Where the ledger's last verified checkpoint is kept: the folder of the keys, if this names no other.
STATE_VARIABLE = "POORT_REQUESTER_STATE_FOLDER"
# And where they are needed: who vouches for the gateway, and the client certificate to show it.
TLS_VARIABLES = (
    "POORT_REQUESTER_GATEWAY_CA_FILE",
    "POORT_REQUESTER_GATEWAY_CERTIFICATE_FILE",
    "POORT_REQUESTER_GATEWAY_KEY_FILE",
)


@dataclass(frozen=True, slots=True)
class Identity:
    """What it takes to be a party at a gateway."""

    party: str
    gateway_url: str
    keystore: Keystore
    register: Register
    tls: ssl.SSLContext | None = None
    by_certificate: bool = False  # `tls` has a client certificate, which our key list names
    gateway_addresses: Sequence[str] = ()  # where the gateway is found, if not at its URL
    state_folder: Path | None = (
        None  # for what this party saw of the ledger; None: forget it with the process
    )


@asynccontextmanager
async def connected(identity: Identity) -> AsyncIterator[Requester]:
    """Open a session as this party for the length of an `async with`."""
    session = GatewaySession(
        identity.gateway_url,
        identity.party,
        identity.keystore.signing("sign"),
        system_clock,
        identity.tls,
        issuer=identity.register.issuer,
        addresses=identity.gateway_addresses,
        by_certificate=identity.by_certificate,
    )
    try:
        directory = KeyDirectory(identity.register, session.fetch_key_list, system_clock)
        yield Requester(
            session,
            identity.keystore,
            identity.register,
            directory,
            identity.party,
            system_clock,
            identity.state_folder,
        )
    finally:
        await session.close()


def identify(sandbox: Path | None, party: str | None) -> Identity:
    """Find who acts: a party of a sandbox file, or the one that the environment names."""
    return _from_environment() if sandbox is None else _from_sandbox(sandbox, party)


def find_client(text: str, sandbox: Path | None) -> ClientIdentifier:
    """Read a client as the command line names it; a persona's name stands for its V-number."""
    given = typer.get_text_stream("stdin").readline().strip() if text == "-" else text
    scheme, colon, value = given.partition(":")
    try:
        if colon:
            return ClientIdentifier(scheme=Scheme(scheme), value=value)
        personas = read_json_file(sandbox)["personas"] if sandbox else []
        persona = next((one for one in personas if one["name"] == given.lower()), None)
        if persona is not None:
            return ClientIdentifier(scheme=Scheme.V_NUMBER, value=persona["v_number"])
    except ValueError:
        pass
    # The text is not repeated: it may be a number of someone.
    raise typer.BadParameter(
        "name a persona of the sandbox, `v-number:` with ten digits, or `party-number:` with a number"
    )


def find_worker(text: str, party: str, sandbox: Path | None, role: str | None = None) -> Worker:
    """Read a worker as `id` of the sandbox, or as `id:role`."""
    worker_id, colon, named_role = text.partition(":")
    known: list[dict[str, str]] = []
    if not colon and sandbox is not None:
        known = read_json_file(sandbox)["parties"].get(party, {}).get("workers", [])
        named_role = next((one["role"] for one in known if one["id"] == worker_id), "")
    try:
        return Worker(id=worker_id, role=Role(named_role or role or ""))
    except ValueError:
        # The text is not repeated: someone may have typed a name.
        raise typer.BadParameter(_how_to_name_a_worker(party, known)) from None


def _how_to_name_a_worker(party: str, known: Sequence[Mapping[str, str]]) -> str:
    roles = ", ".join(role.value for role in Role)
    anew = f"a pseudonym and a role, as in `vw-jurist-12:caseworker`; roles are {roles}"
    if not known:
        return f"name a worker by {anew}"
    listed = ", ".join(f"{one['id']} ({one['role']})" for one in known)
    return f"{party} has no such worker in the sandbox. Name one of {listed}; or someone else by {anew}"


def _from_sandbox(sandbox: Path, party: str | None) -> Identity:
    if not sandbox.exists():
        fail(
            f"There is no file {sandbox}. `poort up` writes it, and removes it when it ends: is that running?"
        )
    content: Mapping[str, Any] = read_json_file(sandbox)
    parties = content["parties"]
    if party is None or party not in parties:
        raise typer.BadParameter(f"--as one of: {', '.join(parties)}")
    register = Register.read(content["register"])
    keystore = Keystore(parties[party]["private_keys"])
    return Identity(
        party,
        content["gateway"],
        keystore,
        register,
        gateway_addresses=content.get("gateways", ()),
        state_folder=sandbox.resolve().parent / "seen" / party,
    )


def _from_environment() -> Identity:
    missing = [name for name in VARIABLES if not os.environ.get(name)]
    if missing:
        raise typer.BadParameter(f"give --sandbox and --as, or set {', '.join(missing)}")
    party, url, keys, passphrase, deployment = (os.environ[name] for name in VARIABLES)
    ca, certificate, key = (
        Path(os.environ[name]) if os.environ.get(name) else None for name in TLS_VARIABLES
    )
    try:
        tls = connecting(ca, certificate, key)
    except (OSError, ValueError) as trouble:
        fail(f"The files of {', '.join(TLS_VARIABLES)} cannot be used ({type(trouble).__name__}).")
    try:
        keystore, register = Keystore.load(Path(keys), passphrase), Register.load(Path(deployment))
        addresses = os.environ.get(ADDRESSES_VARIABLE, "").split()
        state = Path(os.environ.get(STATE_VARIABLE) or keys)
        return Identity(party, url, keystore, register, tls, certificate is not None, addresses, state)
    except KeystoreError as error:
        fail(f"The keys in {keys} cannot be used ({error.code}).")
    except RegisterError as error:
        fail(f"The register in {deployment} cannot be used ({error.code}).")
