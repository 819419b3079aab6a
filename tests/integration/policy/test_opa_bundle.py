"""Which OPA is believed: the bundle it took, the certificates on both sides, what else may be asked of it."""

import gzip
import io
import json
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from adapters.kit.keys import SigningKey
from adapters.kit.register import SignedAgreement, agreement_digest
from gateway.policy.bundle import PolicyBundle, archive, bundle_of
from gateway.policy.opa import OpaEngine, tls_context
from gateway.policy.port import BundleDiffers, PolicyUnavailable, Question
from gateway.policy.wasm import WasmEngine
from tests.contract.test_policy_matrix import POLICIES
from tests.integration.policy.server import Authority, Opa, Opas, changed, tls_arguments
from tests.integration.policy.test_opa_engine import ASKED, engine_at

pytestmark = pytest.mark.opa
ISSUER = "http://gateway.test"


def unpacked(packed: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(packed))) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]


def edited(name: str, old: bytes, new: bytes) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    def edit(files: dict[str, bytes]) -> dict[str, bytes]:
        assert old in files[name]
        return {**files, name: files[name].replace(old, new)}

    return edit


# --- OPA itself takes no bundle but ours --------------------------------------------------

TAMPERED: Mapping[str, Callable[[dict[str, bytes]], dict[str, bytes]]] = {
    "without a signature": lambda files: {n: c for n, c in files.items() if n != ".signatures.json"},
    "with the agreement changed": edited("data.json", b'"consent"', b'"baseline"'),
    "with a version added": edited("data.json", b'"agreements":{', b'"agreements":{"sha-256:later":{},'),
    "with a policy changed": edited("dossier.rego", b"default ", b"default  "),
    "with another revision": edited(".manifest", b'"sha-256:', b'"sha-256:A'),
    "with a policy added": lambda files: {**files, "more.rego": b"package more\n"},
    "with a policy taken away": lambda files: {n: c for n, c in files.items() if n != "consent.rego"},
}


@pytest.mark.parametrize("how", TAMPERED)
async def test_a_tampered_bundle_decides_nothing(
    opa: Opa, opas: Opas, bundle: PolicyBundle, how: str
) -> None:
    async with engine_at(opa.url, bundle) as engine:
        assert (await engine.decide(ASKED)).permitted
    packed = archive(TAMPERED[how](unpacked(opas.sign(bundle))))
    with opas.running(packed, until="refuses") as other:
        async with engine_at(other.url, bundle) as engine:
            with pytest.raises(PolicyUnavailable):
                await engine.decide(ASKED)


