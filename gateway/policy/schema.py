"""The form of what policy is asked, as JSON Schema, made from the Python types that are put to it.

    python -m gateway.policy.schema        writes policies/input.schema.json

With it `opa check` finds a misspelt fact in the Rego: without a schema that is a fact which is never there. A
test compares the file with the types, so neither can change alone.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter

from gateway.policy.port import LAST_SECOND, ConsentFact, Question

FILE: Final = Path(__file__).resolve().parents[2] / "policies" / "input.schema.json"
# What OPA reads; later drafts it does not.
_DRAFT: Final = "http://json-schema.org/draft-07/schema#"


def input_schema() -> dict[str, object]:
    """Return the schema of `gateway.policy.rego.document`: each member there, and none beside them."""
    schema = _members(Question)
    schema["properties"]["consents"] = {
        "description": "The consents of each requested category, by category.",
        "type": "object",
        "additionalProperties": {"type": "array", "items": _members(ConsentFact)},
    }
    return {"$schema": _DRAFT, "title": "What the gateway asks its policy", **schema}


def text() -> str:
    """Return the schema as it is written."""
    return json.dumps(input_schema(), indent=2) + "\n"


def _members(kind: type[Question] | type[ConsentFact]) -> dict[str, Any]:
    made = TypeAdapter(kind).json_schema()
    return {
        "type": "object",
        "properties": {name: _type(found) for name, found in made["properties"].items()},
        "required": list(made["properties"]),  # a default of Python's is sent like any other value
        "additionalProperties": False,
    }


def _type(made: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in made.items() if name not in ("title", "default")}
    return {**kept, "minimum": 0, "maximum": LAST_SECOND} if kept.get("type") == "integer" else kept


if __name__ == "__main__":
    FILE.write_text(text())
