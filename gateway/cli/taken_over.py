"""Play a gateway that was taken over: it has the gateway's order key, and still cannot make IND speak.

The first order is the control: the same kind of order, with what VluchtelingenWerk really signed, is
answered. So what is refused afterwards is refused for the forgery, not for its form (promise 6).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

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
    facts = world.take_notes()
    stolen = _Stolen(
        keys=world.deployment["gateway"].keystore(),
        register=Register.load(world.deployment["gateway"].deployment_folder),
        ind_encryption=world.deployment[IND].keystore().public("encrypt"),
        adapter_url=world.deployment.addresses.adapters[IND],
    )
    party = world.deployment[VW].keystore()
    own_key, own_box = SigningKey.generate(), DecryptionKey.generate()

    genuine = _order(world, stolen, request_key=party.signing("sign"), consent_key=party.signing("sign"))
    status, _ = await _deliver(stolen, genuine)
    facts.check(
        status == 200, "the control: an order on a request and a consent that were really signed is answered"
    )

    forged = _order(world, stolen, request_key=party.signing("sign"), consent_key=own_key)
    status, code = await _deliver(stolen, forged)
    facts.check(status >= 400, f"a consent that the gateway wrote itself: refused ({code})")
    facts.values["forged_consent"] = {"status": status, "code": code}

    swapped = _order(
        world, stolen, request_key=own_key, consent_key=party.signing("sign"), seal_to=own_box.kid
    )
    status, code = await _deliver(stolen, swapped)
    facts.check(status >= 400, f"an answer sealed to a key of the gateway's own: refused ({code})")
    facts.values["swapped_key"] = {"status": status, "code": code}

    facts.check(
        not _believed_by_ind(world, stolen, own_key, own_box),
        "a key list in VluchtelingenWerk's name: not believed, IND's own register has another identity key",
    )
    return facts


def _order(
    world: World,
    stolen: _Stolen,
    *,
    request_key: SigningKey,
    consent_key: SigningKey,
    seal_to: str | None = None,
) -> str:
    """Order decisions about Amina, on a request and a consent signed by these keys."""
    now = system_clock()
    seal_to = seal_to or world.deployment[VW].keystore().decryption().kid
    request, request_jti, request_client = _request(world, request_key, seal_to, now)
    consent, consent_jti, consent_client = _consent(world, consent_key, now)
    client = {request_jti: request_client, consent_jti: consent_client}
    return statements.make_order(
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
        client=sealing.seal_client(client, stolen.ind_encryption),
    )


def _request(world: World, key: SigningKey, seal_to: str, now: int) -> tuple[str, str, str]:
    """Sign a request in VluchtelingenWerk's name: without the client, its id, the client."""
    jti = secrets.token_urlsafe(16)
    signed = statements.make_request(
        key=key,
        iss=VW,
        aud=IND,
        jti=jti,
        now=now,
        exp=now + _HOUR,
        purpose=PURPOSE,
        categories=[Category.DECISIONS],
        client=world.amina,
        seal_to=seal_to,
    )
    without_client, client = statements.split_client(signed)
    return without_client, jti, client


def _consent(world: World, key: SigningKey, now: int) -> tuple[str, str, str]:
    """Sign a consent in VluchtelingenWerk's name: without the client, its id, the client."""
    jti = secrets.token_urlsafe(16)
    signed = statements.make_consent_statement(
        key=key,
        iss=VW,
        aud=IND,
        jti=jti,
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
    without_client, client = statements.split_client(signed)
    return without_client, jti, client


async def _deliver(stolen: _Stolen, order: str) -> tuple[int, str | None]:
    """Send IND's adapter an order; return its status, and the code of its refusal."""
    try:
        async with (
            aiohttp.ClientSession(trust_env=False, timeout=aiohttp.ClientTimeout(total=30)) as http,
            http.post(f"{stolen.adapter_url}/v1/orders", json={"order": order}) as answer,
        ):
            body = await answer.json(content_type=None)
    except (aiohttp.ClientError, TimeoutError) as failure:
        raise StepFailed("IND's adapter does not answer") from failure
    return answer.status, str(body.get("code")) if isinstance(body, dict) else None


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
