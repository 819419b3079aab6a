"""Do one piece of work on agreements, told on standard input and answered on standard output, and end.

A process of its own because it takes seconds of a processor, or whatever the author of a document makes it
take: beside the gateway's own work it gets what is left over. It knows no key, no client and no database.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

# About a tenth of a processor when the gateway wants all of it, all of it when nobody else does.
_NICE: Final = 10
# Of a document that is no agreement at all, a reader wants to hear where to begin.
MAX_FAULTS: Final = 200
# Whoever started this gave up long before, or ended without ending it.
_PROCESSOR_SECONDS: Final = 60


def check(document: Mapping[str, object], kinds: Mapping[str, str]) -> dict[str, Any]:
    """Say whether a document can be an agreement among parties of these kinds: its faults, in words."""
    from adapters.kit.register import agreement_digest
    from gateway.agreement import AgreementInvalid, check_among
    from gateway.terms_check import warnings

    try:
        terms = check_among(document, kinds)
    except AgreementInvalid as invalid:
        told = [asdict(one) for one in invalid.faults[:MAX_FAULTS]]
        return {"valid": False, "faults": told, "fault_count": len(invalid.faults), "warnings": []}
    return {
        "valid": True,
        "digest": agreement_digest(document),
        "version": terms.version,
        "faults": [],
        "fault_count": 0,
        "warnings": [asdict(one) for one in warnings(terms)[:MAX_FAULTS]],
    }


def difference(old: Mapping[str, object], new: Mapping[str, object], policies: str) -> dict[str, Any]:
    """Say what `new` permits, forbids and says otherwise, asked through the policy in that folder."""
    from gateway.agreement_document import difference as by_asking

    folder = Path(policies)
    found = by_asking.difference(by_asking.Side.of(old, folder), by_asking.Side.of(new, folder))
    return {
        "permits": [asdict(one) for one in found.permits],
        "forbids": [asdict(one) for one in found.forbids],
        "otherwise": [{"nl": one.nl, "en": one.en} for one in found.otherwise],
    }


def text(document: Mapping[str, object], digest: str, **how: Any) -> dict[str, Any]:
    """Write a version as a text to read."""
    from gateway.agreement import check
    from gateway.agreement_document.text import render

    return {"text": render(check(document), digest, **how)}


_WORK: Mapping[str, Callable[..., dict[str, Any]]] = {"check": check, "difference": difference, "text": text}


def main() -> None:
    """Do what standard input asks; leave with a traceback, and no answer, where it cannot be done."""
    os.nice(_NICE)
    resource.setrlimit(resource.RLIMIT_CPU, (_PROCESSOR_SECONDS, _PROCESSOR_SECONDS))
    asked = json.loads(sys.stdin.buffer.read())
    done = _WORK[asked["work"]](**asked["with"])
    sys.stdout.buffer.write(json.dumps(done).encode())


if __name__ == "__main__":
    main()
