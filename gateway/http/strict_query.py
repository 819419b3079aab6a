"""Refuse what a resource does not read in a query: nothing there is ignored.

A parameter that is passed over is a wish that the caller believes was heard; of one that comes twice,
two readers take different ones.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection
from urllib.parse import parse_qsl

from fastapi import Request
from fastapi.dependencies.models import Dependant

from gateway.errors import InputRefused

# The caller chose the name, so it may itself be an identifier: shown only if it looks like a parameter's.
_REPEATABLE_NAME = re.compile(r"[A-Za-z_-]{1,40}")
_MAX_SHOWN = 16


def query_names(dependant: Dependant) -> frozenset[str]:
    """Name the parameters that a route, or anything it depends on, reads from the query."""
    names = {field.alias for field in dependant.query_params}
    return frozenset(names.union(*map(query_names, dependant.dependencies)))


def require_query(request: Request, known: Collection[str]) -> None:
    """Raise InputRefused for a parameter that is not `known`, or is there twice; never say its value."""
    query: bytes = request.scope["query_string"]
    if not query:
        return
    given = Counter(name for name, _ in parse_qsl(query.decode("latin-1"), keep_blank_values=True))
    errors: dict[tuple[str, str], None] = {}
    for name, count in given.items():
        if name not in known:
            errors[_shown(name), "unknown_parameter"] = None
        elif count > 1:
            errors[_shown(name), "repeated_parameter"] = None
    if errors:
        listed = [{"pointer": f"query:{name}", "code": code} for name, code in list(errors)[:_MAX_SHOWN]]
        raise InputRefused(
            "invalid_input",
            "The query has a parameter that this resource does not know, or one twice.",
            extra={"errors": listed},
        )


def _shown(name: str) -> str:
    return name if _REPEATABLE_NAME.fullmatch(name) else "*"
