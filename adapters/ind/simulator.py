"""Simulate IND's dossier system: Dutch field names, one list of `stukken`, answered in pages.

POST /dossier/opvragen  {"vnummer", "onderdelen", "kenmerk", "doel", "verzoeker", "pagina"}
200  {"vnummer", "perspectief": "ja"|"nee"|null, "gegevens": {…}, "stukken": […], "geweigerd": […],
      "pagina", "paginas"}
202  {"vnummer", "status": "in behandeling", "gereed_over_seconden"}
404  {"status": "niet gevonden"}
"""

from __future__ import annotations

import base64

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from adapters.simulation.behaviour import Behaviours, behaviour_router
from adapters.simulation.documents import official_letter
from adapters.simulation.personas import BY_V_NUMBER, PERSONAS, Persona

_AGENCY = "Immigratie- en Naturalisatiedienst\nMinisterie van Asiel en Migratie"
_PER_PAGE = 50
_PERSPECTIVE = {"yes": "ja", "no": "nee", None: None}


class _Opvraging(BaseModel):
    model_config = ConfigDict(extra="forbid")

    vnummer: str
    onderdelen: list[str]
    kenmerk: str
    doel: str
    verzoeker: str
    pagina: int = 1


def create_app() -> FastAPI:
    """Return IND's simulated system, with `POST /_sim/behaviour` to make it misbehave."""
    app = FastAPI(title="IND (simulated)", docs_url=None, redoc_url=None)
    behaviours = Behaviours("ind")
    app.include_router(behaviour_router(behaviours))

    @app.post("/dossier/opvragen")
    async def opvragen(vraag: _Opvraging) -> Response:
        if (instead := await behaviours.interfere(vraag.vnummer)) is not None:
            return instead
        mode = behaviours.of(vraag.vnummer).mode
        persona = BY_V_NUMBER.get(vraag.vnummer)
        if persona is None or not persona.known or mode == "not_found":
            return JSONResponse({"status": "niet gevonden"}, status_code=404)
        if (seconds := behaviours.seconds_left(vraag.vnummer, vraag.kenmerk)) > 0:
            waiting = {
                "vnummer": vraag.vnummer,
                "status": "in behandeling",
                "gereed_over_seconden": round(seconds, 2),
            }
            return JSONResponse(waiting, status_code=202)
        return JSONResponse(_answer(persona, vraag, mode))

    return app


def _answer(persona: Persona, vraag: _Opvraging, mode: str) -> dict[str, object]:
    parts = set(vraag.onderdelen)
    if mode == "extra":
        parts |= {"beschikkingen", "gehoren", "medisch", "personalia"}
    refused: list[dict[str, str]] = []
    papers: list[tuple[str, str, int]] = []
    if persona.refused_by_law:
        refused = [{"onderdeel": part, "reden": "WET"} for part in sorted(parts - {"perspectief"})]
    else:
        papers = _papers(persona, parts)
        if persona.third_parties_removed:
            refused = [{"onderdeel": soort, "reden": "DERDEN"} for soort in sorted({p[0] for p in papers})]
    pages = max(1, -(-len(papers) // _PER_PAGE))
    shown = papers[(vraag.pagina - 1) * _PER_PAGE : vraag.pagina * _PER_PAGE]
    about = next(p for p in PERSONAS if p is not persona) if mode == "wrong_client" else persona
    answer: dict[str, object] = {
        "vnummer": about.v_number,
        "gegevens": {} if persona.refused_by_law else _facts(persona, parts),
        "stukken": [_piece(persona, *paper) for paper in shown],
        "geweigerd": refused,
        "pagina": vraag.pagina,
        "paginas": pages,
    }
    if "perspectief" in parts:
        said = _PERSPECTIVE[persona.perspective]
        answer["perspectief"] = "ja, want zij vreest vervolging" if mode == "free_text" else said
    return answer


def _papers(persona: Persona, parts: set[str]) -> list[tuple[str, str, int]]:
    """List the papers of the parts asked for: part, title, kilobytes."""
    papers: list[tuple[str, str, int]] = []
    if "beschikkingen" in parts:
        titles = ("Beschikking op de aanvraag", "Voornemen tot afwijzing", "Terugkeerbesluit")
        papers += [
            ("beschikkingen", titles[number % 3], persona.document_kilobytes)
            for number in range(persona.decisions)
        ]
    if "dossierstukken" in parts:
        weight = 2 if persona.dossier_documents > 50 else min(persona.document_kilobytes, 180)
        papers += [
            ("dossierstukken", f"Dossierstuk {number + 1}", weight)
            for number in range(persona.dossier_documents)
        ]
    if "gehoren" in parts:
        papers += [("gehoren", "Rapport nader gehoor", min(persona.document_kilobytes, 200))]
    return papers


def _piece(persona: Persona, part: str, title: str, kilobytes: int) -> dict[str, str]:
    content = official_letter(
        agency=_AGENCY,
        title=title,
        addressee=f"{persona.given_name or ''} {persona.family_name}, V-nummer {persona.v_number}".strip(),
        reference=f"IND-{part[:3].upper()}-{persona.v_number[-4:]}-{title[-2:].strip()}",
        kilobytes=kilobytes,
    )
    return {
        "soort": part,
        "titel": title,
        "mediatype": "application/pdf",
        "inhoud": base64.b64encode(content).decode(),
    }


def _facts(persona: Persona, parts: set[str]) -> dict[str, object]:
    known: dict[str, object] = {
        "personalia": {
            "voornaam": persona.given_name,
            "geslachtsnaam": persona.family_name,
            "geboortedatum": persona.birth_date,
            "nationaliteit": persona.nationality,
        },
        "aanvraagstatus": {"aanvraag": "asiel, herhaald", "stand": "in beroep", "sinds": "2025-10-01"},
        "verblijfsstatus": {"status": "geen rechtmatig verblijf", "sinds": "2024-06-12"},
        "procedureverloop": [
            {"datum": "2019-03-11", "gebeurtenis": "aanvraag asiel"},
            {"datum": "2021-08-30", "gebeurtenis": "afwijzing"},
            {"datum": "2025-10-01", "gebeurtenis": "herhaalde aanvraag"},
        ],
    }
    return {part: known[part] for part in sorted(parts & known.keys())}
