"""An NGO's client from scratch: all it knows stands in the description of /v1/openapi.json.

It imports nothing of ours. So it shows that gateway/http/api_guide.md suffices, and that what our own
library signs, seals and proves is what the standards say. `assert` is how this sketch refuses.
"""

import base64
import hashlib
import hmac
import json
import secrets
import time
from typing import Any

import requests
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from joserfc import jwe, jws
from joserfc.jwk import ECKey

Json = Any  # objects, as they came
CONSENT, REQUEST = "consent-statement+sd-jwt", "dossier-request+sd-jwt"
REGISTRY = jwe.JWERegistry(algorithms=["ECDH-ES", "A256GCM"])
REGISTRY.max_ciphertext_length = 16_000_000


class BareClient:
    """One party at one gateway, with its own copy of the party register."""

    def __init__(self, register: Json, party: str, signing_jwk: Json, encryption_jwk: Json) -> None:
        self.register, self.party, self.gateway = register, party, register["issuer"]
        self.signing, self.encryption = ECKey.import_key(signing_jwk), ECKey.import_key(encryption_jwk)
        self.process, self.token = ECKey.generate_key("P-256"), ""

    def sign_in(self) -> None:
        """Get a token that is bound to this process's key (section 1 of the guide)."""
        now, address = int(time.time()), f"{self.gateway}/oauth/token"
        claims = {"iss": self.party, "sub": self.party, "aud": self.gateway, "iat": now, "exp": now + 60}
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": self.sign("JWT", claims | {"jti": fresh()}),
        }
        answer = requests.post(address, data=form, headers={"DPoP": self.proof("POST", address)}, timeout=60)
        self.token = answer.json()["access_token"]

    def call(self, method: str, path: str, body: Json | None = None, **headers: str) -> Json:
        address = f"{self.gateway}/v1{path}"
        headers |= {"Authorization": f"DPoP {self.token}", "DPoP": self.proof(method, address, self.token)}
        answer = requests.request(method, address, json=body, headers=headers, timeout=60)
        if answer.status_code >= 400:
            raise RuntimeError(answer.json()["code"])
        return answer.json()

    def proof(self, method: str, address: str, token: str = "") -> str:
        claims = {"htm": method, "htu": address, "iat": int(time.time()), "jti": fresh()}
        claims |= {"ath": digest(token)} if token else {}
        header = {"alg": "ES256", "typ": "dpop+jwt", "jwk": self.process.as_dict(private=False)}
        return jws.serialize_compact(header, json.dumps(claims), self.process)

    def sign(self, typ: str, claims: Json) -> str:
        header = {"alg": "ES256", "typ": typ, "kid": self.signing.thumbprint()}
        return jws.serialize_compact(header, json.dumps(claims), self.signing)

    def keys(self, party: str, use: str) -> dict[str, ECKey]:
        """Return kid → key of what a party uses now, as far as our own register vouches for it."""
        identity = ECKey.import_key(self.register["parties"][party]["identity_key"])
        served = requests.get(f"{self.gateway}/v1/parties/{party}/keys", timeout=60).json()["key_list"]
        listed, now = verified(served, {identity.thumbprint(): identity}, "key-list+jwt"), time.time()
        assert (listed["iss"], now < listed["exp"]) == (party, True)
        held = [one for one in listed["keys"] if one["use"] == use and one["nbf"] <= now < one["exp"]]
        return {one["kid"]: ECKey.import_key(one["jwk"]) for one in held}

    def sd_jwt(self, typ: str, claims: Json, client: Json, lists: dict[str, list[str]]) -> str:
        """Sign claims; the client and every element of the lists come by disclosure."""
        disclosures = [encode(canonical([fresh(), "client", client]))]
        payload = claims | {"_sd": padded([digest(disclosures[0])]), "_sd_alg": "sha-256"}
        for name, values in lists.items():
            elements = [encode(canonical([fresh(), value])) for value in values]
            payload[name] = [{"...": one} for one in padded([digest(element) for element in elements])]
            disclosures += elements
        return "~".join([self.sign(typ, payload), *disclosures, ""])

    def ask(
        self, client: Json, purpose: str, source: str, categories: list[str], worker: Json
    ) -> tuple[Json, str]:
        """Ask, and wait until the source has answered; return that and the request's jti (section 3)."""
        now = int(time.time())
        claims: Json = {
            "iss": self.party,
            "aud": source,
            "iat": now,
            "exp": now + 14 * 86_400,
            "jti": fresh(),
        }
        claims |= {"purpose": purpose, "seal_to": self.encryption.thumbprint()}
        body = {"client": client, "purpose": purpose, "source": source, "categories": categories}
        body["signed_request"] = self.sd_jwt(REQUEST, claims, client, {"categories": categories})
        headers = {"Idempotency-Key": fresh(), "Prefer": "wait=30"}
        found = self.call("POST", "/dossier-requests", body | {"worker": worker}, **headers)
        while found["state"] in ("received", "forwarded"):
            found = self.call("GET", f"/dossier-requests/{found['id']}", Prefer="wait=30")
        return found, claims["jti"]

    def open(self, found: Json, source: str, jti: str) -> list[Json]:
        """Return the documents, once source and receipt vouch for all that came (section 4)."""
        answer, attestation, attested = found["answer"], found["answer"].get("attestation"), {}
        if attestation is not None:
            token, *disclosures, _ = attestation.split("~")
            claims = verified(token, self.keys(source, "sign"), "attestation+sd-jwt")
            said = [claims[name] for name in ("iss", "aud", "exchange", "request")]
            assert said == [source, self.party, found["id"], jti]
            assert {digest(one) for one in disclosures} <= set(claims["_sd"])
            attested = {name: said for _, name, said in (json.loads(decode(one)) for one in disclosures)}
        values = {name: said["value"] for name, said in attested.items() if "value" in said}
        assert values == {name: value for name, value in answer["baseline"].items() if name != "partners"}
        promised = sorted((name, one) for name, said in attested.items() for one in said.get("sealed", []))
        assert promised == sorted((one["category"], digest(one["jwe"])) for one in answer["sealed"])
        content = canonical({"attestation": attestation, "baseline": answer["baseline"]})
        assert self.read_receipt(found["receipt"], found["id"])["detail"]["answer"] == digest(content)
        return [self.open_one(found["id"], one) for one in answer["sealed"]]

    def open_one(self, exchange: str, document: Json) -> Json:
        opened = jwe.decrypt_compact(document["jwe"], self.encryption, registry=REGISTRY)
        line, _, rest = (opened.plaintext or b"").partition(b"\n")
        said = json.loads(line)
        assert (said["exchange"], said["category"]) == (exchange, document["category"])
        return said | {"content": rest[: said["length"]]}

    def read_receipt(self, unverified: str, exchange: str) -> Json:
        """Return the ledger leaf that a receipt opens."""
        receipt = verified(unverified, self.keys("gateway", "receipt"), "receipt+jwt")
        assert (receipt["aud"], receipt["exchange"]) == (self.party, exchange)
        leaf = receipt["ledger"]
        commitment = hmac.digest(decode(leaf["salt"]), canonical(leaf["detail"]), "sha256")
        entry = f"dossierpoort/entry/v1 {encode(commitment)}\n".encode()
        assert decode(leaf["leaf_hash"]) == hashlib.sha256(b"\0" + entry).digest()
        return leaf

    def prove(self, exchange: str) -> Json:
        """Follow a request's newest entry to the ledger's signature; return what was recorded."""
        proven = self.call("GET", f"/dossier-requests/{exchange}/receipt")
        leaf, proof = self.read_receipt(proven["receipt"], exchange), proven["inclusion_proof"]
        size, root = read_checkpoint(proven["checkpoint"], self.register["ledger"])
        assert (proof["leaf_index"], proof["tree_size"]) == (leaf["index"], size)
        hashes = [decode(one) for one in (leaf["leaf_hash"], *proof["hashes"])]
        assert root_of(hashes[0], leaf["index"], size, hashes[1:]) == root
        return leaf["detail"]

    def record_consent(
        self,
        client: Json,
        purpose: str,
        source: str,
        categories: list[str],
        evidence: Json,
        worker: Json,
        confirmed_by: Json,
    ) -> Json:
        """Record a yes of ninety days, by the word of two workers (section 5)."""
        now, until = int(time.time()), int(time.time()) + 90 * 86_400
        lists = {"recipients": [self.party], "categories": categories, "explicit": []}
        claims = {"iss": self.party, "aud": source, "jti": fresh(), "iat": now, "nbf": now, "exp": until}
        claims |= {"purpose": purpose, "evidence": "sha-256:" + digest(canonical(evidence))}
        body = {"client": client, "purpose": purpose, "sources": [source], "evidence": evidence, **lists}
        body |= {"worker": worker, "statements": [self.sd_jwt(CONSENT, claims, client, lists)]}
        body["valid_until"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(until))
        consent = self.call("POST", "/consents", body)
        return self.call("POST", f"/consents/{consent['id']}/confirmation", {"worker": confirmed_by})


