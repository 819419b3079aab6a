"""What a party that may have counts reads: a quarter's report, never about a person."""

from __future__ import annotations

import re
from typing import Final

from adapters.requester.agreements import Agreements
from adapters.requester.calls import Body
from adapters.requester.errors import RequesterError

_REPORTS: Final = "/v1/reports"
_QUARTER: Final = re.compile(r"20[0-9]{2}-Q[1-4]")


class Reports(Agreements):
    """The part of the library that reads counts."""

    async def reports(self) -> Body:
        """List the quarters that are over, and which of them have been published."""
        return await self._document("GET", _REPORTS)

    async def report(self, quarter: str) -> Body:
        """Read the counts of a quarter, as `2026-Q3`; each reading is an entry in the gateway's ledger."""
        if _QUARTER.fullmatch(quarter) is None:
            raise RequesterError(
                "not_a_quarter", "A quarter is written as 2026-Q3.", "Take one from the list of reports."
            )
        return await self._document("GET", f"{_REPORTS}/{quarter}")
