"""A source with real keys that answers what it may not: nothing of it is released, kept, or repeated."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import pytest_asyncio
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse

from adapters.kit import sealing
from adapters.kit.keys import SigningKey
from adapters.protocol import Category
from gateway.cli.world import VW, persona
from tests.integration.edge import TEXT_MARK, check_logs, recorded_logs
from tests.integration.rogue import Draft, Rogue, Stage, honest, seal, staged

pytestmark = pytest.mark.asyncio(loop_scope="module")

ANOTHER_ID = "exchangeOfAnother0123456"
DIGEST = "A" * 43


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with staged(tmp_path_factory.mktemp("town")) as running:
        yield running


@pytest.fixture(autouse=True)
def logs() -> Iterator[io.BytesIO]:
    with recorded_logs() as stream:
        yield stream
        check_logs(stream)


# --- signed, but not what was ordered --------------------------------------------------------


def changed(**claims: Any) -> Callable[[Rogue, Draft], None]:
    return lambda _, draft: draft.claims.update(claims)


def said_of_perspective(**members: Any) -> Callable[[Rogue, Draft], None]:
    return lambda _, draft: draft.answers.update(perspective={"status": "provided", **members})


def signed_by(party: str) -> Callable[[Rogue, Draft], None]:
    return lambda rogue, draft: setattr(draft, "key", rogue.key(party))


def _extra_category(_: Rogue, draft: Draft) -> None:
    draft.answers["identity"] = {"status": "nothing_held"}


def _extra_papers(rogue: Rogue, draft: Draft) -> None:
    jwe = seal(Category.IDENTITY, draft.exchange, rogue.keystore(VW).public("encrypt"))
    draft.sealed.append({"category": "identity", "jwe": jwe})


def _one_category_less(_: Rogue, draft: Draft) -> None:
    del draft.answers["decisions"]
    draft.sealed = [one for one in draft.sealed if one["category"] != "decisions"]


def _paper_that_is_not_attested(rogue: Rogue, draft: Draft) -> None:
    jwe = seal(Category.DECISIONS, draft.exchange, rogue.keystore(VW).public("encrypt"))
    draft.sealed.append({"category": "decisions", "jwe": jwe})


def _paper_put_in_the_place_of_another(rogue: Rogue, draft: Draft) -> None:
    jwe = seal(Category.DECISIONS, draft.exchange, rogue.keystore(VW).public("encrypt"))
    draft.sealed[0] = {**draft.sealed[0], "jwe": jwe}


def _paper_under_another_category(_: Rogue, draft: Draft) -> None:
    first, second = (one["category"] for one in draft.sealed)
    draft.sealed = [{**draft.sealed[0], "category": second}, {**draft.sealed[1], "category": first}]


def _paper_in_the_place_of_a_baseline_value(rogue: Rogue, draft: Draft) -> None:
    jwe = seal(Category.PERSPECTIVE, draft.exchange, rogue.keystore(VW).public("encrypt"))
    draft.sealed.append({"category": "perspective", "jwe": jwe})
    draft.answers["perspective"] = {"status": "provided", "sealed": [sealing.digest(jwe)]}


def _value_in_the_place_of_papers(_: Rogue, draft: Draft) -> None:
    _one_category_less(_, draft)
    draft.answers["decisions"] = {"status": "provided", "value": "yes"}


def _sealed_to_the_source_itself(rogue: Rogue, draft: Draft) -> None:
    jwe = seal(Category.DECISIONS, draft.exchange, rogue.keystore("ind").public("encrypt"))
    draft.sealed = [{**one, "jwe": jwe} if one["category"] == "decisions" else one for one in draft.sealed]
    draft.answers["decisions"] = {"status": "provided", "sealed": [sealing.digest(jwe)]}


def _not_sealed_at_all(_: Rogue, draft: Draft) -> None:
    text = f"{TEXT_MARK.replace(' ', '')}...."
    draft.sealed = [{**one, "jwe": text} if one["category"] == "decisions" else one for one in draft.sealed]
    draft.answers["decisions"] = {"status": "provided", "sealed": [sealing.digest(text)]}


def _partners_said_by_the_source(_: Rogue, draft: Draft) -> None:
    draft.answers["partners"] = {"status": "provided", "value": "yes"}


SPOILED: dict[str, Callable[[Rogue, Draft], Any]] = {
    "for another exchange": changed(exchange=ANOTHER_ID),
    "for another order": changed(order=DIGEST),
    "for another request": changed(request=ANOTHER_ID),
    "to another party": changed(aud="askv"),
    "in another party's name": changed(iss="dtv"),
    "from the future": changed(iat=4_000_000_000),
    "with a claim of its own": changed(remark=TEXT_MARK),
    "with a category that cannot be withheld": changed(identity={"status": "provided", "value": TEXT_MARK}),
    "signed by another party": signed_by("dtv"),
    "signed by the requester": signed_by(VW),
    "signed by nobody known": lambda _, draft: setattr(draft, "key", SigningKey.generate()),
    "signed as something else": lambda _, draft: setattr(draft, "typ", "dossier-request+sd-jwt"),
    "naming another exchange": lambda _, draft: setattr(draft, "exchange", ANOTHER_ID),
    "with a category that was not ordered": _extra_category,
    "with papers that were not ordered": _extra_papers,
    "without a category that was ordered": _one_category_less,
    "with the gateway's own category": _partners_said_by_the_source,
    "free text in a baseline value": said_of_perspective(value=f"yes, {TEXT_MARK}"),
    "free text beside a baseline value": said_of_perspective(value="yes", remark=TEXT_MARK),
    "an object as a baseline value": said_of_perspective(value={"yes": TEXT_MARK}),
    "a truth as a baseline value": said_of_perspective(value=True),
    "a paper in the place of a baseline value": _paper_in_the_place_of_a_baseline_value,
    "a value in the place of papers": _value_in_the_place_of_papers,
    "a refusal in words": lambda _, draft: draft.answers.update(
        perspective={"status": "refused", "refusal": TEXT_MARK}
    ),
    "a paper that is not attested": _paper_that_is_not_attested,
    "a paper other than the attested": _paper_put_in_the_place_of_another,
    "a paper sealed to another key": _sealed_to_the_source_itself,
    "a paper that is not sealed": _not_sealed_at_all,
    "an attested paper that is not there": lambda _, draft: draft.sealed.pop(),
    "papers under each other's category": _paper_under_another_category,
    "a member that nobody knows": lambda _, draft: draft.more.update(remark=TEXT_MARK),
    "no attestation": lambda _, draft: draft.more.update(attestation=None),
}


@pytest.mark.parametrize("spoiled", SPOILED)
async def test_an_answer_other_than_ordered_is_refused_whole(stage: Stage, spoiled: str) -> None:
    await stage.accepts()

    async def spoil(draft: Draft) -> Response:
        SPOILED[spoiled](stage.rogue, draft)
        return await honest(draft)

    answer = await stage.ask(spoil)
    await stage.refused_whole(answer, "source_answer_invalid")


async def test_an_unsigned_answer_is_refused_whole(stage: Stage) -> None:
    await stage.accepts()

    async def unsigned(draft: Draft) -> Response:
        header, payload_and_more = "eyJhbGciOiJub25lIn0", draft.attestation.split(".", 1)[1]
        payload, _, disclosures = payload_and_more.partition("~")
        stripped = f"{header}.{payload.split('.')[0]}.~{disclosures}"
        return JSONResponse({**draft.message, "attestation": stripped})

    answer = await stage.ask(unsigned)
    await stage.refused_whole(answer, "source_answer_invalid")


async def test_an_answer_about_another_client_is_refused_whole(stage: Stage) -> None:
    # What IND really signed about Bilal, sent as the answer about Amina: an attestation names no
    # client, it is bound to the one order that does.
    await stage.accepts()
    await stage.accepts(persona("bilal"))
    about_bilal = stage.rogue.sent

    async def mix_up(_: Draft) -> Response:
        return Response(about_bilal, media_type="application/json")

    async def mix_up_under_the_right_name(draft: Draft) -> Response:
        return JSONResponse({**json.loads(about_bilal), "exchange": draft.exchange})

    for behave in (mix_up, mix_up_under_the_right_name):
        answer = await stage.ask(behave)
        stage.rogue.sent = b""  # Bilal's papers lie there rightly, for his own exchange
        await stage.refused_whole(answer, "source_answer_invalid")


# --- not an answer at all ----------------------------------------------------------------------


async def _megabytes() -> AsyncIterator[bytes]:
    yield b'{"exchange": "'
    for megabyte in range(100):
        if megabyte == 40:
            await asyncio.sleep(4)  # whoever reads more than an answer may weigh is held up here
        yield b"x" * 1_000_000
    yield b'"}'


def _bytes(content: bytes, media_type: str = "application/json", **more: Any) -> Callable[[Draft], Response]:
    return lambda _: Response(content, media_type=media_type, **more)


def _twice(draft: Draft) -> Response:
    whole = json.dumps(draft.message)
    return Response('{"exchange": "' + ANOTHER_ID + '", ' + whole[1:], media_type="application/json")


NOT_AN_ANSWER: dict[str, Callable[[Draft], Response]] = {
    "a hundred megabytes": lambda _: StreamingResponse(_megabytes(), media_type="application/json"),
    "a hundred megabytes in a hundred kilobytes": _bytes(
        gzip.compress(b'{"exchange": "' + b"x" * 100_000_000 + b'"}', 1), headers={"Content-Encoding": "gzip"}
    ),
    "a great many empty objects": _bytes(b"[" + b"{}," * 1_000_000 + b"{}]"),
    "one wide letter in a long text": _bytes(
        b'{"exchange": "' + b"x" * 3_000_000 + "\U0001f600".encode() + b'"}'
    ),
    "no JSON": _bytes(f"<html>{TEXT_MARK}</html>".encode(), "text/html"),
    "half a JSON text": lambda draft: Response(json.dumps(draft.message)[:-9], media_type="application/json"),
    "a member twice": _twice,
    "a list": lambda draft: JSONResponse([draft.message]),
    "nothing": _bytes(b""),
    "accepted, in HTML": _bytes(b"<html>", "text/html", status_code=202),
    "a redirect": lambda _: RedirectResponse("/elsewhere", status_code=307),
    "a redirect that asks to GET": lambda _: RedirectResponse("/elsewhere", status_code=303),
    "nobody at that address": _bytes(TEXT_MARK.encode(), "text/plain", status_code=404),
}


@pytest.mark.parametrize("sent", NOT_AN_ANSWER)
async def test_what_is_no_answer_is_refused(stage: Stage, sent: str) -> None:
    await stage.accepts()

    async def send(draft: Draft) -> Response:
        return NOT_AN_ANSWER[sent](draft)

    answer = await asyncio.wait_for(stage.ask(send), 3)
    await stage.refused_whole(answer, "source_answer_invalid")
    assert stage.rogue.elsewhere == 0


async def test_a_refusal_of_the_source_is_told_without_its_words(stage: Stage, logs: io.BytesIO) -> None:
    await stage.accepts()

    async def refuse(_: Draft) -> Response:
        said = {"code": "order_refused_ground_differs", "title": TEXT_MARK, "detail": persona("amina").value}
        return JSONResponse(said, status_code=403)

    async def refuse_in_its_own_words(_: Draft) -> Response:
        return JSONResponse({"code": f"V{persona('amina').value}", "detail": TEXT_MARK}, status_code=403)

    answer = await stage.ask(refuse)
    await stage.refused_whole(answer, "source_refused_order")
    assert "order_refused_ground_differs" in check_logs(logs)
    answer = await stage.ask(refuse_in_its_own_words)
    await stage.refused_whole(answer, "source_answer_invalid")