def verified(token: str, keys: dict[str, ECKey], typ: str) -> Json:
    found = jws.deserialize_compact(token, lambda one: keys[one.headers()["kid"]], algorithms=["ES256"])
    assert found.headers()["typ"] == typ
    return json.loads(found.payload)


def read_checkpoint(note: str, ledger: Json) -> tuple[int, bytes]:
    """Return size and root of a checkpoint that the ledger's key of our register signed."""
    text, _, signatures = note.rpartition("\n\n")
    name, key_id, encoded = ledger["vkey"].split("+", 2)
    blobs = [base64.b64decode(one.split(" ")[2]) for one in signatures.splitlines() if f" {name} " in one]
    (ours,) = [blob for blob in blobs if blob[:4].hex() == key_id]
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(encoded)[1:])  # after a byte for its kind
    key.verify(ours[4:], f"{text}\n".encode())
    assert (name, text.split("\n")[0]) == (ledger["origin"], ledger["origin"])
    return int(text.split("\n")[1]), base64.b64decode(text.split("\n")[2])


def root_of(node: bytes, index: int, size: int, hashes: list[bytes]) -> bytes:
    """Compute the root that a leaf's proof leads to, from the root down (RFC 6962 §2.1.1)."""
    if size == 1:
        assert not hashes
        return node
    *below, top = hashes
    half = 1 << (size - 1).bit_length() - 1
    at_left = index < half
    inner = root_of(node, index, half, below) if at_left else root_of(node, index - half, size - half, below)
    return hashlib.sha256(b"\1" + (inner + top if at_left else top + inner)).digest()


def padded(digests: list[str]) -> list[str]:
    """Pad, so that the number tells nothing; sort, so that the order does not."""
    return sorted(digests + [digest(fresh()) for _ in range(-len(digests) % 8 if digests else 8)])


def canonical(value: Any) -> bytes:
    """RFC 8785 for what has neither fractions nor names beyond ASCII: all that we meet here."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def fresh() -> str:
    return secrets.token_urlsafe(16)


def digest(text: str | bytes) -> str:
    return encode(hashlib.sha256(text.encode() if isinstance(text, str) else text).digest())


def encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
