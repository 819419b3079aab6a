"""Make what `compose/compose.yaml` mounts: keys, certificates, secrets; for its host names.

<folder>/keys, deployment    as for any deployment (gateway.cli.provision)
<folder>/tls                 one authority, one certificate per holder
<folder>/secrets             one file per secret, mode 0600: containers get them by name
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from gateway.cli.cast import PARTIES, SOURCES
from gateway.cli.provision import GATEWAY, Addresses, Deployment, provision

ISSUER: Final = "https://poort.example:8443"
DATABASE: Final = "database"
# Those who hold a certificate but no keys of the register.
_SERVERS: Final = {"proxy": urlsplit(ISSUER).hostname or "", "opa": "opa"}

ADDRESSES: Final = Addresses(
    gateway=ISSUER,
    adapters={source.name: f"https://adapter-{source.name}:8410" for source in SOURCES},
    simulators={source.name: f"http://simulator-{source.name}:8500" for source in SOURCES},
)


def provision_containers(folder: Path, *, now: int) -> Deployment:
    """Make everything anew. Whoever runs this must be the user under whom the containers run."""
    hosts: dict[str, list[str]] = {name: [] for name in (GATEWAY, *(party.id for party in PARTIES))}
    for source in SOURCES:
        hosts[source.party].append(urlsplit(ADDRESSES.adapters[source.name]).hostname or "")
    hosts |= {server: [name] for server, name in _SERVERS.items()}
    deployment = provision(folder, ADDRESSES, now=now, tls=hosts)

    password = secrets.token_urlsafe(32)
    files = {f"{name}-passphrase": holder.passphrase for name, holder in deployment.holders.items()}
    files["database-password"] = password
    files["database-url"] = f"postgresql+asyncpg://poort:{password}@{DATABASE}:5432/poort"
    _write(folder / "secrets", files)
    return deployment


def _write(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    for name, content in files.items():
        path = folder / name
        path.unlink(missing_ok=True)
        # Created with its mode: there is no moment at which others can read it.
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(content)
