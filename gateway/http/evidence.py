"""How an act of the client was recorded, as the API reads it: people by pseudonym, texts by digest."""

from __future__ import annotations

import base64
import hashlib
from typing import Annotated

import rfc8785
from pydantic import Field, StringConstraints

from adapters.protocol import Wire
from consent.model import AgeGroup, Evidence, Method, TeachBack

NamedDigest = Annotated[str, StringConstraints(pattern=r"^sha-256:[A-Za-z0-9_-]{43}$")]
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$")]
# A worker of the party, an interpreter's number: never a name, which has spaces.
Pseudonym = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]

# 128 random bits: the digest of the evidence travels to a source, which must not try out pseudonyms on it.
Salt = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{22,43}$")]


class NoticeBody(Wire):
    """The approved text that the client was given."""

    language: Language
    digest: NamedDigest


class EvidenceBody(Wire):
    """How a client's decision was given."""

    method: Method = Field(strict=False)
    notice: NoticeBody
    staff: Pseudonym
    interpreter: Pseudonym | None = None
    witness: Pseudonym | None = None
    teach_back: TeachBack = Field(strict=False)
    age_group: AgeGroup = Field(
        strict=False, description="Under 16 a legal representative consents (`guardian_and_child`)."
    )
    salt: Salt

    def digest(self) -> str:
        """Digest what was sent, member for member (RFC 8785): the statements bind themselves to it."""
        sent = self.model_dump(mode="json", exclude_unset=True)
        return (
            "sha-256:"
            + base64.urlsafe_b64encode(hashlib.sha256(rfc8785.dumps(sent)).digest()).rstrip(b"=").decode()
        )

    def evidence(self) -> Evidence:
        """Return the evidence as the law of consent reads it."""
        return Evidence(
            method=self.method,
            notice_language=self.notice.language,
            notice_digest=self.notice.digest,
            staff=self.staff,
            teach_back=self.teach_back,
            age_group=self.age_group,
            salt=self.salt,
            interpreter=self.interpreter,
            witness=self.witness,
        )
