"""A gateway's use cases, called as a party would, with cases and consents that are valid by default."""

import copy
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

from sqlalchemy import Connection

from adapters.kit.keys import Keystore
from adapters.kit.register import SignedAgreement, agreement_digest
from adapters.kit.statements import make_consent_statement
from adapters.protocol import Category, ClientIdentifier, Role, Scheme, Worker
from consent.model import AgeGroup, Decision, Method, TeachBack
from gateway import cases, clients, consents
from gateway.agreement import Agreement, check
from gateway.agreements import Agreements
from gateway.cases import CaseView, Opening
from gateway.consent_proposals import Proposal
from gateway.consent_records import ConsentView
from gateway.http.evidence import EvidenceBody, NoticeBody
from gateway.oauth.resource import Caller
from gateway.policy.port import VersionedEngine
from gateway.services import Services

T = TypeVar("T")
DIGEST = "sha-256:" + "A" * 43
MANDATE = {"method": "signature_on_paper", "evidence_digest": DIGEST, "language": "ti"}
DESK = Worker(id="desk-01", role=Role.DESK)
DESK_2 = Worker(id="desk-02", role=Role.DESK)
JURIST = Worker(id="jurist-12", role=Role.CASEWORKER)
MANAGER = Worker(id="regie-07", role=Role.CASEMANAGER)
VW = "vluchtelingenwerk"


def v_number(value: str = "2801234567") -> ClientIdentifier:
    return ClientIdentifier(scheme=Scheme.V_NUMBER, value=value)


def own_number(value: str) -> ClientIdentifier:
    return ClientIdentifier(scheme=Scheme.PARTY_NUMBER, value=value)


def evidence(**changes: object) -> EvidenceBody:
    said = {
        "method": Method.SIGNATURE_ON_PAPER,
        "notice": NoticeBody(language="ti", digest=DIGEST),
        "staff": DESK.id,
        "teach_back": TeachBack.UNDERSTOOD,
        "age_group": AgeGroup.FROM_16,
        "salt": "c2FsdC1vZi10aGlzLXRlc3Q",
    }
    return EvidenceBody.model_validate({**said, **changes})


