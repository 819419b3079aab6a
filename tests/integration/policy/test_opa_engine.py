"""An OPA server decides what the compiled policy decides; whatever else comes from it is no answer."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import islice
from typing import Any, get_args

import pytest
from aiohttp import web

from adapters.kit.register import agreement_digest
from gateway.policy.bundle import PolicyBundle, bundle_of
from gateway.policy.opa import OpaEngine
from gateway.policy.port import (
    BundleDiffers,
    Ground,
    PolicyEngine,
    PolicyUnavailable,
    Question,
    Reason,
    RefusalCode,
    Verdict,
)
from gateway.policy.wasm import WasmEngine, verified_module
from tests.contract.test_policy_matrix import AGREEMENT, HOSTILE, POLICIES, question
from tests.integration.policy.corpus import malformed, questions
from tests.integration.policy.server import Bend, Between, Opa, Opas, between, drip, straight

pytestmark = pytest.mark.opa
# `make engines` asks 100,000 and more.
SIZE = int(os.environ.get("ENGINES_CORPUS", "3000"))
AT_ONCE = 16
ASKED = question(consents_in="explicit")


@asynccontextmanager
async def engine_at(url: str, bundle: PolicyBundle, **options: Any) -> AsyncIterator[OpaEngine]:
    engine = OpaEngine(url, bundle, **options)
    try:
        yield engine
    finally:
        await engine.close()


async def answer(engine: PolicyEngine, asked: Question) -> Verdict | None:
    try:
        return await engine.decide(asked)
    except PolicyUnavailable:
        return None


# --- the same answers ---------------------------------------------------------------------

AGREEMENTS: Mapping[str, Mapping[str, Any]] = {
    "the agreement": AGREEMENT,
    "one that opens everything": HOSTILE,
    "one that is malformed": malformed(AGREEMENT, 20_260),
    "another that is malformed": malformed(HOSTILE, 20_261, one_in=200),
}
CLOSED = ("the agreement", "one that is malformed")
DIGESTS = {name: agreement_digest(data) for name, data in AGREEMENTS.items()}
# Every so many questions one is asked under a second version as well.
TWICE = 4


@pytest.mark.slow
@pytest.mark.parametrize("name", AGREEMENTS)
async def test_both_engines_answer_the_same(opas: Opas, name: str) -> None:
    held = {DIGESTS[each]: data for each, data in AGREEMENTS.items()}
    bundle, size = bundle_of(POLICIES, held), -(-SIZE // len(AGREEMENTS))
    wasm = WasmEngine(verified_module(POLICIES / "build", POLICIES), held)
    shape, second = (AGREEMENT, HOSTILE) if name in CLOSED else (HOSTILE, AGREEMENT)
    corpus, seen, asked = questions(shape, size, 3, under=DIGESTS[name]), Seen(), 0
    by_version = 0
    with opas.running(opas.sign(bundle)) as opa:
        async with engine_at(opa.url, bundle, timeout_seconds=30) as engine:
            while batch := list(islice(corpus, AT_ONCE)):
                again = [replace(one, agreement=agreement_digest(second)) for one in batch[::TWICE]]
                heard = await asyncio.gather(*(answer(engine, one) for one in (*batch, *again)))
                for one, by_opa in zip((*batch, *again), heard, strict=True):
                    assert by_opa == await answer(wasm, one), one
                for by_opa in heard[: len(batch)]:
                    seen.add(by_opa)
                by_version += heard[: len(batch)][::TWICE] != heard[len(batch) :]
                asked += len(batch)
    assert asked == size
    # Guards the guard: engines that answer by one version whatever they are asked agree as well,
    assert by_version > 0
    if "malformed" not in name:
        # and so do engines that never permit, or never answer.
        assert seen.missing(name) == set()
        assert seen.none == 0


class Seen:
    """Which answers a corpus reached."""

    def __init__(self) -> None:
        self.words: set[str] = set()
        self.none = 0

    def add(self, verdict: Verdict | None) -> None:
        if verdict is None:
            self.none += 1
            return
        self.words |= {str(decision.ground or decision.reason) for decision in verdict.decisions}
        self.words |= {verdict.refusal.code} if verdict.refusal else set()

    def missing(self, name: str) -> set[str]:
        words = {*get_args(RefusalCode), *get_args(Ground), *get_args(Reason)} - {"not_ordered"}
        # No rule of our own agreement rests on a law; in the open one hardly anything else waits for a yes.
        rare = "statutory" if name == "the agreement" else "asking_needs_consent"
        return words - self.words - {rare}


# --- an OPA that does not answer as it should ---------------------------------------------


@pytest.fixture
async def middle(opa: Opa) -> AsyncIterator[Between]:
    async with between(opa.url) as made:
        yield made


def saying(change: Callable[[dict[str, Any]], object]) -> Bend:
    """Let the answer pass with one change."""

    async def bend(_: web.Request, answered: bytes) -> web.StreamResponse:
        body = json.loads(answered)
        change(body)
        return web.json_response(body)

    return bend


def sending(body: bytes, **options: Any) -> Bend:
    async def bend(*_: Any) -> web.StreamResponse:
        return web.Response(body=body, content_type="application/json", **options)

    return bend


async def hang(*_: Any) -> web.StreamResponse:
    await asyncio.sleep(60)
    return web.Response()


async def cut(request: web.Request, answered: bytes) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": str(len(answered))})
    await response.prepare(request)
    await response.write(answered[:40])
    assert request.transport is not None
    request.transport.close()
    return response


async def twice(_: web.Request, answered: bytes) -> web.StreamResponse:
    return web.Response(body=b'{"result":null,' + answered[1:], content_type="application/json")


async def fails(_: web.Request, answered: bytes) -> web.StreamResponse:
    """The right answer, under the wrong status."""
    return web.Response(status=500, body=answered, content_type="application/json")


async def elsewhere(request: web.Request, _: bytes) -> web.StreamResponse:
    return web.Response(status=307, headers={"Location": request.path_qs})


async def as_created(_: web.Request, answered: bytes) -> web.StreamResponse:
    return web.Response(status=201, body=answered, content_type="application/json")


def _policies(body: dict[str, Any]) -> str:
    return str(body["provenance"]["bundles"]["dossierpoort"]["revision"]).split("+")[0]


def _revise(revision: object) -> Callable[[dict[str, Any]], object]:
    return lambda body: body["provenance"]["bundles"]["dossierpoort"].update(revision=revision)


FAULTS: Mapping[str, Bend] = {
    "it hangs": hang,
    "it is slow": drip,
    "it breaks off": cut,
    "it fails": fails,
    "it sends elsewhere": elsewhere,
    "another status": as_created,
    "nothing": sending(b""),
    "garbage": sending(b"<html>"),
    "another type": sending(b"[]"),
    "too long": sending(b'"' + b"a" * 2_000_000 + b'"'),
    "a name twice": twice,
    "no result": saying(lambda body: body.pop("result")),
    "an undefined result": saying(lambda body: body.update(result=None)),
    "true": saying(lambda body: body.update(result=True)),
    "an unknown name": saying(lambda body: body.update(explanation=[])),
    "a warning": saying(lambda body: body.update(warning={"code": "api_usage_warning"})),
    "an unknown name in the verdict": saying(lambda body: body["result"].update(allow=True)),
    "a name missing in the verdict": saying(lambda body: body["result"].pop("ask_source")),
    "a decision missing": saying(lambda body: body["result"]["decisions"].popitem()),
    "no provenance": saying(lambda body: body.pop("provenance")),
    "no bundle": saying(lambda body: body["provenance"].pop("bundles")),
}
NO_DIGEST = "sha-256:" + "A" * 43
OTHER_BUNDLES: Mapping[str, Bend] = {
    "another bundle": saying(_revise(NO_DIGEST)),
    "other policies": saying(_revise(f"{NO_DIGEST}+{ASKED.agreement}")),
    "the version in the place of the policies": saying(_revise(f"{ASKED.agreement}+{ASKED.agreement}")),
    "another version": saying(lambda body: _revise(f"{_policies(body)}+{NO_DIGEST}")(body)),
    "no version": saying(lambda body: _revise(_policies(body))(body)),
    "half the version's name": saying(
        lambda body: _revise(f"{_policies(body)}+{ASKED.agreement[:-1]}")(body)
    ),
    "no revision": saying(lambda body: body["provenance"]["bundles"]["dossierpoort"].clear()),
    "a revision of another type": saying(_revise([ASKED.agreement])),
    "more about the bundle": saying(lambda body: body["provenance"]["bundles"]["dossierpoort"].update(at=1)),
    "an empty revision": saying(_revise("")),
    "a second bundle": saying(lambda body: body["provenance"]["bundles"].update(more={"revision": "1"})),
    "a bundle of another name": saying(
        lambda body: body["provenance"].update(
            bundles={"poort": body["provenance"]["bundles"]["dossierpoort"]}
        )
    ),
}


@pytest.mark.parametrize("fault", [*FAULTS, *OTHER_BUNDLES])
async def test_what_is_no_answer_by_the_bundle_in_force_decides_nothing(
    middle: Between, bundle: PolicyBundle, wasm: WasmEngine, fault: str
) -> None:
    async with engine_at(middle.url, bundle, timeout_seconds=1.0) as engine:
        assert await engine.decide(ASKED) == wasm.answer(ASKED)
        assert wasm.answer(ASKED).permitted
        await engine.check(ASKED.agreement)
        before = middle.asked
        middle.bend = {**FAULTS, **OTHER_BUNDLES}[fault]
        for ask in _asks(engine):
            with pytest.raises(BundleDiffers if fault in OTHER_BUNDLES else PolicyUnavailable):
                await ask()
        assert middle.asked == before + 2  # nothing is asked twice, nobody is followed
        middle.bend = straight
        assert (await engine.decide(ASKED)).permitted


async def test_an_opa_that_is_gone_decides_nothing(opas: Opas, bundle: PolicyBundle) -> None:
    with opas.running(opas.sign(bundle)) as opa:
        async with engine_at(opa.url, bundle) as engine:
            assert (await engine.decide(ASKED)).permitted
            opa.stop()
            for ask in _asks(engine):
                with pytest.raises(PolicyUnavailable):
                    await ask()


async def test_an_error_tells_nothing_of_the_question(middle: Between, bundle: PolicyBundle) -> None:
    async with engine_at(middle.url, bundle) as engine:
        middle.bend = fails
        with pytest.raises(PolicyUnavailable) as refused:
            await engine.decide(ASKED)
        assert ASKED.requester not in str(refused.value)


def _asks(engine: OpaEngine) -> Iterator[Callable[[], Awaitable[object]]]:
    yield lambda: engine.decide(ASKED)
    yield lambda: engine.check(ASKED.agreement)
