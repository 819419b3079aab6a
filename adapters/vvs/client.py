"""Ask VVS: first which of its own client numbers belongs to a number, then that client's record."""

from __future__ import annotations

from adapters.kit.agency import AgencyTrouble, Later, NotFound, Question, Record
from adapters.kit.agency_fields import listed
from adapters.kit.agency_wire import AgencyWire
from adapters.protocol import Scheme
from adapters.vvs import mapping


class VvsClient:
    """An NGO's client-tracking system, as an `Agency`."""

    schemes = frozenset({Scheme.V_NUMBER, Scheme.PARTY_NUMBER})

    def __init__(self, wire: AgencyWire) -> None:
        self._wire = wire

    async def ask(self, question: Question) -> Record | NotFound | Later:
        """Look the client up by either number, then ask for the record."""
        client_no = await self._client_no(question)
        if client_no is None:
            return NotFound()
        status, answered = await self._wire.post_json(
            "/clients/record",
            {
                "client_no": client_no,
                "include": mapping.includes(question.categories),
                "ticket": question.reference,
            },
        )
        match status:
            case 200:
                return mapping.to_record(answered, scheme=question.client.scheme)
            case 202:
                return _later(answered.get("retry_after"))
            case _:
                raise AgencyTrouble("agency_answer_invalid", f"VVS answered {status}")

    async def close(self) -> None:
        """Close the session with VVS."""
        await self._wire.close()

    async def _client_no(self, question: Question) -> str | None:
        by = "alien_no" if question.client.scheme is Scheme.V_NUMBER else "client_no"
        status, answered = await self._wire.post_json("/clients/lookup", {by: question.client.value})
        if status != 200:
            raise AgencyTrouble("agency_answer_invalid", f"VVS answered {status}")
        match listed(answered, "matches"):
            case []:
                return None
            case [str(client_no)]:
                return client_no
        # Two clients under one number: whose record we would send is a guess, so we send none.
        raise AgencyTrouble("agency_answer_invalid", "the number does not name one client")


def _later(seconds: object) -> Later:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise AgencyTrouble("agency_answer_invalid", "a later answer without a time")
    return Later(ready_in_seconds=float(seconds))
