"""Issue, cut down and verify SD-JWTs (RFC 9901), without key binding.

    <JWT>~<disclosure>~…~<disclosure>~

The JWT holds salted digests; each disclosure opens one. Whoever passes the statement on drops the
disclosures that the next reader need not know, and the signature still holds. Key binding is
not used: every statement names its audience, and travels inside an authenticated channel.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from adapters.kit import jose
from adapters.kit.keys import SigningKey
from adapters.kit.strict_json import (
    MAX_DEPTH,
    NotBase64Url,
    StrictJsonError,
    decode_base64url,
    encode_base64url,
    loads,
)
from adapters.protocol import SD_PADDING

MAX_DISCLOSURES: Final = 256
# One category of an attestation names up to 500 documents by digest.
_MAX_DISCLOSURE_BYTES = 24_576
_SALT_BYTES = 16  # RFC 9901 §9.3: 128 bits, or a digest can be opened by trying
# A salt that is only a salt: the field is signed over, and could carry a text past every check.
_SALT = re.compile(r"[A-Za-z0-9_-]{22,43}")
_RESERVED: Final = frozenset({"_sd", "...", "_sd_alg"})
# What decides whether a statement is valid must not be hidden (RFC 9901 §9.7).
_NEVER_HIDDEN: Final = frozenset({"iss", "aud", "iat", "nbf", "exp", "jti", "sub", "cnf"})


class SdJwtError(Exception):
    """A statement was refused. `code`: a code of JoseError, or one of malformed_disclosure,
    duplicate_digest, unreferenced_disclosure, name_collision, digest_not_allowed, structure_not_allowed."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Disclosure:
    """One opened claim. `name` is the member's, or for an element that of its array."""

    encoded: str = field(repr=False)
    name: str
    value: object = field(repr=False)


@dataclass(frozen=True, slots=True)
class Unverified:
    """A statement taken apart once, to be read and cut down. Proves nothing."""

    jwt: str = field(repr=False)
    payload: Mapping[str, object] = field(repr=False)
    disclosures: tuple[Disclosure, ...]

    def keep(self, wanted: Callable[[Disclosure], bool]) -> str:
        """Join again what is to be kept."""
        return join(self.jwt, [each.encoded for each in self.disclosures if wanted(each)])


@dataclass(frozen=True, slots=True)
class Issued:
    """A signed JWT with all its disclosures."""

    jwt: str
    disclosures: tuple[Disclosure, ...]

    def compact(self, keep: Callable[[Disclosure], bool] = lambda _: True) -> str:
        """Join the JWT with the disclosures to keep."""
        return join(self.jwt, [each.encoded for each in self.disclosures if keep(each)])


@dataclass(frozen=True, slots=True)
class Verified:
    """What a statement says: `plain` to every reader, `claims` with the disclosures that went along."""

    plain: dict[str, object] = field(repr=False)
    claims: dict[str, object] = field(repr=False)


def issue(
    claims: Mapping[str, object],
    key: SigningKey,
    typ: str,
    *,
    disclose_properties: Mapping[str, object],
    disclose_elements: Mapping[str, Sequence[object]],
    pad_to: int = SD_PADDING,
) -> Issued:
    """Sign `claims` in the clear, and the other two as salted digests, in no order that tells anything.

    Every list of digests is filled with decoys to a multiple of `pad_to` (RFC 9901 §4.2.5), an empty
    one too, so that how much was withheld does not show.
    """
    names = [*claims, *disclose_properties, *disclose_elements]
    hidden = {*disclose_properties, *disclose_elements}
    if len(set(names)) != len(names) or hidden & _NEVER_HIDDEN or set(names) & _RESERVED:
        raise ValueError("a name is used twice, or may not be used so")
    payload = dict(claims)
    disclosures: list[Disclosure] = []
    if disclose_properties:
        properties = [_disclose(name, [name, value], value) for name, value in disclose_properties.items()]
        payload["_sd"] = _digests(properties, pad_to)
        disclosures += properties
    for name, values in disclose_elements.items():
        elements = [_disclose(name, [value], value) for value in values]
        payload[name] = [{"...": digest} for digest in _digests(elements, pad_to)]
        disclosures += elements
    payload["_sd_alg"] = "sha-256"
    return Issued(jose.sign(payload, key, typ), tuple(disclosures))


