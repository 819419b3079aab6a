"""What a party does about the agreement itself: read a version, propose one, approve, sign, take that back.

The gateway carries versions and cannot make one: what it hands out counts here only as far as its digest and
the signatures under it verify against our own register.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, cast

from pydantic import JsonValue

from adapters.kit.agreement_chain import Version, read_package, read_version
from adapters.kit.keys import KeystoreError, SigningKey
from adapters.kit.register import RegisterError, sign_agreement, sign_withdrawal
from adapters.protocol import Worker
from adapters.requester.calls import Body, worker_body
from adapters.requester.desk import Desk
from adapters.requester.errors import GatewayUnreachable, ProofRefused, RequesterError

_AGREEMENTS: Final = "/v1/agreements"
_DIGEST: Final = re.compile(r"sha-256:[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class FetchedAgreement:
    """A version with the signatures that we verified, and how far it is by the gateway's word."""

    version: Version
    state: Mapping[str, JsonValue]


class Agreements(Desk):
    """The part of the library that looks after the agreement."""

    async def agreements(self) -> Body:
        """List every version that the gateway knows, and how far each is; by its word alone."""
        return await self._document("GET", _AGREEMENTS)

    async def agreement_in_force(self) -> Body:
        """Tell which version is in force, and which one has an instant at which it will be."""
        return await self._document("GET", f"{_AGREEMENTS}/in-force")

    async def agreement(self, digest: str) -> FetchedAgreement:
        """Fetch a version and verify it; raise ProofRefused where it is not what its digest names."""
        package = await self._document("GET", _at(digest))
        try:
            version = read_version(read_package(package), self._register, self._clock())
        except RegisterError as refused:
            raise _not_believed(refused.code) from refused
        if version.digest != digest:
            # Else a party would sign what another version says under the digest that it asked for.
            raise _not_believed("agreement_altered")
        state = package.get("state")
        return FetchedAgreement(version, state if isinstance(state, dict) else {})

    async def check_agreement(self, agreement: Mapping[str, object]) -> Body:
        """Have a draft checked: its faults and oversights in words, in both languages; nothing is kept."""
        body: Body = {"agreement": cast("JsonValue", dict(agreement))}
        return await self._document("POST", f"{_AGREEMENTS}/check", body)

    async def agreement_difference(
        self, digest: str, *, against: str | None = None, language: Literal["nl", "en"] = "nl"
    ) -> Body:
        """Ask in sentences what a version newly permits and forbids; by the gateway's word alone.

        `against`: another version's digest, else the one that it supersedes. Whoever is to sign or approve
        computes it itself (`poort agreement diff`).
        """
        other = "" if against is None else f"&against={_at(against).rpartition('/')[2]}"
        return await self._document("GET", f"{_at(digest)}/difference?language={language}{other}")

    async def agreement_text(
        self,
        digest: str,
        *,
        language: Literal["nl", "en"] = "nl",
        form: Literal["html", "markdown"] = "html",
    ) -> str:
        """Fetch a version as a text to read; by the gateway's word alone, also on who signed it."""
        response = await self._call("GET", f"{_at(digest)}/text?language={language}&format={form}")
        if not isinstance(response.body, bytes):
            raise GatewayUnreachable("The gateway's answer has another form than expected.")
        return response.body.decode()

    async def propose_agreement(self, agreement: Mapping[str, object], *, worker: Worker) -> Body:
        """Put a new version before the other parties; the same one again is one proposal."""
        body: Body = {"agreement": cast("JsonValue", dict(agreement)), "worker": worker_body(worker)}
        return await self._document("POST", _AGREEMENTS, body)

    async def approve_agreement(self, digest: str, *, worker: Worker) -> Body:
        """Approve a proposed version as the second person; from then on parties can sign it."""
        return await self._document("POST", f"{_at(digest)}/approvals", {"worker": worker_body(worker)})

    async def sign_agreement(self, digest: str, *, worker: Worker) -> Body:
        """Fetch a version, and sign what its digest names with this party's identity key.

        The key stays here. Raises ProofRefused, and then nothing is signed.
        """
        version = (await self.agreement(digest)).version
        signature = sign_agreement(
            key=self._identity(), party=self.party, digest=version.digest, now=self._clock()
        )
        body: Body = {"signature": signature, "worker": worker_body(worker)}
        return await self._document("PUT", f"{_at(digest)}/signatures/{self.party}", body)

    async def unsign_agreement(self, digest: str, *, worker: Worker) -> Body:
        """Take this party's signature back; what depends on it stops at once.

        Not fetched first: a party can leave a version that its gateway does not show.
        """
        withdrawal = sign_withdrawal(key=self._identity(), party=self.party, digest=digest, now=self._clock())
        body: Body = {"withdrawal": withdrawal, "worker": worker_body(worker)}
        return await self._document("POST", f"{_at(digest)}/withdrawals", body)

    async def activate_agreement(self, digest: str, *, worker: Worker) -> Body:
        """Have a version that all founders signed come into force at the first second it names itself."""
        return await self._document("POST", f"{_at(digest)}/activation", {"worker": worker_body(worker)})

    def _identity(self) -> SigningKey:
        try:
            return self._keystore.signing("identity")
        except KeystoreError:
            raise RequesterError(
                "identity_key_absent",
                "Among these keys is no identity key of this party.",
                "Do this where the identity key is kept.",
            ) from None


def _at(digest: str) -> str:
    if _DIGEST.fullmatch(digest) is None:
        raise RequesterError(
            "not_a_digest",
            "A version is named by its digest: sha-256: and 43 characters.",
            "Take it from the list of agreements, or from whoever proposed the version.",
        )
    return f"{_AGREEMENTS}/{digest}"


def _not_believed(code: str) -> ProofRefused:
    return ProofRefused(
        code,
        "The gateway's answer is not the version that this digest names, or a signature under it is false.",
        "Nothing was signed. Do not use this version; report it to your data-protection officer and to the"
        " party that proposed it.",
    )
