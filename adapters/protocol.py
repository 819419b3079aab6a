"""The wire between gateway, requesters and sources: names, shapes and types, nothing that acts.

Three kinds of signed statement travel (all ES256, told apart by `typ`, RFC 8725 §3.11):

    signed request      dossier-request+sd-jwt     requester → gateway → source
    consent statement   consent-statement+sd-jwt   recording party → gateway → source
    attestation         attestation+sd-jwt         source → gateway → requester

Each is an SD-JWT (RFC 9901): what a holder down the line need not know stays a salted digest.
The gateway adds three plain JWS: the release order, its cancellation, and the receipt.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

TYP_REQUEST = "dossier-request+sd-jwt"
TYP_CONSENT = "consent-statement+sd-jwt"
TYP_ATTESTATION = "attestation+sd-jwt"
TYP_ORDER = "release-order+jwt"
TYP_CANCELLATION = "cancellation+jwt"
TYP_RECEIPT = "receipt+jwt"
TYP_KEY_LIST = "key-list+jwt"
TYP_AGREEMENT_SIGNATURE = "agreement-signature+jwt"
TYP_AGREEMENT_WITHDRAWAL = "agreement-withdrawal+jwt"

# A statement carries decoy digests up to a multiple of this, so that the number of withheld
# categories does not show (RFC 9901 §4.2.5).
SD_PADDING = 8
# The seconds for which a freshly signed request is accepted by the gateway.
REQUEST_FRESH_SECONDS = 300
# The longest life of a signed request and of an order: an officer may need weeks.
ORDER_MAX_SECONDS = 42 * 24 * 3600
# The most that one answer may weigh on the wire, in bytes: 5 MB documents, base64 twice, and room.
MAX_ANSWER_BYTES = 32 * 1024 * 1024
# A connection that stood idle for longer is not used again. Our servers (uvicorn) close it after five
# seconds, and a POST that meets the closing would have to be repeated by whoever made it.
IDLE_CONNECTION_SECONDS = 4.0

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{1,47}$")]
PartyId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{1,47}$")]
# In lower case once read: one person spelt in two ways must not pass for the second of two.
WorkerId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{3,63}$", to_lower=True)]
OpaqueId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{16,64}$")]
CompactJws = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_~.-]+$", max_length=65_536)]
CompactJwe = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]*){4}$")]


class Wire(BaseModel):
    """A message: frozen, strict about types, refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


class Category(StrEnum):
    """A kind of data: what is asked for, consented to and released is always one of these."""

    PERSPECTIVE = "perspective"
    GUIDANCE = "guidance"
    PARTNERS = "partners"
    PLAN_PHASE = "plan_phase"
    PLAN_PROGRESS = "plan_progress"
    IDENTITY = "identity"
    IDENTITY_DOCUMENTS = "identity_documents"
    TRAVEL_DOCUMENTS = "travel_documents"
    RESIDENCE_STATUS = "residence_status"
    APPLICATION_STATUS = "application_status"
    PROCEDURE_HISTORY = "procedure_history"
    DECISIONS = "decisions"
    DOSSIER_DOCUMENTS = "dossier_documents"
    DUBLIN_CLAIM = "dublin_claim"
    MEASURES = "measures"
    PERSPECTIVE_GROUNDS = "perspective_grounds"
    FLIGHT_NARRATIVE = "flight_narrative"
    FAMILY = "family"
    VULNERABILITY = "vulnerability"
    MEDICAL = "medical"
    TRAFFICKING = "trafficking"
    SHELTER_LOCATION = "shelter_location"
    CONTACT = "contact"
    RETURN_OPTIONS = "return_options"
    RETURN_OBSTACLES = "return_obstacles"
    REINTEGRATION = "reintegration"


# 000 §2.5: that, never why. `partners` is the gateway's to answer, from the case.
BASELINE = frozenset({Category.PERSPECTIVE, Category.GUIDANCE, Category.PARTNERS})
# GDPR art. 9 and as sensitive: only an explicit yes that names the category opens them.
SPECIAL = frozenset(
    {Category.FLIGHT_NARRATIVE, Category.MEDICAL, Category.TRAFFICKING, Category.VULNERABILITY}
)


class Role(StrEnum):
    """In what capacity a person acts inside a party."""

    DESK = "desk"
    CASEWORKER = "caseworker"
    CASEMANAGER = "casemanager"
    SOURCE_OFFICER = "source_officer"
    MEDICAL = "medical"
    DPO = "dpo"
    ADMIN = "admin"


class Scheme(StrEnum):
    """By which number a client is named."""

    V_NUMBER = "v-number"
    PARTY_NUMBER = "party-number"


class ClientIdentifier(Wire):
    """An exact identifier. No checksum of the V-number is published; none is invented here."""

    scheme: Scheme = Field(strict=False)
    value: str = Field(repr=False)

    @model_validator(mode="after")
    def _value_fits_scheme(self) -> ClientIdentifier:
        digits = self.value.isascii() and self.value.isdigit()
        if self.scheme is Scheme.V_NUMBER and not (digits and len(self.value) == 10):
            raise ValueError("a V-number is ten digits")
        if self.scheme is Scheme.PARTY_NUMBER:
            body = self.value.replace("-", "").replace(".", "")
            if not (body.isascii() and body.isalnum() and 1 <= len(self.value) <= 32):
                raise ValueError("a party number is 1 to 32 letters, digits, dots and hyphens")
        return self