def verify(unverified: str, keys: Mapping[str, Mapping[str, object]], typ: str) -> dict[str, object]:
    """Return the claims with what was disclosed in place; raise SdJwtError for any doubt."""
    return verify_parts(unverified, keys, typ).claims


def verify_parts(unverified: str, keys: Mapping[str, Mapping[str, object]], typ: str) -> Verified:
    """Like `verify`, and say apart what the JWT holds in the clear (RFC 9901 §7.1)."""
    jwt, encoded = split(unverified)
    try:
        payload = jose.verify(jwt, keys, typ)
    except jose.JoseError as refused:
        raise SdJwtError(refused.code) from None
    return _open(payload, encoded)


def split(compact: str) -> tuple[str, list[str]]:
    """Take apart into the JWT and the encoded disclosures. Verifies nothing."""
    if len(compact) > jose.MAX_TOKEN_BYTES:
        raise SdJwtError("token_too_large")
    jwt, *encoded = compact.split("~")
    # A last part that is not empty would be a key binding, which nobody here asks for.
    if not jwt or not encoded or encoded.pop() or "" in encoded:
        raise SdJwtError("malformed_token")
    if len(encoded) > MAX_DISCLOSURES:
        raise SdJwtError("token_too_large")
    return jwt, encoded


def join(jwt: str, encoded: Sequence[str]) -> str:
    """Put together what `split` took apart."""
    return "~".join([jwt, *encoded, ""])


def select(compact: str, keep: Callable[[Disclosure], bool]) -> str:
    """Drop the disclosures that `keep` refuses. The result proves as much as the input did."""
    return take_apart(compact).keep(keep)


def unverified_disclosures(compact: str) -> tuple[Disclosure, ...]:
    """Read the disclosures with their names, in order of the text. The signature is not checked."""
    return take_apart(compact).disclosures


def take_apart(compact: str) -> Unverified:
    """Read payload and disclosures, each with its name, in order of the text. No signature is checked."""
    jwt, encoded = split(compact)
    try:
        payload = jose.unverified_payload(jwt)
    except jose.JoseError as refused:
        raise SdJwtError(refused.code) from None
    opening = _Opening(encoded)
    opening.reveal(payload, name="")
    opening.finish()
    disclosures = tuple(
        Disclosure(text, opening.names[digest], opening.parsed[digest][-1])
        for digest, text in opening.encoded.items()
    )
    return Unverified(jwt, payload, disclosures)


def digest(encoded: str) -> str:
    """Return the digest that stands in the JWT for a disclosure (RFC 9901 §4.2.3)."""
    return encode_base64url(hashlib.sha256(encoded.encode("ascii")).digest())


def _open(payload: dict[str, object], encoded: Sequence[str]) -> Verified:
    algorithm = payload.get("_sd_alg", "sha-256")
    if algorithm != "sha-256":
        raise SdJwtError("digest_not_allowed")
    signed = {name: value for name, value in payload.items() if name != "_sd_alg"}
    opening = _Opening(encoded)
    claims = opening.reveal(signed, name="")
    opening.finish()
    plain = _Opening([]).reveal(signed, name="")
    if not (isinstance(claims, dict) and isinstance(plain, dict)):
        raise SdJwtError("malformed_token")
    return Verified(plain, claims)


