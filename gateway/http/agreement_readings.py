"""`/v1/agreements`: whether a draft holds, what a version changes, and its text to read.

What anyone may read is open to anyone; what is computed for a caller alone takes seconds, and so a party's
token. Nothing is stored, and nothing here counts for a decision: whoever signs computes it for itself, with
`poort agreement`.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import Field
from sqlalchemy import Connection

from adapters.protocol import Wire
from gateway import agreement_records as records
from gateway.agreement_document.page import INLINE_STYLE
from gateway.agreement_state import VersionState, state
from gateway.errors import InputRefused, Refused
from gateway.http.acting import Authenticated, Parts
from gateway.http.agreements import Digest, Named
from gateway.http.strict_body import StrictRoute
from gateway.terms import Language

router = APIRouter(prefix="/v1/agreements", route_class=StrictRoute, tags=["agreements"])

_MEDIA_TYPES = {"html": "text/html", "md": "text/markdown"}
_STYLE_HASH = base64.b64encode(hashlib.sha256(INLINE_STYLE.encode()).digest()).decode()
# The page has its own style and nothing else: no script, no form, no other file, no frame around it.
_PAGE_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)
InLanguage = Annotated[Language, Query(description="The language of the sentences: Dutch or English.")]


class AgreementDraft(Wire):
    """A document that is to be an agreement."""

    agreement: dict[str, Any] = Field(description="By the schema `policies/agreement/schema.json`.")


class AgreementFault(Wire):
    """One thing about a draft, and its place, in both languages."""

    place: str = Field(description="In Dutch, as the agreement is.")
    nl: str
    en: str
    place_en: str


class AgreementChecked(Wire):
    """Whether a draft can be an agreement among the parties of this gateway."""

    valid: bool
    digest: Digest | None = Field(default=None, description="What parties would sign; of a valid one.")
    version: str | None = None
    fault_count: int = Field(description="How many there are; `faults` lists the first 200 at most.")
    faults: list[AgreementFault] = Field(description="In the order of the document.")
    warnings: list[AgreementFault] = Field(description="What may be an oversight, and is no fault.")


class AgreementChange(Wire):
    """What becomes, or is no longer, permitted between two kinds of party for one purpose."""

    sentence: str
    requester_kind: str
    source_kind: str = Field(description="Empty, as the next three, for a party that joins or leaves.")
    purpose: str
    categories: list[str]
    ground: str = Field(
        description="The least that has to be there: `none`, `consent`, `explicit_consent`, `statutory`."
    )
    roles: list[str]


class AgreementDifference(Wire):
    """What a version changes, by asking both versions everything; not by comparing their texts."""

    agreement: Digest
    against: Digest
    permits: list[AgreementChange] = Field(description="What is newly permitted.")
    forbids: list[AgreementChange] = Field(description="What is no longer permitted.")
    otherwise: list[str] = Field(description="What is said otherwise, and permits and forbids nothing.")
    permits_count: int
    forbids_count: int
    otherwise_count: int


@router.post("/check", response_model_exclude_none=True, summary="Check a draft, and keep nothing of it")
async def check_agreement(body: AgreementDraft, parts: Parts, _: Authenticated) -> AgreementChecked:
    """Say every fault of a draft, its place and what is wrong there, as `poort agreement check` does.

    Whether it follows the version in force is for the proposal to say. One draft is checked at a time: `503`
    while another is.
    """
    kinds = {party: known.kind for party, known in parts.register.parties.items()}
    return AgreementChecked.model_validate(await parts.readings.check(body.agreement, kinds))


@router.get("/{digest}/difference", summary="Ask what a version newly permits and forbids")
async def get_agreement_difference(
    parts: Parts,
    _: Authenticated,
    digest: Named,
    against: Annotated[
        Digest | None,
        Query(description="The version to compare with. Not given: the one that it says it supersedes."),
    ] = None,
    language: InLanguage = "nl",
) -> AgreementDifference:
    """Compare two versions kept here in every combination that can be asked, and say it in sentences.

    It takes seconds the first time. One is computed at a time: `503` while another is.
    """

    def work(conn: Connection) -> tuple[tuple[str, bytes], tuple[str, bytes]]:
        new = _document(conn, digest)
        old = against or state(conn, digest, parts.clock()).row.supersedes
        if old is None:
            raise InputRefused("invalid_input", "This version is the first; name one in `against`.")
        return (old, _document(conn, old)), (digest, new)

    old, new = await parts.store.read(work)
    found = await parts.readings.difference(old, new, parts.settings.policies_folder)
    said: dict[str, list[Any]] = {
        "permits": [_change(one, language) for one in found["permits"]],
        "forbids": [_change(one, language) for one in found["forbids"]],
        "otherwise": [one[language] for one in found["otherwise"]],
    }
    counts = {f"{name}_count": len(each) for name, each in said.items()}
    return AgreementDifference.model_validate({"agreement": digest, "against": old[0], **said, **counts})


@router.get(
    "/{digest}/text",
    summary="Read a version as a text",
    response_class=Response,
    responses={
        200: {
            "description": "The articles that decisions cite, and every rule in tables.",
            "content": {media_type: {"schema": {"type": "string"}} for media_type in _MEDIA_TYPES.values()},
        }
    },
)
async def get_agreement_text(
    parts: Parts,
    digest: Named,
    language: InLanguage = "nl",
    form: Annotated[
        Literal["html", "markdown"],
        Query(alias="format", description="One page that needs no other file, or Markdown."),
    ] = "html",
) -> Response:
    """Answer a version as people read it; `#art-2-1` after the address of the page leads to article 2.1.

    No token is asked: the agreement is public. Who has signed is what this gateway has verified.
    """

    def work(conn: Connection) -> tuple[bytes, VersionState]:
        return _document(conn, digest), state(conn, digest, parts.clock())

    document, known = await parts.store.read(work)
    written = await parts.readings.text(
        digest,
        document,
        form=(kind := "html" if form == "html" else "md"),
        language=language,
        signed_by=sorted(known.signed_by),
        state=known.state,
    )
    # A media type of text says its characters (RFC 7763 §2), and Starlette adds them.
    headers = {"Content-Security-Policy": _PAGE_POLICY} if kind == "html" else {}
    return Response(written, media_type=_MEDIA_TYPES[kind], headers=headers)


def _document(conn: Connection, digest: str) -> bytes:
    document = records.document(conn, digest)
    if document is None:
        raise Refused("not_found")
    return document


def _change(one: dict[str, Any], language: Language) -> dict[str, Any]:
    return {name: value for name, value in one.items() if name not in ("nl", "en")} | {
        "sentence": one[language]
    }
