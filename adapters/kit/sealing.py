"""Encrypt for one reader and open: JWE compact, ECDH-ES (direct) on P-256, A256GCM, nothing else.

A document's plaintext is one line of JSON that says what it is and how long, then the bytes, then
zeros up to a Padmé length: the size of a file can tell which letter it is. The cipher is called
directly because joserfc holds a document several times over in memory; what comes out is an
ordinary JWE (RFC 7516), and other libraries open it.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from pydantic import ValidationError

from adapters.kit.keys import (
    DecryptionKey,
    KeyRefused,
    Keystore,
    KeystoreError,
    public_jwk,
    thumbprint,
    verification_key,
)
from adapters.kit.strict_json import NotBase64Url, StrictJsonError, decode_base64url, encode_base64url, loads
from adapters.protocol import Category, SealedClient

TYP_DOCUMENT: Final = "sealed-document+jwe"
TYP_CLIENT: Final = "sealed-client+jwe"
# The longest document, in bytes before encryption; in base64 two of them fit MAX_ANSWER_BYTES.
MAX_DOCUMENT_BYTES: Final = 10 * 1024 * 1024
# The same sealed: Padmé adds at most 12 %, base64 a third, the headers less than a kilobyte.
MAX_SEALED_CHARS: Final = MAX_DOCUMENT_BYTES * 112 // 100 * 4 // 3 + 4096
# Client disclosures are padded to a multiple of this, so that the kind of number does not show.
_CLIENT_PADDING = 1024
_MAX_LINE_BYTES = 1024
_HEADER_MEMBERS: Final = frozenset({"alg", "enc", "epk", "kid", "typ"})
_MEDIA_TYPE: Final = re.compile(r"[a-z]+/[a-z0-9][a-z0-9.+-]{0,63}")
_EXCHANGE: Final = re.compile(r"[A-Za-z0-9_-]{16,64}")
_MAX_NAME_CHARS = 120


class SealingError(Exception):
    """A sealed text was refused, or cannot be made. `code`: malformed_jwe, header_not_allowed,
    unknown_key, does_not_open, too_large, content_invalid, wrong_exchange, wrong_category."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class OpenedDocument:
    """A document as the source sealed it. `name` is a plain file name, without any folder."""

    category: Category
    exchange: str
    media_type: str
    name: str
    content: bytes = field(repr=False)


def seal(
    content: bytes,
    *,
    media_type: str,
    name: str,
    category: Category,
    exchange: str,
    to: Mapping[str, object],
) -> str:
    """Encrypt one document for the holder of `to`, bound to its category and exchange."""
    if len(content) > MAX_DOCUMENT_BYTES:
        raise SealingError("too_large")
    line = json.dumps(
        {
            "category": str(category),
            "exchange": exchange,
            "length": len(content),
            "media_type": media_type,
            "name": name,
        }
    ).encode()
    _check_line({"media_type": media_type, "name": name, "exchange": exchange})
    plaintext = line + b"\n" + content
    return _encrypt(plaintext.ljust(padme(len(plaintext)), b"\x00"), to, TYP_DOCUMENT)


def open_sealed(
    jwe: str,
    keystore: Keystore,
    *,
    exchange: str | None = None,
    category: Category | None = None,
) -> OpenedDocument:
    """Decrypt a document; refuse one that was sealed for another exchange or as another category."""
    plaintext = _decrypt(jwe, keystore, TYP_DOCUMENT)
    line, newline, rest = plaintext.partition(b"\n")
    try:
        said = loads(line, max_bytes=_MAX_LINE_BYTES)
        if not (newline and isinstance(said, dict)):
            raise SealingError("content_invalid")
        length = said.get("length")
        if set(said) != {"category", "exchange", "length", "media_type", "name"} or type(length) is not int:
            raise SealingError("content_invalid")
        _check_line(said)
        sealed_as = Category(said["category"])
    except (StrictJsonError, ValueError):
        raise SealingError("content_invalid") from None
    if not 0 <= length <= min(len(rest), MAX_DOCUMENT_BYTES) or rest.count(0, length) != len(rest) - length:
        raise SealingError("content_invalid")
    if exchange is not None and said["exchange"] != exchange:
        raise SealingError("wrong_exchange")
    if category is not None and sealed_as is not category:
        raise SealingError("wrong_category")
    return OpenedDocument(sealed_as, said["exchange"], said["media_type"], said["name"], rest[:length])


