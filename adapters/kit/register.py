"""Say who is who: the party register, the key lists that parties sign, the agreement they signed.

The register is deployment data that each process has its own copy of. Everything else is believed
only as far as an identity key of the register signed it; so a gateway that serves a key list of its
own making is found out (DESIGN §4).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import rfc8785

from adapters.kit import certificates, jose
from adapters.kit.certificates import ListedCertificate
from adapters.kit.keys import KeyRefused, SigningKey, public_jwk, thumbprint
from adapters.kit.strict_json import StrictJsonError, encode_base64url, loads
from adapters.protocol import TYP_AGREEMENT_SIGNATURE, TYP_AGREEMENT_WITHDRAWAL, TYP_KEY_LIST

REGISTER_NAME: Final = "register.json"
USES: Final = frozenset({"sign", "encrypt", "order", "receipt", "token", "bundle"})
GATEWAY: Final = "gateway"
_MAX_REGISTER_BYTES = 1024 * 1024
# The uses that only the gateway has, and those that only a party has: a party's key signs no order.
_GATEWAY_USES: Final = frozenset({"order", "receipt", "token", "bundle"})


class RegisterError(Exception):
    """The register, a key list or a signature is not to be believed. `code`: register_invalid,
    unknown_party, key_list_invalid, key_list_expired, unknown_key, agreement_invalid,
    agreement_not_signed, not_a_successor, agreement_forked, rolled_back, key_list_unavailable."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class RegisteredParty:
    """A party as the signed agreement's parties registered it."""

    id: str
    kind: str
    name: str
    identity_key: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Register:
    """Who is who; bound to one agreement by its digest. `parties` includes the gateway."""

    parties: Mapping[str, RegisteredParty]
    agreement_digest: str
    ledger_origin: str
    ledger_vkey: str
    issuer: str

    @classmethod
    def load(cls, folder: Path) -> Register:
        """Read `register.json`; raise RegisterError when anything is missing or of another type."""
        try:
            data = loads((folder / REGISTER_NAME).read_bytes(), max_bytes=_MAX_REGISTER_BYTES)
            return cls.read(_mapping(data))
        except (OSError, StrictJsonError):
            raise RegisterError("register_invalid") from None

    @classmethod
    def read(cls, data: Mapping[str, object]) -> Register:
        """Take a register apart that was already parsed."""
        try:
            if data["version"] != 1:
                raise RegisterError("register_invalid")
            parties = {name: _party(name, _mapping(each)) for name, each in _mapping(data["parties"]).items()}
            ledger = _mapping(data["ledger"])
            register = cls(
                parties=parties,
                agreement_digest=_text(data["agreement"]),
                ledger_origin=_text(ledger["origin"]),
                ledger_vkey=_text(ledger["vkey"]),
                issuer=_text(data["issuer"]),
            )
        except (KeyError, TypeError, KeyRefused):
            raise RegisterError("register_invalid") from None
        identities = {thumbprint(party.identity_key) for party in parties.values()}
        if GATEWAY not in parties or len(identities) != len(parties):
            # Two parties with one key could speak for each other.
            raise RegisterError("register_invalid")
        return register

    def party(self, party: str) -> RegisteredParty:
        """Return a party; raise RegisterError `unknown_party`."""
        if party not in self.parties:
            raise RegisterError("unknown_party")
        return self.parties[party]

    def identity_key(self, party: str) -> Mapping[str, str]:
        """Return the public JWK by which everything else of a party is believed."""
        return self.party(party).identity_key

    def kind(self, party: str) -> str:
        """Return what a party is: `ngo`, `ind`, `gateway`, …"""
        return self.party(party).kind

    def name(self, party: str) -> str:
        """Return what people call a party."""
        return self.party(party).name


# --- key lists -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ListedKey:
    """One key of a key list and when it holds, Unix seconds, the end excluded."""

    use: str
    kid: str
    jwk: Mapping[str, str]
    nbf: int
    exp: int


@dataclass(frozen=True, slots=True)
class KeyList:
    """A verified key list of one party."""

    party: str
    serial: int
    expires_at: int
    listed: tuple[ListedKey, ...] = field(repr=False)
    certificates: tuple[ListedCertificate, ...] = field(default=(), repr=False)

    def keys(self, use: str, now: int) -> dict[str, dict[str, object]]:
        """Return kid → public JWK of what may be used now for `use`; may be empty, which verifies nothing."""
        return {
            key.kid: dict(key.jwk)
            for key in self.listed
            if key.use == use and key.nbf <= now < min(key.exp, self.expires_at)
        }

    def tls(self, now: int) -> frozenset[str]:
        """Return the thumbprints of the certificates by which the party may be known now; may be empty."""
        return frozenset(
            one.thumbprint for one in self.certificates if one.nbf <= now < min(one.exp, self.expires_at)
        )

    def encryption(self, kid: str, now: int) -> dict[str, object]:
        """Return the encryption key with this thumbprint; raise RegisterError `unknown_key`."""
        found = self.keys("encrypt", now)
        if kid not in found:
            raise RegisterError("unknown_key")
        return found[kid]


def sign_key_list(
    *,
    key: SigningKey,
    party: str,
    serial: int,
    now: int,
    exp: int,
    keys: Sequence[tuple[str, Mapping[str, str]]],
    tls: Sequence[str] = (),
) -> str:
    """Sign `(use, public JWK)` pairs and thumbprints of certificates by the identity key, `now` to `exp`."""
    listed: list[dict[str, object]] = [
        {"use": use, "kid": thumbprint(jwk), "jwk": public_jwk(jwk), "nbf": now, "exp": exp}
        for use, jwk in keys
    ]
    listed += [{"use": certificates.USE, certificates.MEMBER: named, "nbf": now, "exp": exp} for named in tls]
    return jose.sign(
        {"iss": party, "serial": serial, "iat": now, "exp": exp, "keys": listed}, key, TYP_KEY_LIST
    )