@dataclass
class Gate:
    """The use cases of one gateway, called as a party would, at a time that the test sets."""

    services: Services
    keystores: dict[str, Keystore] = field(repr=False)
    clock: list[int] = field(repr=False)

    def comes_under_a_law(self, **changes: int) -> None:
        """Let a version be in force in which a law has NGOs tell the municipality about a client."""
        document: Any = copy.deepcopy(self.services.agreement.signed.data)
        rules = document["rules"]["legal_screening"]["ngo"]["ngo"]
        to_municipality = {
            name: {
                **(rules.get(name) or rules["plan_phase"]),
                "id": f"legal_screening.municipality.ngo.{name}",
                "ground": ground,
                "statute": "vw_lvv",
            }
            for name, ground in (("plan_phase", "statutory"), ("vulnerability", "explicit_consent"))
        }
        document["kinds"]["municipality"]["receives"] = True
        document["rules"]["legal_screening"]["municipality"] = {"ngo": to_municipality}
        document["statutes"]["vw_lvv"] = {
            "title": {"nl": "Wet op de opvang", "en": "Shelter Act"},
            "citation": "Vw 2000 art. 0",
            "valid_from": self.now - 1000,
            "valid_until": self.now + 1000,
            "paragraph": document["kinds"]["municipality"]["paragraph"],
            **changes,
        }
        signed = SignedAgreement(
            agreement_digest(document), document, self.services.agreement.signed_by | {"gemeente-amsterdam"}
        )
        self.comes_under(Agreement(signed, check(document)))

    def comes_under(self, agreement: Agreement) -> None:
        """Let this version be the one that the gateway started with."""
        parts = self.services
        begun = Agreements(agreement, parts.register, cast("VersionedEngine", parts.engine), parts.clock)
        self.services = replace(parts, agreements=begun)

    async def reads(self, work: Callable[[Connection], T]) -> T:
        return await self.services.store.read(work)

    async def finds(
        self, party: str = VW, *, client: ClientIdentifier | None = None, worker: Worker = JURIST
    ) -> int:
        """Count the cases that a search brings."""
        found = await cases.search_cases(self.services, self.caller(party), client or v_number(), worker)
        return len(found)

    async def client_id(self) -> str:
        """Name the client that V-number leads the first party to."""
        vault = self.services.vault
        client = await self.reads(lambda conn: clients.reach_own(conn, vault, VW, v_number()))
        assert client is not None
        return client.id

    async def covered(
        self, *categories: str, recipient: str = VW, purpose: str = "legal_screening"
    ) -> list[str]:
        """List the requested categories for which policy is shown a consent to IND."""
        client_id = await self.client_id()
        asked = categories or ("decisions",)
        found = await self.reads(
            lambda conn: consents.consent_facts(conn, client_id, purpose, "ind", recipient, asked)
        )
        assert all(fact.confirmed and fact.status == "active" for fact in found)
        return [fact.category for fact in found]

    @property
    def now(self) -> int:
        return self.clock[0]

    def passes(self, seconds: int) -> None:
        self.clock[0] += seconds

    def caller(self, party: str = VW) -> Caller:
        return Caller(party, self.services.register.kind(party), party)

    async def opens(
        self, party: str = VW, *, client: ClientIdentifier | None = None, own: str | None = None
    ) -> CaseView:
        opening = Opening(
            client=client or v_number(),
            own_number=own,
            casemanager=MANAGER.id,
            workers=(DESK, DESK_2, JURIST),
            mandate=MANDATE,
            opened_by=DESK,
        )
        return await cases.open_case(self.services, self.caller(party), opening)

    async def has_case(
        self, party: str = VW, *, client: ClientIdentifier | None = None, own: str | None = None
    ) -> CaseView:
        opened = await self.opens(party, client=client, own=own)
        return await cases.confirm_case(self.services, self.caller(party), opened.case.id, DESK_2)

    def statement(self, proposal: Proposal, source: str, *, party: str = VW, **changes: object) -> str:
        until = proposal.valid_until
        said: dict[str, object] = {
            "key": self.keystores[party].signing("sign"),
            "iss": party,
            "aud": source,
            "jti": secrets.token_urlsafe(16),
            "now": self.now,
            "nbf": self.now,
            "exp": until,
            "purpose": proposal.purpose,
            "evidence": proposal.evidence_digest,
            "recipients": proposal.recipients,
            "categories": [Category(name) for name in proposal.categories],
            "explicit": [Category(name) for name in proposal.explicit],
            "client": proposal.client,
        }
        return make_consent_statement(**{**said, **changes})  # type: ignore[arg-type]

    def proposal(self, *, party: str = VW, **changes: object) -> Proposal:
        how = evidence()
        said: dict[str, object] = {
            "client": v_number(),
            "purpose": "legal_screening",
            "sources": ("ind",),
            "recipients": (VW,),
            "categories": ("decisions", "dossier_documents"),
            "explicit": (),
            "valid_until": self.now + 90 * 24 * 3600,
            "decision": Decision.GRANTED,
            "evidence": how.evidence(),
            "evidence_digest": how.digest(),
            "unverified_statements": (),
            "worker": DESK,
        }
        unsigned = Proposal(**{**said, **changes})  # type: ignore[arg-type]
        if "unverified_statements" in changes or unsigned.decision is Decision.REFUSED:
            return unsigned
        statements = tuple(self.statement(unsigned, source, party=party) for source in unsigned.sources)
        return Proposal(**{**said, **changes, "unverified_statements": statements})  # type: ignore[arg-type]

    async def records(self, party: str = VW, **changes: object) -> ConsentView:
        proposal = self.proposal(party=party, **changes)
        return await consents.record(self.services, self.caller(party), proposal)

    async def has_consent(self, party: str = VW, **changes: object) -> ConsentView:
        recorded = await self.records(party, **changes)
        return await consents.confirm(self.services, self.caller(party), recorded.consent.id, DESK_2)
