"""`/v1/reports`: counts by the quarter, for the parties that the agreement lets have counts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Response
from pydantic import Field, StringConstraints

from adapters.protocol import Wire
from gateway.http.acting import Authenticated, Parts
from gateway.http.strict_body import StrictRoute
from gateway.quarters import QUARTER_PATTERN, Quarter
from gateway.reports import past_quarters, read_report

router = APIRouter(prefix="/v1/reports", route_class=StrictRoute, tags=["reports"])

QuarterName = Annotated[str, StringConstraints(pattern=QUARTER_PATTERN)]


class PastQuarter(Wire):
    """A quarter that is over, by the calendar of Amsterdam."""

    quarter: QuarterName
    published_at: datetime | None = Field(
        default=None, description="When its report was made; absent: it is made when first asked for."
    )


class ReportList(Wire):
    """The quarters that have a report, oldest first."""

    reports: list[PastQuarter]


class Figure(Wire):
    """How many clients, to within ten."""

    figure: str = Field(
        description="`on_a_case`: on a case of an NGO when the quarter ended. A purpose of the agreement: an"
        " NGO asked something about them for it during the quarter, and it could be asked."
    )
    at_least: int = Field(description="A multiple of ten. 0: fewer than ten, or nobody.")
    at_most: int


class Report(Wire):
    """Counts of distinct clients in one quarter, over all NGOs together: the same bytes for every reader."""

    quarter: QuarterName
    unit: Literal["clients"]
    figures: list[Figure]


@router.get("", response_model_exclude_none=True, summary="List the quarters that have a report")
async def get_reports(parts: Parts, caller: Authenticated) -> ReportList:
    """Answer which quarters are over. For a party whose kind the agreement lets have counts."""
    found = await past_quarters(parts, caller)
    return ReportList(
        reports=[
            PastQuarter(
                quarter=str(one.quarter),
                published_at=None
                if one.published_at is None
                else datetime.fromtimestamp(one.published_at, UTC),
            )
            for one in found
        ]
    )


@router.get("/{quarter}", response_model=Report, summary="Get the counts of a quarter")
async def get_report(
    parts: Parts,
    caller: Authenticated,
    quarter: Annotated[QuarterName, Path(description="A quarter that is over, as `2026-Q3`.")],
) -> Response:
    """Answer what was published of a quarter; the first to ask has it made, and then it is fixed.

    Never about a person: no figure tells a number below ten, nor does the difference of any two. Each reading
    is an entry in the ledger.
    """
    return Response(await read_report(parts, caller, Quarter.read(quarter)), media_type="application/json")
