"""A throw-away certificate authority: certificates for a demonstration, and for tests of TLS.

In production the parties' certificates come from PKIoverheid, those between our own processes from
whatever the organisation has; nothing else of the product knows this module.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from adapters.kit.certificates import certificate_thumbprint

CA_NAME = "ca.pem"
CERTIFICATE_NAME, KEY_NAME = "certificate.pem", "key.pem"
_VALID_FOR = timedelta(days=90)
# A clock somewhat behind ours must not refuse a certificate made just now.
_BACKDATED = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def der(self) -> bytes:
        """The certificate as TLS carries it."""
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> bytes:
        """The certificate as files carry it."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def thumbprint(self) -> str:
        """The name under which a key list lists it."""
        return certificate_thumbprint(self.der)

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write certificate and key (mode 0600) into a folder of mode 0700; return where they are."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        certificate, key = folder / CERTIFICATE_NAME, folder / KEY_NAME
        certificate.write_bytes(self.pem)
        private = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        with os.fdopen(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(private)
        return certificate, key


class Authority:
    """Signs certificates with a key that only this process has."""

    def __init__(self, *, now: int) -> None:
        """Make a new authority; `now` in Unix seconds."""
        self._now = datetime.fromtimestamp(now, UTC)
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("A throw-away authority")
        certificate = (
            self._draft(name, name, key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        self.own = Issued(certificate, key)

    def issue(
        self, name: str, hosts: Sequence[str] = (), *, key: ec.EllipticCurvePrivateKey | None = None
    ) -> Issued:
        """Issue a certificate for clients and, with `hosts`, for servers; `key` renews one that exists."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        uses = [ExtendedKeyUsageOID.CLIENT_AUTH, *([ExtendedKeyUsageOID.SERVER_AUTH] if hosts else [])]
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.own.key.public_key())
        draft = (
            self._draft(_name(name), self.own.certificate.subject, key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
            .add_extension(authority, critical=False)
        )
        if hosts:
            draft = draft.add_extension(x509.SubjectAlternativeName([_host(each) for each in hosts]), False)
        return Issued(draft.sign(self.own.key, hashes.SHA256()), key)

    def _draft(
        self, subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now - _BACKDATED)
            .not_valid_after(self._now + _VALID_FOR)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        )


def write_certificates(folder: Path, hosts: Mapping[str, Sequence[str]], *, now: int) -> dict[str, str]:
    """Write an authority's certificate and one folder per holder; return the thumbprints by holder.

    The authority's key is kept nowhere: whoever needs another certificate provisions anew.
    """
    authority = Authority(now=now)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / CA_NAME).write_bytes(authority.own.pem)
    thumbprints = {}
    for holder, names in hosts.items():
        issued = authority.issue(holder, names)
        issued.write(folder / holder)
        thumbprints[holder] = issued.thumbprint
    return thumbprints


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
