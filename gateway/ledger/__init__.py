"""The public record: what happened stands in it, provably and in order, and nothing personal does.

record (entry) → leaf → tiles → signed checkpoint        inside one transaction, append.py
checkpoint + proof                                       what anyone may check, proofs.py
file + public key                                        what an auditor checks alone, verify.py
"""

from __future__ import annotations


class LedgerDoesNotVerify(Exception):
    """The ledger, or what claims to be in it, does not hold. `reason` is for a person who must act on it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