@pytest.mark.parametrize("how", ["by another key", "by another key under our name", "for another use"])
async def test_a_bundle_signed_otherwise_decides_nothing(
    opas: Opas, bundle: PolicyBundle, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    with opas.running(bundle.signed(opas.key, issuer=ISSUER, now=1)) as right:
        async with engine_at(right.url, bundle) as engine:
            await engine.check(ASKED.agreement)
    key = SigningKey.generate() if "another key" in how else opas.key
    if "our name" in how:
        key.kid = opas.key.kid  # type: ignore[misc]
    if how == "for another use":
        monkeypatch.setattr("gateway.policy.bundle.BUNDLE", "tokens")
    packed = bundle.signed(key, issuer=ISSUER, now=1)
    monkeypatch.undo()
    with opas.running(packed, until="refuses") as other:
        async with engine_at(other.url, bundle) as engine:
            with pytest.raises(PolicyUnavailable):
                await engine.decide(ASKED)


def test_our_digests_are_those_of_opa(opas: Opas, tmp_path: Path, agreement: SignedAgreement) -> None:
    """Compared over what JSON encoders differ in; a digest that differs would refuse a good bundle."""
    odd = {
        "\u2028 <ü> 😀 \x7f\b\f\t\x01": {
            "b": [1, -1.5, 1e300, True, None, '\\"/'],
            "ab": {},
            "a😀": [],
            "a\uffff": 0,
        }
    }
    made = bundle_of(POLICIES, {agreement.digest: {**agreement.data, **odd}})
    for name, content in made.files.items():
        (tmp_path / "made" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "made" / name).write_bytes(content)
    (tmp_path / "key").write_text("secret of the test")
    command = [opas.binary, "sign", "--bundle", "made", "--signing-key", "key", "--signing-alg", "HS256"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    theirs = _files(json.loads((tmp_path / ".signatures.json").read_bytes()))
    ours = _files(json.loads(unpacked(opas.sign(made))[".signatures.json"]))
    assert ours == {name.removeprefix("made/"): digest for name, digest in theirs.items()}
    assert len(ours) == len(made.files)


def _files(signatures: dict[str, list[str]]) -> dict[str, str]:
    import base64

    payload = signatures["signatures"][0].split(".")[1]
    return {f["name"]: f["hash"] for f in json.loads(base64.urlsafe_b64decode(payload + "=="))["files"]}


# --- the gateway believes no bundle but those of its policies ----------------------------------


Held = Mapping[str, Mapping[str, object]]


def _later(agreement: SignedAgreement) -> Held:
    data = {**agreement.data, "valid_until": int(str(agreement.data["valid_until"])) + 1}
    return {agreement_digest(data): data}


async def test_a_bundle_that_is_signed_counts_if_it_has_the_version_and_our_policies(
    opa: Opa, opas: Opas, bundle: PolicyBundle, agreement: SignedAgreement, wasm: WasmEngine, tmp_path: Path
) -> None:
    (later,) = _later(agreement)
    of_later = replace(ASKED, agreement=later)
    async with engine_at(opa.url, bundle) as engine:
        assert (await engine.decide(ASKED)).permitted
    both = bundle.holding({agreement.digest: agreement.data, **_later(agreement)})
    with opas.running(opas.sign(both)) as ahead:
        async with engine_at(ahead.url, both) as engine:
            assert (await engine.decide(of_later)).permitted
        # Who does not hold the later version asks nothing of it, and gets the same as ever under their own.
        async with engine_at(ahead.url, bundle) as engine:
            assert await engine.decide(ASKED) == wasm.answer(ASKED)
            await _hears_another(engine, of_later)
    with opas.running(opas.sign(bundle.holding(_later(agreement)))) as without_ours:
        async with engine_at(without_ours.url, both) as engine:
            assert (await engine.decide(of_later)).permitted
            await _hears_another(engine, ASKED)
    for source in POLICIES.glob("*.rego"):
        (tmp_path / source.name).write_bytes(source.read_bytes() + b"\n")
    other_policies = bundle_of(tmp_path, {agreement.digest: agreement.data})
    with opas.running(opas.sign(other_policies)) as older:
        async with engine_at(older.url, other_policies) as engine:
            assert (await engine.decide(ASKED)).permitted
        async with engine_at(older.url, bundle) as engine:
            await _hears_another(engine, ASKED)


async def _hears_another(engine: OpaEngine, asked: Question) -> None:
    for ask in (lambda: engine.decide(asked), lambda: engine.check(asked.agreement)):
        with pytest.raises(BundleDiffers):
            await ask()


async def test_a_bundle_of_our_revision_without_our_policy_decides_nothing(
    opa: Opa, opas: Opas, bundle: PolicyBundle
) -> None:
    async with engine_at(opa.url, bundle) as engine:
        assert (await engine.decide(ASKED)).permitted
    empty = changed(bundle, {name: None for name in bundle.files if name.endswith(".rego")})
    kept = {"system/authz.rego": bundle.files["system/authz.rego"]}
    with opas.running(opas.sign(changed(empty, kept))) as other:
        async with engine_at(other.url, bundle) as engine:
            with pytest.raises(PolicyUnavailable, match="no result"):
                await engine.decide(ASKED)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/data/agreements", None),
        ("GET", "/v1/data", None),
        ("GET", "/v1/policies", None),
        ("GET", "/v1/config", None),
        ("POST", "/v1/data/agreements?provenance=true", b"{}"),
        ("POST", "/v1/data/dossier/decision?provenance=true&explain=full", b"{}"),
        ("POST", "/v1/data/dossier/decision", b"{}"),
        ("POST", "/v1/query", b'{"query":"data"}'),
        ("PUT", "/v1/data/agreements/later", b"{}"),
        ("PUT", "/v1/policies/more", b"package dossier\n"),
        ("DELETE", "/v1/policies/dossier.rego", None),
    ],
)
def test_nothing_else_may_be_asked_of_it(opa: Opa, method: str, path: str, body: bytes | None) -> None:
    assert opa.status("POST", "/v1/data/dossier/decision?provenance=true", b"{}") == 200
    assert opa.status(method, path, body) == 401


