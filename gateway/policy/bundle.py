"""Make the bundle that an OPA server decides by, signed by the gateway's `bundle` key.

    policies/*.rego + agreements ──bundle_of──▶ PolicyBundle ──signed──▶ bundle.tar.gz
                                                      │
                                                   revision: what every answer must cite

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
from gateway.policy.rego import base_document
from gateway.policy.rego_files import rego_files

# How an OPA's configuration and its answers call our bundle, and what its signature is for.
BUNDLE: Final = "dossierpoort"
KEY_USE: Final = "bundle"
SIGNATURE_TYP: Final = "opa-bundle-signature+jwt"
_AUTHORISATION = Path(__file__).with_name("opa_authz.rego")
# OPA hashes what these hold, not how it is written.
_STRUCTURED = frozenset({".manifest", "data.json"})


class BundleRefused(Exception):
    """There is nothing to make a bundle of."""


@dataclass(frozen=True, slots=True)
class PolicyBundle:
    """The policies and every version held. Equal content has an equal revision, whoever signs it and when."""

    revision: str
    files: Mapping[str, bytes]

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

    Who signed them is no part of it: a signature given or withdrawn needs no new bundle. Raises BundleRefused
    where there is no policy, or no version.
    """
    policies = rego_files(policies_dir)
    if not policies:
        raise BundleRefused("there are no policies")
    if not agreements:
        raise BundleRefused("there is no agreement")
    policies["system/authz.rego"] = _AUTHORISATION.read_bytes()
    revision = _revision(policies, agreements)
    # The root "" is everything: nobody adds a rule or a fact beside ours, by another bundle or by the API.
    manifest = {"revision": revision, "roots": [""], "rego_version": 1}
    data = base_document(agreements)
    return PolicyBundle(revision, {".manifest": _json(manifest), "data.json": _json(data), **policies})


def opa_configuration(key: SigningKey, bundle: Path) -> bytes:
    """Return the file for `opa run --config-file`: take this bundle, and only under this key's signature."""
    return (
        json.dumps(
            {
                "keys": {key.kid: {"algorithm": "ES256", "key": public_pem(key).decode(), "scope": BUNDLE}},
                "bundles": {
                    BUNDLE: {
                        "resource": bundle.resolve().as_uri(),
                        # Without this member OPA would take an unsigned bundle as well.
                        "signing": {"keyid": key.kid, "scope": BUNDLE},
                    }
                },
            },
            indent=1,
        ).encode()
        + b"\n"
    )


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
        "agreements": sorted(agreements),
        "policies": {name: hashlib.sha256(content).hexdigest() for name, content in policies.items()},
    }
    return "sha-256:" + encode_base64url(hashlib.sha256(rfc8785.dumps(described)).digest())


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
