"""Know a TLS certificate by its thumbprint, and connect with one (RFC 8705).

A party lists the thumbprints of its certificates in its signed key list, so what counts is what the
party itself said, not which authority signed a certificate or which name stands in it.
"""

from __future__ import annotations

import hashlib
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from adapters.kit.strict_json import encode_base64url

USE: Final = "tls"
# The name that RFC 8705 §3.1 gives it, in `cnf` as in our key lists.
MEMBER: Final = "x5t#S256"
_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")


@dataclass(frozen=True, slots=True)
class ListedCertificate:
    """A certificate of a key list and when it holds, Unix seconds, the end excluded."""

    thumbprint: str
    nbf: int
    exp: int


def certificate_thumbprint(der: bytes) -> str:
    """Name a certificate by the SHA-256 of its DER bytes, base64url (RFC 8705 §3.1)."""
    return encode_base64url(hashlib.sha256(der).digest())


def read_listed(entry: Mapping[str, object]) -> ListedCertificate:
    """Take an entry of a key list apart; raise TypeError unless it has exactly the members it should."""
    if set(entry) != {"use", MEMBER, "nbf", "exp"} or entry["use"] != USE:
        raise TypeError("not a certificate's entry")
    named, nbf, exp = entry[MEMBER], entry["nbf"], entry["exp"]
    if not isinstance(named, str) or not _THUMBPRINT.fullmatch(named):
        raise TypeError("not a thumbprint")
    if type(nbf) is not int or type(exp) is not int:
        raise TypeError("an integer was expected")
    return ListedCertificate(named, nbf, exp)


def connecting(
    ca: Path | None, certificate: Path | None = None, key: Path | None = None
) -> ssl.SSLContext | None:
    """Return how to connect: which authority vouches for the other end, and who we say we are.

    None when no file is named: then the machine's own authorities count. Raises OSError for a file
    that cannot be read or does not fit, ValueError for a key without a certificate.
    """
    if key is not None and certificate is None:
        raise ValueError("a key without its certificate")
    if ca is None and certificate is None:
        return None
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context
