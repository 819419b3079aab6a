"""Errors of the requester's library. Each says what to do next, in words for the person who asked.

RequesterError
├── GatewayRefused      the gateway answered no: its code, status, next step and paragraph
├── GatewayUnreachable  no answer, or none that can be read; the same call may be made again
├── StillWaiting        the source has not answered within the time that the caller gave
└── ProofRefused        an answer came, but its proof does not hold; nothing of it was opened
    └── LedgerForked    the ledger is not the one that this party saw before
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


class RequesterError(Exception):
    """`code` is stable, `message` says what happened, `next_step` what helps."""

    def __init__(self, code: str, message: str, next_step: str) -> None:
        super().__init__(f"{message} {next_step}")
        self.code = code
        self.message = message
        self.next_step = next_step


class GatewayRefused(RequesterError):
    """The gateway's problem document (RFC 9457), kept whole in `problem`."""

    def __init__(self, status: int, problem: Mapping[str, object]) -> None:
        title = _text(problem, "title") or f"The gateway answered {status}."
        detail = _text(problem, "detail")
        message = f"{title} {detail}" if detail and detail != title else title
        super().__init__(
            _text(problem, "code") or f"status_{status}",
            " ".join([message, *_fields(problem)]),
            _text(problem, "next_step") or "Look the code up in docs/errors.md.",
        )
        self.status = status
        self.problem = dict(problem)

    @property
    def paragraph(self) -> str | None:
        """The paragraph of the agreement that the refusal rests on, where there is one."""
        return _text(self.problem, "paragraph")


class GatewayUnreachable(RequesterError):
    """Nothing is known of what the gateway did; a call with an Idempotency-Key is safe to repeat."""

    def __init__(self, message: str) -> None:
        super().__init__(
            "gateway_unreachable",
            message,
            "Check that the gateway runs and that its address is right, then make the same call again"
            " with the same Idempotency-Key.",
        )


class StillWaiting(RequesterError):
    """The exchange goes on without the caller; `exchange` is the id to look it up by."""

    def __init__(self, exchange: str, waited_seconds: float) -> None:
        super().__init__(
            "still_waiting",
            f"The source has not answered after {waited_seconds:.0f} s; a person may have to look.",
            f"The request stays open. Look again later with its id, {exchange}.",
        )
        self.exchange = exchange


class ProofRefused(RequesterError):
    """The answer does not prove itself. Not a thing to retry: someone should know of it."""

    def __init__(self, code: str, message: str, next_step: str | None = None) -> None:
        super().__init__(
            code,
            message,
            next_step
            or "Nothing was opened. Do not use this answer; report it, with the id of the request, to your"
            " data-protection officer and to the party that answered.",
        )


class LedgerForked(ProofRefused):
    """Two checkpoints that one key signed do not belong to one history: the gravest thing there is."""

    def __init__(self, kept_size: int, shown_size: int, evidence: Path | None) -> None:
        where = "" if evidence is None else f" {evidence} and the checkpoint beside it prove it: keep both."
        super().__init__(
            "ledger_forked",
            f"The ledger was rewritten, or shows you another history than others: the {shown_size} entries"
            f" of now and the {kept_size} of the checkpoint that you kept are not one ledger.",
            "Use no answer of this gateway until this is explained. Report it to your data-protection"
            f" officer and to the other parties, who kept checkpoints too.{where}",
        )
        self.kept_size = kept_size
        self.shown_size = shown_size
        self.evidence = evidence


def _fields(problem: Mapping[str, object]) -> list[str]:
    """Name the members that the gateway could not accept, never their values; and what is still missing."""
    errors, missing = (
        found if isinstance(found, list) else [] for found in (problem.get("errors"), problem.get("missing"))
    )
    said = [
        _text(one, "en") or f"({one.get('pointer')}: {one.get('code')})"
        for one in errors
        if isinstance(one, dict)
    ]
    return said + [each for each in missing if isinstance(each, str)]


def _text(problem: Mapping[str, object], name: str) -> str | None:
    value = problem.get(name)
    return value if isinstance(value, str) and value else None
