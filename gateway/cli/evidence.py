"""How a client's act was recorded, as the command line and the demonstration put it."""

from __future__ import annotations

import base64
import hashlib
import secrets

from pydantic import JsonValue

# Stands for the approved notice until the desk brings the texts themselves; its digest is what counts.
_NOTICE = "Dossierpoort, notice to the client, version of the demonstration, language {language}\n"


def notice(language: str) -> dict[str, JsonValue]:
    """Name the notice that was read to the client, by language and digest."""
    digest = hashlib.sha256(_NOTICE.format(language=language).encode()).digest()
    return {
        "language": language,
        "digest": "sha-256:" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
    }


def signed_on_paper(staff: str, language: str, *, interpreter: str | None = None) -> dict[str, JsonValue]:
    """Say that the client signed on paper, in whose presence, and that they could say it back."""
    evidence: dict[str, JsonValue] = {
        "method": "signature_on_paper",
        "notice": notice(language),
        "staff": staff,
        "teach_back": "understood",
        "age_group": "from_16",
        "salt": secrets.token_urlsafe(16),
    }
    if interpreter is not None:
        evidence["interpreter"] = interpreter
    return evidence