def seal_client(disclosures: Mapping[str, str], to: Mapping[str, object]) -> str:
    """Encrypt the disclosures that name the client, per statement `jti`, for a source."""
    plaintext = SealedClient(disclosures=dict(disclosures)).model_dump_json().encode()
    # Spaces after a JSON text are part of no value (RFC 8259 §2).
    return _encrypt(plaintext.ljust(-(-len(plaintext) // _CLIENT_PADDING) * _CLIENT_PADDING), to, TYP_CLIENT)


def open_client(jwe: str, keystore: Keystore) -> SealedClient:
    """Decrypt what `seal_client` made."""
    plaintext = _decrypt(jwe, keystore, TYP_CLIENT)
    try:
        return SealedClient.model_validate(loads(plaintext, max_bytes=MAX_SEALED_CHARS))
    except (StrictJsonError, ValidationError):
        raise SealingError("content_invalid") from None


def digest(jwe: str) -> str:
    """Return the base64url SHA-256 of the sealed bytes, as an attestation names them."""
    return encode_base64url(hashlib.sha256(jwe.encode("ascii")).digest())


def sealed_to(jwe: str) -> str:
    """Name the key that a document says it is sealed to; raise SealingError for anything else than a seal.

    Who has not that key cannot know whether it is true: this catches mistakes of a source, not malice.
    """
    return str(_header(jwe, TYP_DOCUMENT)["kid"])


def padme(length: int) -> int:
    """Round a length up so that it tells O(log log length) bits (PETS 2019, Padmé)."""
    if length < 2:
        return length
    exponent = length.bit_length() - 1
    spare_bits = exponent - exponent.bit_length()
    mask = (1 << max(spare_bits, 0)) - 1
    return (length + mask) & ~mask


def _encrypt(plaintext: bytes, to: Mapping[str, object], typ: str) -> str:
    try:
        recipient = public_jwk(to)
    except KeyRefused:
        raise SealingError("unknown_key") from None
    ephemeral = DecryptionKey.generate()
    header = {
        "alg": "ECDH-ES",
        "enc": "A256GCM",
        "epk": ephemeral.public,
        "kid": thumbprint(recipient),
        "typ": typ,
    }
    protected = encode_base64url(json.dumps(header, separators=(",", ":")).encode())
    nonce = secrets.token_bytes(12)
    sealed = AESGCM(_agree(ephemeral, recipient)).encrypt(nonce, plaintext, protected.encode())
    # RFC 7516 §7.1; with direct agreement the second part, the encrypted key, is empty.
    return ".".join(
        (
            protected,
            "",
            encode_base64url(nonce),
            encode_base64url(sealed[:-16]),
            encode_base64url(sealed[-16:]),
        )
    )


def _decrypt(jwe: str, keystore: Keystore, typ: str) -> bytes:
    parts = jwe.split(".")
    header = _header(jwe, typ)
    try:
        nonce, ciphertext, tag = (decode_base64url(part) for part in parts[2:])
    except NotBase64Url:
        raise SealingError("malformed_jwe") from None
    if len(nonce) != 12 or len(tag) != 16:
        raise SealingError("malformed_jwe")
    try:
        key = keystore.decryption(header["kid"])
        # Refuses a point off the curve, which would draw bits of the private key (RFC 8725 §3.4).
        epk = public_jwk(header["epk"] if isinstance(header["epk"], dict) else {})
    except KeystoreError:
        raise SealingError("unknown_key") from None
    except KeyRefused:
        raise SealingError("header_not_allowed") from None
    try:
        return AESGCM(_agree(key, epk)).decrypt(nonce, ciphertext + tag, parts[0].encode())
    except InvalidTag:
        raise SealingError("does_not_open") from None


def _header(jwe: str, typ: str) -> dict[str, Any]:
    if len(jwe) > MAX_SEALED_CHARS:
        raise SealingError("too_large")
    encoded, *rest = jwe.split(".", 4)
    if len(rest) != 4 or rest[0] or "." in rest[3]:
        raise SealingError("malformed_jwe")
    try:
        header = loads(decode_base64url(encoded), max_bytes=_MAX_LINE_BYTES)
    except (NotBase64Url, StrictJsonError):
        raise SealingError("malformed_jwe") from None
    # An allow-list: zip (a small text that unpacks to gigabytes), crit, apu, apv, jku and the like.
    if not isinstance(header, dict) or set(header) != _HEADER_MEMBERS:
        raise SealingError("header_not_allowed")
    if (header["alg"], header["enc"], header["typ"]) != ("ECDH-ES", "A256GCM", typ):
        raise SealingError("header_not_allowed")
    if not isinstance(header["kid"], str):
        raise SealingError("malformed_jwe")
    return header


def _agree(key: DecryptionKey, other: Mapping[str, str]) -> bytes:
    shared = key.raw.exchange(ec.ECDH(), verification_key(other["x"], other["y"]).public_key)
    # RFC 7518 §4.6.2: AlgorithmID is the content encryption, no party information, 256 bits.
    algorithm = b"A256GCM"
    other_info = len(algorithm).to_bytes(4) + algorithm + bytes(4) + bytes(4) + (256).to_bytes(4)
    return ConcatKDFHash(SHA256(), 32, other_info).derive(shared)


def _check_line(said: Mapping[str, object]) -> None:
    media_type, name, exchange = said["media_type"], said["name"], said["exchange"]
    if not (isinstance(media_type, str) and isinstance(name, str) and isinstance(exchange, str)):
        raise SealingError("content_invalid")
    # The reader may save under this name: no folder, no hidden file, no sign that does not show.
    plain = name.isprintable() and not set(name) & set('/\\:*?"<>|') and not name.startswith(".")
    if not (plain and 1 <= len(name) <= _MAX_NAME_CHARS):
        raise SealingError("content_invalid")
    if not (_MEDIA_TYPE.fullmatch(media_type) and _EXCHANGE.fullmatch(exchange)):
        raise SealingError("content_invalid")