# --- certificates on both sides -----------------------------------------------------------


@dataclass(frozen=True)
class Town:
    """An OPA behind TLS that asks for a certificate, and who may issue them."""

    opa: Opa
    bundle: PolicyBundle
    ours: Authority
    theirs: Authority


@pytest.fixture(scope="module")
def town(opas: Opas, bundle: PolicyBundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    folder = tmp_path_factory.mktemp("certificates")
    ours, theirs = Authority.make(folder, "ours"), Authority.make(folder, "theirs")
    with _behind_tls(opas, bundle, ours, "127.0.0.1") as opa:
        yield Town(opa, bundle, ours, theirs)


def _behind_tls(opas: Opas, bundle: PolicyBundle, ours: Authority, address: str):  # type: ignore[no-untyped-def]
    return opas.running(opas.sign(bundle), arguments=tls_arguments(ours, address), until="listens")


async def until_it_answers(engine: OpaEngine) -> None:
    """It listens before it has read its bundle."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return await engine.check(ASKED.agreement)
        except PolicyUnavailable:
            assert time.monotonic() < deadline


async def test_each_side_shows_a_certificate(town: Town, bundle: PolicyBundle, wasm: WasmEngine) -> None:
    tls = tls_context(town.ours.file, *town.ours.issues("gateway"))
    async with engine_at(town.opa.url, bundle, tls=tls) as engine:
        await until_it_answers(engine)
        assert await engine.decide(ASKED) == wasm.answer(ASKED)


WRONG: Mapping[str, Callable[[Town], OpaEngine]] = {
    "another authority for OPA": lambda town: _engine(town, town.theirs, town.ours),
    "no certificate of ours": lambda town: _engine(town, town.ours, None),
    "our certificate by another authority": lambda town: _engine(town, town.ours, town.theirs),
    "the system's authorities": lambda town: _engine(town, None, town.ours),
    "no TLS": lambda town: OpaEngine(town.opa.url.replace("https", "http"), town.bundle),
    "another name": lambda town: _engine(
        town, town.ours, town.ours, url=town.opa.url.replace("127.0.0.1", "localhost")
    ),
}


def _engine(town: Town, trusted: Authority | None, issuer: Authority | None, *, url: str = "") -> OpaEngine:
    certificate = issuer.issues("gateway") if issuer else (None, None)
    tls = tls_context(trusted.file if trusted else None, *certificate)
    return OpaEngine(url or town.opa.url, town.bundle, tls=tls)


@pytest.mark.parametrize("wrong", WRONG)
async def test_without_the_right_certificates_nothing_is_decided(
    town: Town, bundle: PolicyBundle, wrong: str
) -> None:
    async with engine_at(
        town.opa.url, bundle, tls=tls_context(town.ours.file, *town.ours.issues("gateway"))
    ) as engine:
        await until_it_answers(engine)
        assert (await engine.decide(ASKED)).permitted
    refused = WRONG[wrong](town)
    try:
        with pytest.raises(PolicyUnavailable) as why:
            await refused.decide(ASKED)
        assert not isinstance(why.value, BundleDiffers)  # it came no further than the door
    finally:
        await refused.close()
