"""Ask DT&V's departure system: its spaced numbers, its result words, its files one by one."""

from __future__ import annotations

from adapters.dtv import mapping
from adapters.kit.agency import AgencyTrouble, Later, NotFound, Question, Record
from adapters.kit.agency_fields import listed, mapped, text
from adapters.kit.agency_wire import MAX_AGENCY_BYTES, AgencyWire
from adapters.protocol import Scheme

_MAX_FILES = 500


class DtvClient:
    """DT&V's own system, as an `Agency`."""

    schemes = frozenset({Scheme.V_NUMBER})

    def __init__(self, wire: AgencyWire) -> None:
        self._wire = wire

    async def ask(self, question: Question) -> Record | NotFound | Later:
        """Ask for one departure case and fetch the files of the ordered topics."""
        number = mapping.spaced(question.client.value)
        status, answered = await self._wire.post_json(
            "/api/vertrekzaak",
            {
                "VNr": number,
                "Onderwerpen": mapping.topics(question.categories),
                "Referentie": question.reference,
            },
        )
        if status != 200:
            raise AgencyTrouble("agency_answer_invalid", f"DT&V answered {status}")
        match answered.get("Resultaat"):
            case "ONBEKEND":
                return NotFound()
            case "WACHT":
                return _later(answered.get("WachtMs"))
            case "OK":
                case = mapped(answered.get("Zaak"))
            case _:
                raise AgencyTrouble("agency_answer_invalid", "a result word that is not in the table")
        wanted = set(mapping.topics(question.categories))
        files = [entry for entry in map(mapped, listed(case, "Bestanden")) if text(entry, "Type") in wanted]
        return mapping.to_record(case, await self._fetch([text(entry, "Id") for entry in files], number))

    async def close(self) -> None:
        """Close the session with DT&V."""
        await self._wire.close()

    async def _fetch(self, ids: list[str], number: str) -> dict[str, bytes]:
        if len(ids) > _MAX_FILES:
            raise AgencyTrouble("agency_answer_invalid", "more files than we read")
        contents: dict[str, bytes] = {}
        for file_id in ids:
            status, content = await self._wire.post("/api/bestand", {"Id": file_id, "VNr": number})
            if status != 200:
                raise AgencyTrouble("agency_answer_invalid", "a file of the case is not there")
            contents[file_id] = content
            if sum(map(len, contents.values())) > MAX_AGENCY_BYTES:
                raise AgencyTrouble("agency_answer_invalid", "the files together are larger than we read")
        return contents


def _later(milliseconds: object) -> Later:
    if type(milliseconds) is not int:
        raise AgencyTrouble("agency_answer_invalid", "a later answer without a time")
    return Later(ready_in_seconds=milliseconds / 1000)
