"""What each of several gateways did, read from its own log: which calls of parties it answered."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path


def calls_answered(log: Path) -> Counter[str]:
    """Count the calls of signed-in parties that a gateway's log tells of, by `<method> <route>`."""
    calls: Counter[str] = Counter()
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue  # the last line of a gateway that was killed
        if isinstance(event, dict) and event.get("event") == "request" and event.get("party"):
            calls[f"{event.get('method')} {event.get('route')}"] += 1
    return calls
