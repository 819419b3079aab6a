"""Ask IND's dossier system: its addresses, pages and status words, and nothing about categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from adapters.ind import mapping
from adapters.kit.agency import AgencyTrouble, Later, NotFound, Question, Record
from adapters.kit.agency_wire import MAX_AGENCY_BYTES, AgencyWire
from adapters.protocol import Scheme

# Khalid's 400 papers are 8 pages; who promises more has gone wrong.
_MAX_PAGES = 40


class IndClient:
    """IND's own system, as an `Agency`."""

    schemes = frozenset({Scheme.V_NUMBER})

    def __init__(self, wire: AgencyWire) -> None:
        self._wire = wire

    async def ask(self, question: Question) -> Record | NotFound | Later:
        """Ask for the parts of one dossier, page by page, as one record."""
        pages: list[Mapping[str, object]] = []
        expected, weight = 1, 0
        while len(pages) < expected:
            status, page = await self._wire.post_json(
                "/dossier/opvragen", _opvraging(question, len(pages) + 1)
            )
            match status:
                case 404:
                    return NotFound()
                case 202:
                    return _later(page)
                case 200:
                    pages.append(page)
                case _:
                    raise AgencyTrouble("agency_answer_invalid", f"IND answered {status}")
            expected = _page_count(page, pages[0])
            weight += _weight(page)
            if weight > MAX_AGENCY_BYTES:
                raise AgencyTrouble("agency_answer_invalid", "the pages together are larger than we read")
        return mapping.to_record(pages)

    async def close(self) -> None:
        """Close the session with IND."""
        await self._wire.close()


def _opvraging(question: Question, page: int) -> dict[str, object]:
    return {
        "vnummer": question.client.value,
        "onderdelen": mapping.parts(question.categories),
        "kenmerk": question.reference,
        "doel": question.purpose,
        "verzoeker": question.recipient,
        "pagina": page,
    }


def _page_count(page: Mapping[str, object], first: Mapping[str, object]) -> int:
    count = page.get("paginas")
    # The number of pages, and whom they are about, stand still while we turn them.
    if (
        type(count) is not int
        or not 1 <= count <= _MAX_PAGES
        or count != first.get("paginas")
        or page.get("vnummer") != first.get("vnummer")
    ):
        raise AgencyTrouble("agency_answer_invalid", "the pages of the record do not fit together")
    return count


def _weight(page: Mapping[str, object]) -> int:
    papers = page.get("stukken")
    if not isinstance(papers, Sequence):
        return 0
    return sum(len(str(paper.get("inhoud", ""))) for paper in papers if isinstance(paper, dict))


def _later(page: Mapping[str, object]) -> Later:
    seconds = page.get("gereed_over_seconden")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise AgencyTrouble("agency_answer_invalid", "a later answer without a time")
    return Later(ready_in_seconds=float(seconds))