def verify_key_list(unverified: str, party: str, register: Register, now: int) -> KeyList:
    """Return the keys that `party` signed with the identity key of *our* register."""
    claims = _verify_by_identity(unverified, party, register, TYP_KEY_LIST, "key_list_invalid")
    try:
        jose.check_times(claims, now)
    except jose.JoseError as refused:
        raise RegisterError("key_list_expired" if refused.code == "expired" else "key_list_invalid") from None
    try:
        if set(claims) != {"iss", "serial", "iat", "exp", "keys"}:
            raise RegisterError("key_list_invalid")
        entries = [_mapping(each) for each in _sequence(claims["keys"])]
        tls = tuple(certificates.read_listed(each) for each in entries if each.get("use") == certificates.USE)
        listed = tuple(_listed(each, party) for each in entries if each.get("use") != certificates.USE)
        found = KeyList(party, _integer(claims["serial"]), _integer(claims["exp"]), listed, tls)
    except (KeyError, TypeError, KeyRefused):
        raise RegisterError("key_list_invalid") from None
    kids = {key.kid for key in listed} | {thumbprint(register.identity_key(party))}
    if not listed or len(kids) != len(listed) + 1:
        # One key, one use; and the identity key signs lists and agreements, nothing else.
        raise RegisterError("key_list_invalid")
    return found


# --- the agreement -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SignedAgreement:
    """An agreement and who signed its digest; whoever took a signature back is not among them."""

    digest: str
    data: Mapping[str, object] = field(repr=False)
    signed_by: frozenset[str]


def agreement_digest(agreement: Mapping[str, object]) -> str:
    """Name an agreement by the SHA-256 of its canonical JSON (RFC 8785)."""
    try:
        canonical = rfc8785.dumps(dict(agreement))  # type: ignore[arg-type]  # its JSON type is narrower than Mapping
    except rfc8785.CanonicalizationError:
        raise RegisterError("agreement_invalid") from None
    return "sha-256:" + encode_base64url(hashlib.sha256(canonical).digest())


def sign_agreement(*, key: SigningKey, party: str, digest: str, now: int) -> str:
    """Sign an agreement's digest with a party's identity key."""
    return jose.sign({"iss": party, "agreement": digest, "iat": now}, key, TYP_AGREEMENT_SIGNATURE)


def sign_withdrawal(*, key: SigningKey, party: str, digest: str, now: int) -> str:
    """Take back a party's signature on an agreement's digest, with its identity key."""
    return jose.sign({"iss": party, "agreement": digest, "iat": now}, key, TYP_AGREEMENT_WITHDRAWAL)


def verify_signature(unverified: str, party: str, digest: str, register: Register, now: int) -> int:
    """Return when a party signed this digest, Unix seconds; raise RegisterError `agreement_not_signed`."""
    return _verify_act(unverified, party, digest, register, now, TYP_AGREEMENT_SIGNATURE)


def verify_withdrawal(unverified: str, party: str, digest: str, register: Register, now: int) -> int:
    """Return when a party took its signature on this digest back, as `verify_signature` does."""
    return _verify_act(unverified, party, digest, register, now, TYP_AGREEMENT_WITHDRAWAL)


def _verify_act(unverified: str, party: str, digest: str, register: Register, now: int, typ: str) -> int:
    claims = _verify_by_identity(unverified, party, register, typ, "agreement_not_signed")
    done_at = claims.get("iat")
    if set(claims) != {"iss", "agreement", "iat"} or claims["agreement"] != digest:
        raise RegisterError("agreement_not_signed")
    if type(done_at) is not int or not 0 <= done_at <= now + jose.LEEWAY_SECONDS:
        raise RegisterError("agreement_not_signed")
    return done_at


def _verify_by_identity(
    unverified: str, party: str, register: Register, typ: str, code: str
) -> dict[str, object]:
    identity = register.identity_key(party)
    try:
        claims = jose.verify(unverified, {thumbprint(identity): identity}, typ)
    except jose.JoseError:
        raise RegisterError(code) from None
    if claims.get("iss") != party:
        raise RegisterError(code)
    return claims


def _party(name: str, data: Mapping[str, object]) -> RegisteredParty:
    return RegisteredParty(
        name, _text(data["kind"]), _text(data["name"]), public_jwk(_mapping(data["identity_key"]))
    )


def _listed(data: Mapping[str, object], party: str) -> ListedKey:
    if set(data) != {"use", "kid", "jwk", "nbf", "exp"}:
        raise RegisterError("key_list_invalid")
    jwk = _mapping(data["jwk"])
    key = ListedKey(
        _text(data["use"]), _text(data["kid"]), public_jwk(jwk), _integer(data["nbf"]), _integer(data["exp"])
    )
    # A private half in public means the key is everyone's.
    if "d" in jwk or key.kid != thumbprint(key.jwk) or key.use not in USES:
        raise RegisterError("key_list_invalid")
    if key.use in _GATEWAY_USES and party != GATEWAY:
        raise RegisterError("key_list_invalid")
    return key


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError("a text was expected")
    return value


def _integer(value: object) -> int:
    if type(value) is not int:
        raise TypeError("an integer was expected")
    return value


def _mapping(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise TypeError("an object was expected")
    return value


def _sequence(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError("an array was expected")
    return value
