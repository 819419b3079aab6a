"""Simulate VVS, an NGO's client-tracking system: records under its own client number, two steps.

POST /clients/lookup  {"client_no"} or {"alien_no"}       → {"matches": [client_no, …]}
POST /clients/record  {"client_no", "include": […], "ticket"}
200  {"record": {"client_no", "alien_no", "in_guidance": bool, "legal_prospects": 1|0|null,
      "trajectory": {…}, "contact": {…}, "attachments": [{"kind", "file_name", "data"}]},
      "withheld": [{"what", "why"}]}
202  {"busy": true, "retry_after": seconds}
"""

from __future__ import annotations

import base64

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from adapters.simulation.behaviour import Behaviours, behaviour_router
from adapters.simulation.documents import official_letter
from adapters.simulation.personas import BY_V_NUMBER, BY_VVS_NUMBER, PERSONAS, Persona

_AGENCY = "VluchtelingenWerk Amsterdam\nJuridische begeleiding"
_PROSPECTS = {"yes": 1, "no": 0, None: None}
_PHASES = ("screening", "juridische begeleiding", "toekomstoriëntatie", "terugkeerbegeleiding")


class _Lookup(BaseModel):
    model_config = ConfigDict(extra="forbid")

    client_no: str | None = None
    alien_no: str | None = None


class _RecordQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    client_no: str
    include: list[str]
    ticket: str


def create_app() -> FastAPI:
    """Return a simulated VVS, with `POST /_sim/behaviour` to make it misbehave."""
    app = FastAPI(title="VVS (simulated)", docs_url=None, redoc_url=None)
    behaviours = Behaviours("vvs")
    app.include_router(behaviour_router(behaviours))

    @app.post("/clients/lookup")
    async def lookup(query: _Lookup) -> Response:
        persona = BY_VVS_NUMBER.get(query.client_no or "") or BY_V_NUMBER.get(query.alien_no or "")
        number = query.alien_no or (persona.v_number if persona else "")
        if (instead := await behaviours.interfere(number)) is not None:
            return instead
        if persona is None or not persona.known or behaviours.of(persona.v_number).mode == "not_found":
            return JSONResponse({"matches": []})
        return JSONResponse({"matches": [persona.vvs_number]})

    @app.post("/clients/record")
    async def record(query: _RecordQuery) -> Response:
        persona = BY_VVS_NUMBER.get(query.client_no)
        if persona is None:
            return JSONResponse({"error": "no such client"}, status_code=404)
        if (seconds := behaviours.seconds_left(persona.v_number, query.ticket)) > 0:
            return JSONResponse({"busy": True, "retry_after": round(seconds, 2)}, status_code=202)
        mode = behaviours.of(persona.v_number).mode
        return JSONResponse(_answer(persona, set(query.include), mode))

    return app


def _answer(persona: Persona, include: set[str], mode: str) -> dict[str, object]:
    if mode == "extra":
        include = include | {"trajectory", "contact", "attachments"}
    about = next(p for p in PERSONAS if p is not persona) if mode == "wrong_client" else persona
    record: dict[str, object] = {"client_no": about.vvs_number, "alien_no": about.v_number}
    if "in_guidance" in include:
        record["in_guidance"] = "ja, sinds de zitting" if mode == "free_text" else persona.guidance
    if "legal_prospects" in include:
        record["legal_prospects"] = "ja, medisch" if mode == "free_text" else _PROSPECTS[persona.perspective]
    withheld: list[dict[str, str]] = []
    if persona.refused_by_law:
        private = include & {"trajectory", "contact", "attachments"}
        withheld = [{"what": what, "why": "law"} for what in sorted(private)]
    else:
        record |= _private(persona, include)
        if persona.third_parties_removed and "attachments" in include:
            withheld = [{"what": "attachments", "why": "others"}]
    return {"record": record, "withheld": withheld}


def _private(persona: Persona, include: set[str]) -> dict[str, object]:
    shown: dict[str, object] = {}
    if "trajectory" in include:
        shown["trajectory"] = {
            "phase": persona.phase,
            "step": _PHASES.index(persona.phase) + 1,
            "plan": ["intake afgerond", "dossier opgevraagd", "vervolggesprek gepland"],
        }
    if "contact" in include:
        shown["contact"] = {"via": "spreekuur", "languages": [persona.nationality]}
    if "attachments" in include:
        shown["attachments"] = [
            {
                "kind": "note",
                "file_name": f"{title}.pdf",
                "data": base64.b64encode(_letter(persona, title)).decode(),
            }
            for title in ("Verslag intake", "Juridische analyse")
        ]
    return shown


def _letter(persona: Persona, title: str) -> bytes:
    return official_letter(
        agency=_AGENCY,
        title=title,
        addressee=f"cliënt {persona.vvs_number}",
        reference=f"{persona.vvs_number}-{title[:3]}",
        kilobytes=min(persona.document_kilobytes, 400),
    )
