"""Explain a decision to whoever made the request: by what the ledger holds of it, and nothing else.

Nothing is looked up about a client: an explanation says what the answer said, in more words. To who is not on
the case it says the same whoever was named (promise 7).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from adapters.kit.register import agreement_digest
from adapters.kit.strict_json import StrictJsonError, loads
from gateway import agreement_records, receipts
from gateway.agreement import AgreementInvalid, check
from gateway.explanation import Decision, Explanation, compose
from gateway.ledger.entry import Kind
from gateway.policy.asking import ask_policy
from gateway.policy.hypothetical import Asked, Degree, question_about_nobody
from gateway.terms_file import MAX_AGREEMENT_BYTES

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from gateway.services import Services
    from gateway.stages import Exchange
    from gateway.terms import Terms


async def explain(services: Services, exchange: Exchange) -> Explanation:
    """Explain the last decision on an exchange of the caller's, by the version that it was made under.

    What would change it is asked of the version in force now. Raises `not_found` once the client is erased,
    and Unavailable where policy does not answer.
    """
    decision, made_under = await services.store.read(lambda conn: _recorded(conn, services, exchange))
    in_force = services.agreement
    now = services.agreements.moment(in_force.digest, services.clock())

    async def permits(asked: Asked, degree: Degree) -> Collection[str]:
        question = question_about_nobody(in_force.digest, asked, degree, now)
        return [one.category for one in (await ask_policy(services.engine, question)).permitted]

    return await compose(decision, made_under, in_force.terms, permits, in_force=in_force.digest)


def _recorded(conn: Connection, services: Services, exchange: Exchange) -> tuple[Decision, Terms | None]:
    """Read the last decision on an exchange, and the version that its entry names."""
    recorded = receipts.last_decision(conn, services, exchange)
    detail = cast("Mapping[str, Any]", recorded.detail)
    terms = _version(conn, services, detail["agreement"])
    said: Sequence[Mapping[str, Any]] | None = detail["categories"]
    refusal, paragraph = detail.get("refusal"), detail.get("paragraph")
    if detail["kind"] == Kind.NOTHING_TO_SHARE:
        # Nothing but what the agreement says to everybody, whatever the entry may hold.
        said, refusal = None, None
        paragraph = None if terms is None else terms.clauses.get("not_on_case")
    elif not said:
        withheld = {"outcome": "withheld", "paragraph": paragraph}
        said = [{"category": category, **withheld} for category in exchange.categories]
    asked = Asked(
        exchange.requester, exchange.source, exchange.purpose, exchange.categories, exchange.worker_role
    )
    return Decision(asked, detail["agreement"], detail["at"], refusal, paragraph, said), terms


def _version(conn: Connection, services: Services, digest: str) -> Terms | None:
    """Read a version by its digest; None if it is not kept here, or what is kept is not it."""
    if digest == services.agreement.digest:
        return services.agreement.terms
    kept = agreement_records.document(conn, digest)
    if kept is None:
        return None
    try:
        document = loads(kept, max_bytes=MAX_AGREEMENT_BYTES)
        if not isinstance(document, dict) or agreement_digest(document) != digest:
            return None
        return check(document)
    except (StrictJsonError, AgreementInvalid):
        return None
