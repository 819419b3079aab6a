"""A quarter's report for those who may have counts: made once, then the same bytes for everyone, for ever.

    quarter over? ──▶ may this party have counts? ──▶ published before? ──▶ its bytes, and an entry
                                                          └─ no: count, keep, and note it in the same commit

It is no dossier request and never about a person: policy goes on refusing those under this purpose. Who may
have counts is the agreement's to say, by kind of party; whose clients are counted too, for a rule works
between two parties only once both have signed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, func, insert, select

from adapters.kit.strict_json import encode_base64url
from gateway.agreement_held import CLOCKS_DIFFER_SECONDS
from gateway.agreement_records import GATEWAY
from gateway.errors import Refused, Unavailable
from gateway.ledger.entry import Kind, record
from gateway.quarters import Quarter
from gateway.report_figures import count, document
from gateway.storage.tables import counted_reports, gateway_state, ledger_details, parties

if TYPE_CHECKING:
    from gateway.agreement import Agreement
    from gateway.ledger.commitment import Json
    from gateway.oauth.resource import Caller
    from gateway.services import Services
    from gateway.storage.unit_of_work import Transaction

PURPOSE: Final = "aggregate_report"
_STANDING = select(gateway_state.c.agreement_digest, gateway_state.c.party_epoch)


@dataclass(frozen=True, slots=True)
class PastQuarter:
    """A quarter that is over. `published_at` in Unix seconds; None: nobody has asked for its report yet."""

    quarter: Quarter
    published_at: int | None


async def past_quarters(services: Services, caller: Caller) -> tuple[PastQuarter, ...]:
    """Return the quarters of which this party can have the report, oldest first. Raises as `read_report`."""
    now = services.clock()

    def work(conn: Connection) -> tuple[PastQuarter, ...]:
        _require_counts(conn, services, caller.party, now)
        rows = conn.execute(select(counted_reports.c.quarter, counted_reports.c.published_at))
        published = {row.quarter: row.published_at for row in rows}
        return tuple(PastQuarter(one, published.get(str(one))) for one in _past(conn, now))

    return await services.store.read(work)


async def read_report(services: Services, caller: Caller, quarter: Quarter) -> bytes:
    """Return the report of a past quarter, byte for byte as everyone else has it.

    On return it is kept, and who read it is in the ledger. Raises Refused: this party has no counts, or there
    is no such report; Unavailable where the agreement in force is not loaded here.
    """
    now = services.clock()
    await services.agreements.keep_up(services)

    def look(conn: Connection) -> bytes:
        ngos = _require_counts(conn, services, caller.party, now)
        if quarter not in _past(conn, now):
            raise Refused("not_found", "There is no report of this quarter, or not yet.")
        # Beside the writer, which all others wait for: of a quarter that is over nothing changes any more.
        return _published(conn, quarter) or document(quarter, count(conn, quarter, ngos))

    made = await services.store.read(look)
    return await services.store.write(lambda tx: _disclose(tx, services, caller.party, quarter, made, now))


def _disclose(
    tx: Transaction, services: Services, party: str, quarter: Quarter, made: bytes, now: int
) -> bytes:
    """Publish what was made unless another call or gateway did before; note who reads it."""
    _require_counts(tx.conn, services, party, now)
    body = _published(tx.conn, quarter)
    if body is None:
        body = made
        index = _note(tx, services, Kind.COUNTS_PUBLISHED, GATEWAY, quarter, body, now)
        row = {"quarter": str(quarter), "body": body, "published_at": now, "ledger_index": index}
        tx.conn.execute(insert(counted_reports).values(row))
    _note(tx, services, Kind.COUNTS_DISCLOSED, party, quarter, body, now)
    return body


def _note(
    tx: Transaction, services: Services, kind: Kind, party: str, quarter: Quarter, body: bytes, now: int
) -> int:
    digest = "sha-256:" + encode_base64url(hashlib.sha256(body).digest())
    detail: dict[str, Json] = {
        "party": party,
        "quarter": str(quarter),
        "report": digest,
        "purpose": PURPOSE,
        "at": now,
    }
    key = services.vault.party_key(party)
    return record(tx, kind=kind, detail=detail, key=key, now=now, party_id=party).index


def _published(conn: Connection, quarter: Quarter) -> bytes | None:
    found = select(counted_reports.c.body).where(counted_reports.c.quarter == str(quarter))
    body = conn.execute(found).scalar_one_or_none()
    return None if body is None else bytes(body)


def _past(conn: Connection, now: int) -> list[Quarter]:
    """List the quarters that are over by every gateway's clock, from the first in which one worked."""
    first = conn.execute(select(func.min(ledger_details.c.recorded_at))).scalar()
    found: list[Quarter] = []
    quarter = Quarter.of(now if first is None else first)
    while quarter.ends_at + CLOCKS_DIFFER_SECONDS <= now:
        found.append(quarter)
        quarter = quarter.following
    return found


def _require_counts(conn: Connection, services: Services, party: str, now: int) -> frozenset[str]:
    """Return the NGOs whose clients are counted; raise Refused unless this party may have counts."""
    standing = conn.execute(_STANDING).one()
    agreement = services.agreements.deciding(standing.agreement_digest)
    if agreement is None:
        raise Unavailable("policy_unavailable", cause="the agreement in force is not loaded")
    by = services.agreements.standing(conn, agreement.digest, standing.party_epoch)
    active = set(conn.scalars(select(parties.c.id).where(parties.c.status == "active")))
    terms, at = agreement.terms, services.agreements.moment(agreement.digest, now)
    if not (by.founding and terms.valid_from <= at < terms.valid_until):
        raise _refused("agreement_not_in_force", agreement)
    purpose = terms.purposes.get(PURPOSE)
    if purpose is None or not purpose.aggregated:
        raise _refused("purpose_not_in_agreement", agreement)
    kind = terms.kinds.get(agreement.kind(party) or "")
    if kind is None or not kind.receives_counts:
        raise _refused("not_for_this_party", agreement, None if kind is None else kind.paragraph)
    if party not in by.parties:
        raise _refused("agreement_not_signed", agreement)
    if party not in active:
        raise _refused("party_suspended", agreement)
    return frozenset(one for one in by.parties & active if agreement.kind(one) == "ngo")


def _refused(code: str, agreement: Agreement, paragraph: str | None = None) -> Refused:
    """Cite the article: the one given, else what the agreement says of this refusal."""
    says = {"not_for_this_party": "The agreement lets this kind of party have no counts."}
    clauses = agreement.terms.clauses
    cited = paragraph or clauses.get(code) or clauses.get("no_rule")
    return Refused(code, says.get(code), extra={"paragraph": cited})
