"""Say what a token is bound to: the key of a proof, or a certificate; never neither, never both.

RFC 9449 §6.1 (`jkt`), RFC 8705 §3.1 (`x5t#S256`), RFC 7800 §3.1 (`cnf`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, cast

from adapters.kit.certificates import MEMBER

Method = Literal["jkt", "x5t#S256"]
PROOF_KEY: Final[Method] = "jkt"
CERTIFICATE: Final[Method] = MEMBER
# RFC 8705 §3 has no scheme of its own: the certificate of the connection is the proof.
SCHEMES: Final[dict[Method, str]] = {PROOF_KEY: "DPoP", CERTIFICATE: "Bearer"}


@dataclass(frozen=True, slots=True)
class Binding:
    """One thumbprint, and of what it is."""

    method: Method
    thumbprint: str

    @property
    def scheme(self) -> str:
        """The scheme of the Authorization header in which a token so bound counts."""
        return SCHEMES[self.method]

    def cnf(self) -> dict[str, str]:
        """Return the claim that states it."""
        return {self.method: self.thumbprint}


def read_cnf(cnf: object) -> Binding | None:
    """Return what a token is bound to; None unless it is bound in exactly one of our two ways."""
    # With both, a caller could choose the weaker; a member that we do not know might ask for more.
    if not isinstance(cnf, dict) or len(cnf) != 1:
        return None
    method, thumbprint = next(iter(cnf.items()))
    if method not in SCHEMES or not isinstance(thumbprint, str) or not thumbprint:
        return None
    return Binding(cast("Method", method), thumbprint)
