"""Make the bundle that an OPA server decides by, signed by the gateway's `bundle` key.

    policies/*.rego + agreements ──bundle_of──▶ PolicyBundle ──signed──▶ bundle.tar.gz
                                                      │
                                                   revision: what every answer cites

The revision names the policies and each version by its digest. A question reads the version that it names and
no other, so an answer under that version is the same by every bundle that lists it beside these policies:
gateways that share an OPA need not learn of a new version in the same second.

The signature has OPA's own form (.signatures.json), so OPA refuses by itself whatever was changed on the way.
https://www.openpolicyagent.org/docs/management-bundles
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import rfc8785
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from adapters.kit import jose
from adapters.kit.keys import SigningKey
from adapters.kit.strict_json import encode_base64url
from gateway.policy.port import PolicyBuildRefused
from gateway.policy.rego import base_document
from gateway.policy.rego_files import rego_files

# How an OPA's configuration and its answers call our bundle, and what its signature is for.
BUNDLE: Final = "dossierpoort"
KEY_USE: Final = "bundle"
SIGNATURE_TYP: Final = "opa-bundle-signature+jwt"
_AUTHORISATION = Path(__file__).with_name("opa_authz.rego")
# OPA hashes what these hold, not how it is written.
_STRUCTURED = frozenset({".manifest", "data.json"})
# Where a gateway offers its bundle, below its base URL.
PATH: Final = "/v1/policy-bundle"
# How often an OPA looks there, at least and at most. A new version is signed long before it is in force.
POLL_SECONDS: Final = (5, 10)
# Between the digests of a revision; no digest has it.
_AND = "+"


@dataclass(frozen=True, slots=True)
class PolicyBundle:
    """The policies and every version held. Equal content has an equal revision, whoever signs it and when."""

    revision: str
    files: Mapping[str, bytes]

    def holding(self, agreements: Mapping[str, Mapping[str, object]]) -> PolicyBundle:
        """Return the bundle of the same policies with exactly these versions; raise PolicyBuildRefused."""
        policies = {name: content for name, content in self.files.items() if name not in _STRUCTURED}
        return _bundle(policies, agreements)

    def decides_as(self, unverified_revision: str, agreement: str) -> bool:
        """Tell whether a bundle of that revision answers under this version as we would; we hold it, too."""
        policies, *versions = self.revision.split(_AND)
        their_policies, *theirs = unverified_revision.split(_AND)
        return policies == their_policies and agreement in versions and agreement in theirs

    def signed(self, key: SigningKey, *, issuer: str, now: int) -> bytes:
        """Return the archive (tar, gzip) with OPA's signature over the digest of every file."""
        statement = {
            "iss": issuer,
            "iat": now,
            "scope": BUNDLE,
            "keyid": key.kid,
            "files": [
                {"name": name, "hash": _opa_digest(name, content), "algorithm": "SHA-256"}
                for name, content in self.files.items()
            ],
        }
        signatures = _json({"signatures": [jose.sign(statement, key, SIGNATURE_TYP)]})
        return archive({".signatures.json": signatures, **self.files})


def bundle_of(policies_dir: Path, agreements: Mapping[str, Mapping[str, object]]) -> PolicyBundle:
    """Put together what decides under these versions, digest → document.

    Who signed them is no part of it: a signature given or withdrawn needs no new bundle. Raises
    PolicyBuildRefused where there is no policy, no version, or one that is not JSON.
    """
    policies = rego_files(policies_dir)
    if not policies:
        raise PolicyBuildRefused("there are no policies")
    return _bundle({**policies, "system/authz.rego": _AUTHORISATION.read_bytes()}, agreements)


def _bundle(policies: Mapping[str, bytes], agreements: Mapping[str, Mapping[str, object]]) -> PolicyBundle:
    if not agreements:
        raise PolicyBuildRefused("there is no agreement")
    try:
        data = _json(base_document(agreements))
    except ValueError as error:
        raise PolicyBuildRefused("an agreement is not JSON") from error
    revision = _revision(policies, agreements)
    # The root "" is everything: nobody adds a rule or a fact beside ours, by another bundle or by the API.
    manifest = {"revision": revision, "roots": [""], "rego_version": 1}
    return PolicyBundle(revision, {".manifest": _json(manifest), "data.json": data, **policies})


