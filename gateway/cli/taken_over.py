"""Play a gateway that was taken over: it has the gateway's order key, and still cannot make IND speak.

The first order is the control: the same kind of order, with what VluchtelingenWerk really signed, is
answered. So what is refused afterwards is refused for the forgery, not for its form (promise 6).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

import aiohttp

from adapters.kit import sealing, statements
from adapters.kit.keys import DecryptionKey, Keystore, SigningKey
from adapters.kit.register import Register, RegisterError, sign_key_list, verify_key_list
from adapters.protocol import Category, OrderedCategory
from gateway.cli.facts import Facts, StepFailed
from gateway.cli.world import IND, PURPOSE, VW, World
from gateway.clock import system_clock

_HOUR = 3600


@dataclass(frozen=True, slots=True)
class _Stolen:
    """What whoever took the gateway over has: its keys, and every public file."""

    keys: Keystore
    register: Register
    ind_encryption: dict[str, str]
    adapter_url: str


async def speak_through_a_stolen_gateway(world: World) -> Facts:
    """Send IND's adapter a genuine order, then forged ones signed with the gateway's own order key."""
    facts = Facts()
    stolen = _Stolen(
        keys=world.deployment["gateway"].keystore(),
        register=Register.load(world.deployment["gateway"].deployment_folder),
        ind_encryption=world.deployment[IND].keystore().public("encrypt"),
        adapter_url=world.deployment.addresses.adapters[IND],
    )
    party = world.deployment[VW].keystore()
    own_key, own_box = SigningKey.generate(), DecryptionKey.generate()

    status, body = await _send(
        world, stolen, request_key=party.signing("sign"), consent_key=party.signing("sign")
    )
    facts.check(
        status == 200, "the control: an order on a request and a consent that were really signed is answered"
    )

    status, body = await _send(world, stolen, request_key=party.signing("sign"), consent_key=own_key)
    facts.check(status >= 400, f"a consent that the gateway wrote itself: refused ({_code(body)})")
    facts.values["forged_consent"] = {"status": status, "code": _code(body)}

    status, body = await _send(
        world,
        stolen,
        request_key=own_key,
        consent_key=party.signing("sign"),
        seal_to=own_box.kid,
    )
    facts.check(status >= 400, f"an answer sealed to a key of the gateway's own: refused ({_code(body)})")
    facts.values["swapped_key"] = {"status": status, "code": _code(body)}

    facts.check(
        not _believed_by_ind(world, stolen, own_key, own_box),
        "a key list in VluchtelingenWerk's name: not believed, IND's own register has another identity key",
    )
    return facts


async def _send(
    world: World,
    stolen: _Stolen,
    *,
    request_key: SigningKey,
    consent_key: SigningKey,
    seal_to: str | None = None,
) -> tuple[int, Any]:
    """Order decisions about Amina, on statements signed by these keys, and return what IND answers."""
    now = system_clock()
    request_jti, consent_jti = secrets.token_urlsafe(16), secrets.token_urlsafe(16)
    request = statements.make_request(
        key=request_key,
        iss=VW,
        aud=IND,
        jti=request_jti,
        now=now,
        exp=now + _HOUR,
        purpose=PURPOSE,
        categories=[Category.DECISIONS],
        client=world.amina,
        seal_to=seal_to or world.deployment[VW].keystore().decryption().kid,
    )
    consent = statements.make_consent_statement(
        key=consent_key,
        iss=VW,
        aud=IND,
        jti=consent_jti,
        now=now,
        nbf=now,
        exp=now + _HOUR,
        purpose=PURPOSE,
        evidence="sha-256:" + "A" * 43,
        recipients=[VW],
        categories=[Category.DECISIONS],
        explicit=[],
        client=world.amina,
    )
    request, request_client = statements.split_client(request)
    consent, consent_client = statements.split_client(consent)
    order = statements.make_order(
        key=stolen.keys.signing("order"),
        aud=IND,
        jti=secrets.token_urlsafe(16),
        exchange=secrets.token_urlsafe(16),
        now=now,
        exp=now + _HOUR,
        agreement=stolen.register.agreement_digest,
        purpose=PURPOSE,
        recipient=VW,
        categories=[OrderedCategory(category=Category.DECISIONS, ground="consent", consent=consent_jti)],
        request=request,
        consents=[consent],
        client=sealing.seal_client(
            {request_jti: request_client, consent_jti: consent_client}, stolen.ind_encryption
        ),
    )
    try:
        async with (
            aiohttp.ClientSession(trust_env=False, timeout=aiohttp.ClientTimeout(total=30)) as http,
            http.post(f"{stolen.adapter_url}/v1/orders", json={"order": order}) as answer,
        ):
            return answer.status, await answer.json(content_type=None)
    except (aiohttp.ClientError, TimeoutError) as failure:
        raise StepFailed("IND's adapter does not answer") from failure


def _believed_by_ind(world: World, stolen: _Stolen, own_key: SigningKey, own_box: DecryptionKey) -> bool:
    """Offer IND a key list of VluchtelingenWerk that the gateway made, signed by the gateway's identity."""
    now = system_clock()
    forged = sign_key_list(
        key=stolen.keys.signing("identity"),
        party=VW,
        serial=2,
        now=now,
        exp=now + _HOUR,
        keys=[("sign", own_key.public), ("encrypt", own_box.public)],
    )
    try:
        verify_key_list(forged, VW, Register.load(world.deployment[IND].deployment_folder), now)
    except RegisterError:
        return False
    return True


def _code(body: Any) -> str:
    return str(body.get("code")) if isinstance(body, dict) else "no code"
