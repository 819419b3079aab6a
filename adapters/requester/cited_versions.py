"""Hold what a receipt cites against the agreement: the version that was in force when it was recorded.

Followed from the version that our own register names, by the signatures of founders; so a gateway that was
taken over cannot show a release as permitted by an agreement of its own making.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from adapters.kit.agreement_book import AgreementBook, Gateway, from_gateway
from adapters.kit.agreement_chain import Chain, first_version, read_package
from adapters.kit.order_refused import AgreementUnavailable, OrderRefused
from adapters.kit.register import Register, RegisterError
from adapters.kit.session import SessionError
from adapters.requester.errors import GatewayUnreachable, ProofRefused
from adapters.requester.receipts import Receipt

_UNREACHED: Final = "The gateway does not hand out the agreement that the receipt cites."


class CitedVersions:
    """Of one party at one gateway; what was followed is remembered as long as this object lives."""

    def __init__(self, gateway: Gateway, register: Register, clock: Callable[[], int]) -> None:
        self._fetch = from_gateway(gateway)
        self._register = register
        self._clock = clock
        self._book: AgreementBook | None = None

    async def require(self, receipt: Receipt) -> None:
        """Raise ProofRefused unless the receipt cites the version that was in force at its entry.

        An entry that decides nothing cites none. Raises GatewayUnreachable when nobody can tell now.
        """
        detail = receipt.ledger.detail
        if "categories" not in detail:
            return
        cited, at = detail.get("agreement"), detail.get("at")
        if not isinstance(cited, str) or type(at) is not int:
            raise _refused()
        try:
            self._book = self._book or await self._open()
            await self._book.cited(cited, at)
        except (OrderRefused, RegisterError) as refused:
            raise _refused() from refused
        except (AgreementUnavailable, SessionError) as failure:
            raise GatewayUnreachable(_UNREACHED) from failure

    async def _open(self) -> AgreementBook:
        package = read_package(await self._fetch(self._register.agreement_digest))
        first = first_version(package, self._register, self._clock())
        return AgreementBook(Chain(first, self._register), _Memory(), self._fetch, self._clock)


class _Memory:
    """Keeps nothing: what a receipt cites is followed anew by every process."""

    async def keep_agreement(self, digest: str, package: str, *, unless_kept: bool = False) -> None:
        """Keep nothing."""

    async def agreements(self) -> list[tuple[str, str]]:
        """Return nothing."""
        return []


def _refused() -> ProofRefused:
    return ProofRefused(
        "receipt_agreement_not_in_force",
        "The receipt cites an agreement that was not in force then, as far as its founders signed.",
    )