def archive_in(folder: Path) -> Path:
    """Say where the bundle lies in OPA's folder: where OPA itself keeps the one that it fetched last."""
    return folder / "bundles" / BUNDLE / "bundle.tar.gz"


def opa_configuration(
    key: SigningKey, folder: Path, *, gateway: str = "", poll_seconds: tuple[int, int] = POLL_SECONDS
) -> bytes:
    """Return the file for `opa run --config-file`: take our bundle, and only under this key's signature.

    It takes the one that lies in its `folder` (`archive_in`). With `gateway`, the base URL of one or of
    several behind a name, it then looks there for another, again after so many seconds (at least, at most),
    and keeps in the folder what it found.
    """
    # Without `signing` OPA would take an unsigned bundle as well.
    source: dict[str, object] = {"signing": {"keyid": key.kid, "scope": BUNDLE}}
    told: dict[str, object] = {
        "keys": {key.kid: {"algorithm": "ES256", "key": public_pem(key).decode(), "scope": BUNDLE}},
        "bundles": {BUNDLE: source},
    }
    if gateway:
        least, most = poll_seconds
        source |= {"service": "gateway", "resource": PATH.lstrip("/"), "persist": True}
        source |= {"polling": {"min_delay_seconds": least, "max_delay_seconds": most}}
        told |= {
            "services": {"gateway": {"url": gateway}},
            "persistence_directory": str(folder.resolve()),
        }
    else:
        source |= {"resource": archive_in(folder).resolve().as_uri()}
    return json.dumps(told, indent=1).encode() + b"\n"


def opa_arguments(configuration: Path, listen: str) -> tuple[str, ...]:
    """Return what follows `opa` to run the server; certificates come on top where it is not on loopback."""
    return (
        "run",
        "--server",
        f"--addr={listen}",
        f"--config-file={configuration}",
        "--authorization=basic",  # by opa_authz.rego; without a bundle, nobody may ask anything
        "--optimize-store-for-read-speed",  # the agreement is read at every decision: 2.7 times the speed
        "--log-level=error",  # its request log tells who asks when
        "--skip-version-check",  # else it calls home
    )


def public_pem(key: SigningKey) -> bytes:
    """Return the public half as OPA reads it."""
    return key.raw.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def archive(files: Mapping[str, bytes]) -> bytes:
    """Pack files; the same files make the same bytes."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o644
            tar.addfile(member, io.BytesIO(content))
    return gzip.compress(packed.getvalue(), mtime=0)


def _revision(policies: Mapping[str, bytes], agreements: Iterable[str]) -> str:
    described: dict[str, Any] = {
        name: hashlib.sha256(content).hexdigest() for name, content in policies.items()
    }
    policy = "sha-256:" + encode_base64url(hashlib.sha256(rfc8785.dumps(described)).digest())
    return _AND.join((policy, *sorted(agreements)))


def _opa_digest(name: str, content: bytes) -> str:
    hashed = b"".join(_walk(json.loads(content))) if name in _STRUCTURED else content
    return hashlib.sha256(hashed).hexdigest()


def _walk(value: object) -> Iterator[bytes]:
    """Yield what OPA hashes of a document (its v1/bundle/hash.go): compact, members in order of name."""
    if isinstance(value, dict):
        yield b"{"
        for position, name in enumerate(sorted(value, key=str.encode)):
            yield b"," if position else b""
            yield _primitive(name) + b":"
            yield from _walk(value[name])
        yield b"}"
    elif isinstance(value, list):
        yield b"["
        for position, element in enumerate(value):
            yield b"," if position else b""
            yield from _walk(element)
        yield b"]"
    else:
        yield _primitive(value)


def _primitive(value: object) -> bytes:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    # The two characters that Go's encoder escapes and Python's does not.
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").encode()


def _json(content: Mapping[str, object]) -> bytes:
    return json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode()
