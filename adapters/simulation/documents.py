"""Make the papers of the simulated agencies: real PDF files, the same bytes for the same person.

They look like an official letter (letterhead, reference block, numbered considerations) on a scanned
page: the bitmap of paper grain is what gives them the weight of real post.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fpdf import FPDF
    from PIL import Image

_MADE_AT = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
_BLUE = (21, 66, 115)
_A4_MM = (210, 297)
# Six bits of grain for each pixel survive the compression of a PDF stream.
_GRAIN_SHARE = 0.72

_CONSIDERATIONS = (
    "Betrokkene heeft een aanvraag ingediend. De aanvraag is beoordeeld aan de hand van de stukken in het"
    " dossier en hetgeen betrokkene daarover heeft verklaard.",
    "De overgelegde stukken zijn betrokken bij de beoordeling. Waar een stuk niet op echtheid kon worden"
    " onderzocht, is dat in het nadeel noch in het voordeel van betrokkene uitgelegd.",
    "Betrokkene is in de gelegenheid gesteld te reageren op het voornemen. De zienswijze heeft geleid tot"
    " aanvulling van de overwegingen hieronder.",
    "Tegen deze beslissing kan binnen vier weken beroep worden ingesteld bij de rechtbank. Een advocaat of"
    " VluchtelingenWerk kan daarbij helpen.",
)


def official_letter(
    *,
    agency: str,
    title: str,
    addressee: str,
    reference: str,
    kilobytes: int,
    paragraphs: Sequence[str] = _CONSIDERATIONS,
) -> bytes:
    """Return a PDF of about `kilobytes` (1 or 2: text only); equal arguments give equal bytes."""
    return _letter(agency, title, addressee, reference, kilobytes, tuple(paragraphs))


@lru_cache(maxsize=1024)
def _letter(
    agency: str, title: str, addressee: str, reference: str, kilobytes: int, paragraphs: tuple[str, ...]
) -> bytes:
    # Imported with the first letter: much of what a simulated agency would take to start.
    from fpdf import FPDF

    page = FPDF(format="A4")
    page.set_creation_date(_MADE_AT)
    page.set_title(title)
    page.set_author(agency)
    page.set_margins(25, 20, 25)
    page.add_page()
    if kilobytes > 4:
        page.image(_grain(reference, kilobytes), x=0, y=0, w=_A4_MM[0], h=_A4_MM[1])
    _letterhead(page, agency)
    _reference_block(page, addressee=addressee, reference=reference, title=title)
    for number, paragraph in enumerate(paragraphs, start=1):
        page.set_font("Helvetica", size=10)
        page.multi_cell(0, 5.2, f"{number}.  {paragraph}", new_x="LMARGIN", new_y="NEXT")
        page.ln(2)
    page.ln(6)
    page.cell(0, 5, "De Minister, namens deze,", new_x="LMARGIN", new_y="NEXT")
    _signature(page, reference)
    return bytes(page.output())


def _letterhead(page: FPDF, agency: str) -> None:
    page.set_fill_color(*_BLUE)
    page.rect(100, 0, 10, 24, style="F")
    page.set_xy(114, 12)
    page.set_text_color(0)
    page.set_font("Times", size=11)
    page.multi_cell(80, 5, agency, new_x="LMARGIN", new_y="NEXT")
    page.set_y(44)


def _reference_block(page: FPDF, *, addressee: str, reference: str, title: str) -> None:
    page.set_font("Helvetica", size=8)
    page.set_text_color(90)
    for label, value in (
        ("Betreft", addressee),
        ("Ons kenmerk", reference),
        ("Datum", _MADE_AT.strftime("%d-%m-%Y")),
    ):
        page.cell(30, 4.4, label)
        page.cell(0, 4.4, value, new_x="LMARGIN", new_y="NEXT")
    page.ln(8)
    page.set_text_color(0)
    page.set_font("Helvetica", style="B", size=14)
    page.multi_cell(0, 7, title, new_x="LMARGIN", new_y="NEXT")
    page.set_draw_color(*_BLUE)
    page.line(25, page.get_y() + 1, 185, page.get_y() + 1)
    page.ln(6)


def _signature(page: FPDF, reference: str) -> None:
    pen = random.Random(reference)  # noqa: S311 -- a drawing, and it must repeat
    points = [(30 + 4.0 * step, page.get_y() + 6 + pen.uniform(-5, 5)) for step in range(12)]
    page.set_line_width(0.4)
    page.polyline(points)


def _grain(seed: str, kilobytes: int) -> Image.Image:
    from PIL import Image

    pixels = int(kilobytes * 1000 / _GRAIN_SHARE)
    width = max(8, int((pixels * _A4_MM[0] / _A4_MM[1]) ** 0.5))
    height = pixels // width
    noise = random.Random(seed).randbytes(width * height)  # noqa: S311 -- paper grain, and it must repeat
    # Light enough to read on: the lower two bits of tone are dropped, the rest is near white.
    return Image.frombytes("L", (width, height), noise.translate(_PALE))


_PALE = bytes(192 + tone // 4 for tone in range(256))
