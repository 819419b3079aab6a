"""Simulate DT&V's departure system: PascalCase, always 200 with a `Resultaat`, files fetched one by one.

POST /api/vertrekzaak    {"VNr": "999 000 0101", "Onderwerpen": […], "Referentie"}
200  {"Resultaat": "OK", "Zaak": {"VNr", "KansOpToelating": "J"|"N"|"", "Mogelijkheden": […],
      "Belemmeringen": […], "Bestanden": [{"Id", "Type", "Titel"}], "Afgeschermd": {Onderwerp: code}}}
200  {"Resultaat": "WACHT", "WachtMs"}   ·   200  {"Resultaat": "ONBEKEND"}
POST /api/bestand        {"Id", "VNr"}   → the bytes of the file
"""

from __future__ import annotations

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from adapters.simulation.behaviour import Behaviours, behaviour_router
from adapters.simulation.documents import official_letter
from adapters.simulation.personas import BY_V_NUMBER, PERSONAS, Persona

_AGENCY = "Dienst Terugkeer en Vertrek\nMinisterie van Asiel en Migratie"
_CHANCE = {"yes": "J", "no": "N", None: ""}


class _Zaakvraag(BaseModel):
    model_config = ConfigDict(extra="forbid")

    VNr: str
    Onderwerpen: list[str]
    Referentie: str


class _Bestandsvraag(BaseModel):
    model_config = ConfigDict(extra="forbid")

    Id: str
    VNr: str


def create_app() -> FastAPI:
    """Return DT&V's simulated system, with `POST /_sim/behaviour` to make it misbehave."""
    app = FastAPI(title="DT&V (simulated)", docs_url=None, redoc_url=None)
    behaviours = Behaviours("dtv")
    app.include_router(behaviour_router(behaviours))

    @app.post("/api/vertrekzaak")
    async def vertrekzaak(vraag: _Zaakvraag) -> Response:
        v_number = vraag.VNr.replace(" ", "")
        if (instead := await behaviours.interfere(v_number)) is not None:
            return instead
        mode = behaviours.of(v_number).mode
        persona = BY_V_NUMBER.get(v_number)
        if persona is None or not persona.known or mode == "not_found":
            return JSONResponse({"Resultaat": "ONBEKEND"})
        if (seconds := behaviours.seconds_left(v_number, vraag.Referentie)) > 0:
            return JSONResponse({"Resultaat": "WACHT", "WachtMs": round(seconds * 1000)})
        return JSONResponse({"Resultaat": "OK", "Zaak": _zaak(persona, set(vraag.Onderwerpen), mode)})

    @app.post("/api/bestand")
    async def bestand(vraag: _Bestandsvraag) -> Response:
        persona = BY_V_NUMBER.get(vraag.VNr.replace(" ", ""))
        if persona is None or vraag.Id not in {paper["Id"] for paper in _files(persona)}:
            return Response(status_code=404)
        content = official_letter(
            agency=_AGENCY,
            title="Aanvraag vervangend reisdocument",
            addressee=f"{persona.given_name or ''} {persona.family_name}".strip(),
            reference=vraag.Id,
            kilobytes=persona.document_kilobytes,
        )
        return Response(content, media_type="application/pdf")

    return app


def _spaced(v_number: str) -> str:
    return f"{v_number[:3]} {v_number[3:6]} {v_number[6:]}"


def _files(persona: Persona) -> list[dict[str, str]]:
    return [
        {"Id": f"LP-{persona.v_number[-4:]}", "Type": "Reisdocumenten", "Titel": "Aanvraag laissez-passer"}
    ]


def _zaak(persona: Persona, topics: set[str], mode: str) -> dict[str, object]:
    if mode == "extra":
        topics = topics | {"Mogelijkheden", "Belemmeringen", "Reisdocumenten"}
    about = next(p for p in PERSONAS if p is not persona) if mode == "wrong_client" else persona
    shown = set() if persona.refused_by_law else topics
    zaak: dict[str, object] = {"VNr": _spaced(about.v_number), "Afgeschermd": {}}
    if "KansOpToelating" in topics:
        chance = _CHANCE[persona.perspective]
        zaak["KansOpToelating"] = "J (zie verhaal)" if mode == "free_text" else chance
    if "Mogelijkheden" in shown:
        zaak["Mogelijkheden"] = [
            {"Land": "herkomst", "Wijze": "zelfstandig, met ondersteuning van IOM", "Code": 21},
            {"Land": "derde land", "Wijze": "onderzoek naar toelating", "Code": 34},
        ]
    if "Belemmeringen" in shown:
        zaak["Belemmeringen"] = [{"Soort": "geen reisdocument", "Sinds": "2025-11-03", "Code": 7}]
    if "Reisdocumenten" in shown:
        zaak["Bestanden"] = _files(persona)
    if persona.refused_by_law:
        zaak["Afgeschermd"] = dict.fromkeys(sorted(topics - {"KansOpToelating"}), "A1")
    elif persona.third_parties_removed:
        zaak["Afgeschermd"] = dict.fromkeys(sorted(topics & {"Belemmeringen", "Reisdocumenten"}), "D2")
    return zaak
