"""What a stranger could see of one call, and what the gateway did for it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from adapters.kit import jose
from tests.integration.promises.moments import Moments
from tests.integration.town import Town

_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
# Of these only the length is compared: a fresh random id, and a signature over it.
_RANDOM = ("id", "receipt")


@dataclass(frozen=True)
class Face:
    """One answer without what is random or the time, and the work behind it."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: str
    length: int
    receipt: str  # what the receipt says, likewise
    statements: tuple[str, ...] = field(repr=False)
    calls: tuple[str, ...]
    entries: int


async def look(
    place: Town,
    moments: Moments,
    party: str,
    method: str,
    path: str,
    body: Mapping[str, Any] | None = None,
    **headers: str,
) -> Face:
    """Make one call, watched from outside and from inside."""
    before = await moments.ledger_size()
    moments.watch(method, path)
    await place.call(party, method, path, body, **headers)
    start, *rest = moments.sent
    content = b"".join(message.get("body", b"") for message in rest)
    answer = json.loads(content)
    receipt = answer.get("receipt")
    claims = "" if receipt is None else _fixed(json.dumps(jose.unverified_payload(receipt)), answer)
    return Face(
        status=start["status"],
        headers=tuple((name.decode(), value.decode()) for name, value in start["headers"]),
        body=_fixed(content.decode(), answer),
        length=len(content),
        receipt=claims,
        statements=tuple(moments.statements),
        calls=tuple(moments.calls),
        entries=await moments.ledger_size() - before,
    )


def _fixed(text: str, answer: Mapping[str, Any]) -> str:
    """Put a mark of the same length in the place of what is random, and of the time."""
    for name in _RANDOM:
        if isinstance(value := answer.get(name), str):
            text = text.replace(value, name[0] * len(value))
    text = _INSTANT.sub("t" * 20, text)
    text = re.sub(r'"(salt|leaf_hash)": "[A-Za-z0-9_-]{43}"', r'"\1": "…"', text)
    text = re.sub(r'"(iat|at)": \d{10}', r'"\1": 0', text)
    # The index grows; the padding takes it back.
    return re.sub(r'"index": (\d+)(.*)"pad": "(0*)"', _index, text, flags=re.DOTALL)


def _index(found: re.Match[str]) -> str:
    return f'"width": {len(found[1]) + len(found[3])}{found[2]}'