class _Opening:
    """One walk through a payload that puts each disclosure in its place, exactly once."""

    def __init__(self, encoded: Sequence[str]) -> None:
        parsed = [(text, _parse(text)) for text in encoded]
        self.parsed = {digest(text): parts for text, parts in parsed}
        self.encoded = {digest(text): text for text in encoded}
        if len(self.parsed) != len(encoded):
            raise SdJwtError("duplicate_digest")
        self.names: dict[str, str] = {}
        self._seen: set[str] = set()
        self._depth = 0

    def reveal(self, node: object, *, name: str) -> object:
        # Disclosures may hold digests of others: a chain of them must not exhaust the stack.
        if self._depth > MAX_DEPTH:
            raise SdJwtError("structure_not_allowed")
        self._depth += 1
        try:
            if isinstance(node, list):
                return self._reveal_array(node, name)
            if isinstance(node, dict):
                return self._reveal_object(node, top=self._depth == 1)
            return node
        finally:
            self._depth -= 1

    def finish(self) -> None:
        # RFC 9901 §7.1 step 5: what no digest refers to was not signed.
        if set(self.parsed) - set(self.names):
            raise SdJwtError("unreferenced_disclosure")

    def _reveal_array(self, node: list[object], name: str) -> list[object]:
        revealed: list[object] = []
        for element in node:
            if not (isinstance(element, dict) and "..." in element):
                revealed.append(self.reveal(element, name=name))
                continue
            if len(element) != 1:
                raise SdJwtError("structure_not_allowed")
            found = self._take(element["..."], length=2, name=name)
            if found is not None:
                revealed.append(self.reveal(found[1], name=name))
        return revealed

    def _reveal_object(self, node: dict[str, object], *, top: bool) -> dict[str, object]:
        if "..." in node or ("_sd_alg" in node and not top):
            raise SdJwtError("structure_not_allowed")
        digests = node.get("_sd", [])
        if not isinstance(digests, list):
            raise SdJwtError("structure_not_allowed")
        revealed = {name: self.reveal(value, name=name) for name, value in node.items() if name != "_sd"}
        for each in digests:
            found = self._take(each, length=3, name=None)
            if found is None:
                continue
            name = str(found[1])
            # Also against the plain claims: a disclosure must not overrule what all readers see.
            if name in node or name in revealed:
                raise SdJwtError("name_collision")
            if top and name in _NEVER_HIDDEN:
                raise SdJwtError("structure_not_allowed")
            revealed[name] = self.reveal(found[2], name=name)
        return revealed

    def _take(self, unverified_digest: object, *, length: int, name: str | None) -> list[object] | None:
        if not isinstance(unverified_digest, str):
            raise SdJwtError("structure_not_allowed")
        if unverified_digest in self._seen:
            raise SdJwtError("duplicate_digest")
        self._seen.add(unverified_digest)
        found = self.parsed.get(unverified_digest)
        if found is None:
            return None  # a decoy, or withheld on the way
        if len(found) != length:
            raise SdJwtError("malformed_disclosure")
        self.names[unverified_digest] = str(found[1]) if name is None else name
        return found


def _parse(encoded: str) -> list[object]:
    try:
        parts = loads(decode_base64url(encoded), max_bytes=_MAX_DISCLOSURE_BYTES)
    except (NotBase64Url, StrictJsonError):
        raise SdJwtError("malformed_disclosure") from None
    if not (isinstance(parts, list) and len(parts) in (2, 3)):
        raise SdJwtError("malformed_disclosure")
    if not (isinstance(parts[0], str) and _SALT.fullmatch(parts[0])):
        raise SdJwtError("malformed_disclosure")
    if len(parts) == 3 and (not isinstance(parts[1], str) or parts[1] in _RESERVED or not parts[1]):
        raise SdJwtError("malformed_disclosure")
    return parts


def _disclose(name: str, rest: list[object], value: object) -> Disclosure:
    salt = encode_base64url(secrets.token_bytes(_SALT_BYTES))
    text = json.dumps([salt, *rest], separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return Disclosure(encode_base64url(text.encode()), name, value)


def _digests(disclosures: Sequence[Disclosure], pad_to: int) -> list[str]:
    # Sorted, because the order of making would tell which are decoys and what was asked first.
    decoys = max(-len(disclosures) % pad_to, 0 if disclosures else pad_to) if pad_to else 0
    return sorted(
        [digest(each.encoded) for each in disclosures]
        + [encode_base64url(hashlib.sha256(secrets.token_bytes(32)).digest()) for _ in range(decoys)]
    )