class Worker(Wire):
    """The person who asks: a pseudonymous id of the party, never a name."""

    id: WorkerId
    role: Role = Field(strict=False)


# --- what the three statements claim -------------------------------------------------------


class RequestClaims(Wire):
    """A verified signed request, as far as its disclosures went along."""

    iss: PartyId
    aud: PartyId
    jti: OpaqueId
    iat: int
    exp: int
    purpose: Slug
    seal_to: str  # RFC 7638 thumbprint of the requester's encryption key
    categories: tuple[Category, ...]  # those disclosed
    client: ClientIdentifier | None = None  # None where its disclosure stayed behind


class ConsentClaims(Wire):
    """A verified consent statement of one source, as far as its disclosures went along."""

    iss: PartyId
    aud: PartyId
    jti: OpaqueId
    iat: int
    nbf: int
    exp: int
    purpose: Slug
    evidence: str  # "sha-256:<base64url>" over the canonical evidence
    recipients: tuple[PartyId, ...]
    categories: tuple[Category, ...]
    explicit: tuple[Category, ...] = ()
    client: ClientIdentifier | None = None


class CategoryStatus(StrEnum):
    """What a source says of one ordered category."""

    PROVIDED = "provided"
    NOTHING_HELD = "nothing_held"
    CLIENT_NOT_FOUND = "client_not_found"
    REFUSED = "refused"


class SourceRefusal(StrEnum):
    """Why a source gives less than it was asked. Closed: a reason in free text would ride along."""

    LEGAL_GROUND = "legal_ground"
    THIRD_PARTY_INTEREST = "third_party_interest"
    CONSENT_LAPSED = "consent_lapsed"


class CategoryAnswer(Wire):
    """One disclosure of an attestation. Baseline has a value, all else digests of sealed bytes."""

    status: CategoryStatus = Field(strict=False)
    value: Literal["yes", "no"] | None = None
    sealed: tuple[str, ...] = Field(default=(), strict=False)  # base64url SHA-256 of each JWE
    refusal: SourceRefusal | None = Field(default=None, strict=False)


class AttestationClaims(Wire):
    """A verified attestation: bound to exchange, order, signed request, source and recipient."""

    iss: PartyId
    aud: PartyId
    exchange: OpaqueId
    order: str  # base64url SHA-256 of the order's JWS
    request: OpaqueId  # `jti` of the signed request: two answers cannot be exchanged for one another
    iat: int
    answers: dict[Category, CategoryAnswer]


# --- orders and answers --------------------------------------------------------------------


class OrderedCategory(Wire):
    """What may leave, and on what ground; `consent` is the `jti` of the statement it rests on."""

    category: Category = Field(strict=False)
    ground: Literal["baseline", "consent", "explicit_consent", "statutory"]
    consent: OpaqueId | None = None


class OrderClaims(Wire):
    """The release order, signed by the gateway with typ `release-order+jwt`.

    `request` and `consents` are SD-JWTs cut down to the ordered categories and this recipient.
    `client` is a JWE to the source whose plaintext is `SealedClient`: the disclosures that name the
    client in each of them, so that the order at rest holds no identifier.
    """

    iss: Literal["gateway"]
    aud: PartyId
    jti: OpaqueId
    exchange: OpaqueId
    iat: int
    exp: int
    agreement: str  # "sha-256:<base64url>"
    purpose: Slug
    recipient: PartyId
    categories: tuple[OrderedCategory, ...] = Field(strict=False)
    request: CompactJws
    consents: tuple[CompactJws, ...] = Field(default=(), strict=False)
    client: CompactJwe


class SealedClient(Wire):
    """The plaintext of an order's `client`: the disclosure of the client, per statement `jti`."""

    disclosures: dict[str, str]


class CancellationClaims(Wire):
    """Typ `cancellation+jwt`: these categories of an order lost their ground; answer the rest."""

    iss: Literal["gateway"]
    aud: PartyId
    exchange: OpaqueId
    iat: int
    categories: tuple[Category, ...] = Field(strict=False)


class OrderMessage(Wire):
    """`POST /v1/orders` of an adapter."""

    order: CompactJws


class CancellationMessage(Wire):
    """`POST /v1/orders/{exchange}/cancellation` of an adapter."""

    cancellation: CompactJws


class SealedDocument(Wire):
    """One document: JWE compact, ECDH-ES on P-256, A256GCM."""

    category: Category = Field(strict=False)
    jwe: CompactJwe


class Answer(Wire):
    """What a source answers, at once (200) or later (`POST /v1/orders/{exchange}/answer`)."""

    exchange: OpaqueId
    attestation: CompactJws
    sealed: tuple[SealedDocument, ...] = Field(default=(), strict=False)


class OrderAccepted(Wire):
    """`202` of an adapter: a person will look; the answer comes to the gateway later."""

    exchange: OpaqueId
    state: Literal["accepted"] = "accepted"
