"""Count clients for a quarter's report, and say of each count no more than the ten that it lies in.

A figure says between which two numbers a count lies: 0–9, 10–19, and so on. So fewer than ten is never told
apart, nobody's absence either, and no difference of two figures tells a number (docs/decisions/0012). That
rests on which figures there are: none is a part, a sum or a change of others. Think twice before adding one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, get_args

from sqlalchemy import Connection, distinct, func, or_, select

from gateway.ledger.commitment import Json, canonical
from gateway.quarters import Quarter
from gateway.stages import State
from gateway.storage.tables import cases, exchanges

ON_A_CASE: Final = "on_a_case"
# What the parties' plans report by the quarter and the gateway can tell (000 §4.2, 002 §5), in their order.
PURPOSES: Final = (
    "legal_screening",
    "legal_guidance",
    "case_transfer",
    "future_orientation",
    "return_support",
    "case_conference",
)
FIGURES: Final = (ON_A_CASE, *PURPOSES)
# Fewer than this are never told apart, and nothing is told more exactly.
_WIDTH: Final = 10
# A refusal tells of a client's no, and no report does (rule 9 of docs/domain.md).
_PERMITTED: Final = tuple(
    state for state in get_args(State) if state not in {"received", "refused", "nothing_to_share"}
)


def count(conn: Connection, quarter: Quarter, ngos: Collection[str]) -> dict[str, int]:
    """Count distinct clients, over these NGOs together; what comes out is for `in_tens` and nobody else.

    On a case: at the end of the quarter. Under a purpose: one of them asked about the client during the
    quarter, and something could be asked for.
    """
    begin, end = quarter.begins_at, quarter.ends_at
    there = select(func.count(distinct(cases.c.client_id))).where(
        cases.c.party_id.in_(ngos),
        cases.c.confirmed_at < end,
        or_(cases.c.left_at.is_(None), cases.c.left_at >= end),
    )
    asked = (
        select(exchanges.c.purpose, func.count(distinct(exchanges.c.client_id)).label("clients"))
        .where(
            exchanges.c.requester.in_(ngos),
            exchanges.c.purpose.in_(PURPOSES),
            exchanges.c.state.in_(_PERMITTED),
            exchanges.c.created_at >= begin,
            exchanges.c.created_at < end,
        )
        .group_by(exchanges.c.purpose)
    )
    by_purpose = {row.purpose: int(row.clients) for row in conn.execute(asked)}
    return {ON_A_CASE: int(conn.execute(there).scalar_one()), **by_purpose}


def in_tens(number: int) -> tuple[int, int]:
    """Return the first and the last number of the ten that a count lies in."""
    first = number - number % _WIDTH
    return first, first + _WIDTH - 1


def document(quarter: Quarter, counts: Mapping[str, int]) -> bytes:
    """Write a report as canonical JSON (RFC 8785); a figure without a count is 0."""
    figures: list[Json] = []
    for name in FIGURES:
        first, last = in_tens(counts.get(name, 0))
        figures.append({"figure": name, "at_least": first, "at_most": last})
    return canonical({"quarter": str(quarter), "unit": "clients", "figures": figures})
