"""Read fields of an agency's record: the right type, or AgencyTrouble. Shared by every `mapping.py`."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping

from adapters.kit.agency import AgencyTrouble, Document
from adapters.protocol import ClientIdentifier, Scheme

_MAX_TEXT = 200


def mapped(unverified: object) -> Mapping[str, object]:
    """Return a JSON object."""
    if not isinstance(unverified, dict):
        raise AgencyTrouble("agency_answer_invalid", "a field is not an object")
    return unverified


def listed(record: Mapping[str, object], name: str) -> list[object]:
    """Return a list; an absent field is an empty one."""
    value = record.get(name, [])
    if not isinstance(value, list):
        raise AgencyTrouble("agency_answer_invalid", "a field is not a list")
    return value


def text(record: Mapping[str, object], name: str) -> str:
    """Return a short text that is there."""
    value = record.get(name)
    if not isinstance(value, str) or not 1 <= len(value) <= _MAX_TEXT:
        raise AgencyTrouble("agency_answer_invalid", "a field is not a short text")
    return value


def base64_bytes(record: Mapping[str, object], name: str) -> bytes:
    """Return what a base64 field holds."""
    value = record.get(name)
    if not isinstance(value, str):
        raise AgencyTrouble("agency_answer_invalid", "a field is not base64")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as malformed:
        raise AgencyTrouble("agency_answer_invalid", "a field is not base64") from malformed


def identifier(scheme: Scheme, value: str) -> ClientIdentifier:
    """Return the number that a record carries; one of another form is the agency's trouble."""
    try:
        return ClientIdentifier(scheme=scheme, value=value)
    except ValueError:  # `from None`: the message of pydantic names the field's value
        raise AgencyTrouble("agency_answer_invalid", "a client number of another form") from None


def json_document(name: str, facts: object) -> Document:
    """Wrap structured facts as a document: the same facts give the same bytes."""
    content = json.dumps(facts, ensure_ascii=False, sort_keys=True, indent=1).encode()
    return Document(name, "application/json", content)
